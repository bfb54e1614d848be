"""The readers of detectors and of calibrations: a detector that gives finite logits, the same on both backends, or a `UsageError`.

An input that begins with `D` is a detector's `model.json` beside the shipped weights, any other one a calibration.
"""

import json
import random
from collections.abc import Iterator
from importlib.resources import files

import numpy as np

import textassay as ta
from mutation import mutated_bytes, mutated_json
from textassay import _backend
from textassay.calibration.file import FORMAT, CalibrationReader, digest_of, shipped_weights
from textassay.detector import DEFAULT, FEATURES, MODEL_FILE, WEIGHTS_FILE, Detector, ModelReader
from textassay.errors import UsageError
from textassay.lexicon import default_lexicon

_SHIPPED = files("textassay").joinpath("detectors", DEFAULT)
_WEIGHTS = _SHIPPED.joinpath(WEIGHTS_FILE).read_bytes()
_TEXTS = ["It's one. " * 60, "In conclusion, it is important to note. " * 30, "short", "\n".join(map(str, range(300)))]
_SIGNALS = ["synthetic_logit", "synthetic_probability"]


def seeds() -> Iterator[bytes]:
    model = json.loads(_SHIPPED.joinpath(MODEL_FILE).read_bytes())
    model["training"] = {}
    model["reference"] = {name: pairs[:3] for name, pairs in model["reference"].items()}
    yield b"D" + json.dumps(model).encode()
    content = {
        "format": FORMAT,
        "features": FEATURES,
        "name": "mine",
        "weights": shipped_weights(),
        "markers": default_lexicon().digest,
        "calibrator": model["calibrator"],
        "false_positive_rates": [0.01, 0.05],
        "bands": model["bands"],
        "reference": model["reference"],
        "floors": [{"tokens": "word", "batch_tokens": 1000, "floor_bits": 7.5}],
        "report": {"documents": {"left_out": {}}},
    }
    yield b"C" + json.dumps(content | {"digest": digest_of(content)}).encode()


def check(data: bytes) -> None:
    try:
        detector = _read(data)
    except UsageError:
        return
    native, numba = (_measured(detector, backend) for backend in ("native", "numba"))
    assert native == numba, f"native {native}, numba {numba}"


def _read(data: bytes) -> Detector:
    if data[:1] == b"D":
        return ModelReader("fuzzed").read(data[1:], _WEIGHTS)
    calibration = CalibrationReader("fuzzed").read_text(data[1:])
    assert set(calibration.detector.false_positive_rates) >= {calibration.detector.fpr}
    return calibration.detector


def _measured(detector: Detector, backend: str) -> list[list[float]]:
    with _backend.using(backend):
        found = ta.measure(_TEXTS, _SIGNALS, detector=detector)
    values = [np.asarray(found[name], np.float64) for name in _SIGNALS]
    assert not any(np.isinf(one).any() for one in values)
    return [np.nan_to_num(one, nan=-1e9).tolist() for one in values]


def mutate(data: bytes, rng: random.Random) -> bytes:
    """The JSON changed in a place, a calibration's digest made anew."""
    try:
        content = mutated_json(json.loads(data[1:]), rng)
        if data[:1] != b"D" and isinstance(content, dict) and rng.randrange(8):
            content["digest"] = digest_of(content)
        return data[:1] + json.dumps(content).encode()
    except (ValueError, RecursionError, OverflowError):
        return mutated_bytes(data, rng)
