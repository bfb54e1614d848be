"""The file of a calibration: JSON, checked like a detector's model; docs/calibration.md names every key."""

import base64
import binascii
import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from textassay.atomic import replacing
from textassay.detector import FEATURES, MODEL_LIMIT, Detector, ModelReader
from textassay.errors import UsageError
from textassay.lexicon import default_lexicon
from textassay.summary import is_damaged
from textassay.versions import unlike

FORMAT = "textassay.calibration/1"
REFERENCE_SIGNAL = "synthetic_logit"
MALFORMED = "malformed_"
"""Begins the reasons that a scan gives; the others are about labels and groups."""
MOST_NAME = 40
MOST_RATES = 8
MOST_FLOORS = 64

_KEYS = ("format", "digest", "features", "name", "weights", "markers", "calibrator", "false_positive_rates")
_KEYS += ("bands", "reference", "floors", "report")
_FLOOR_KEYS = ("tokens", "batch_tokens", "floor_bits")


@dataclass(frozen=True)
class Calibration:
    """What `calibrate` found. `Calibration.load(path)`, or `Detector.load(path)` for the detector alone."""

    detector: Detector
    """Its `reference` says how many of the labelled documents fall into each bin of `synthetic_logit`, by models that had
    not seen their groups.
    """
    floors: tuple[Mapping[str, Any], ...]
    """`tokens` (word or char), `batch_tokens`, `floor_bits`."""
    report: Mapping[str, Any]
    """All figures; docs/calibration.md."""
    content: Mapping[str, Any] = field(repr=False)
    """The file as an object."""
    errors: tuple[Mapping[str, Any], ...] = ()
    """The first 1,000 records that are left out: `file`, `line`, `byte_offset`, `reason`. Not in the file."""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """What became of every input byte. Not in the file."""

    @property
    def left_out(self) -> dict[str, int]:
        """Records that took no part, by reason."""
        return dict(self.report["documents"]["left_out"])

    def is_damaged(self, malformed_budget: float = 0) -> bool:
        """Whether a file was damaged, or more records than the budget allows were malformed or without a usable label.

        A budget below 1 is a share of all records, otherwise a number of them.
        """
        unusable = sum(count for reason, count in self.left_out.items() if not reason.startswith(MALFORMED))
        malformed, documents = self.inputs["malformed"] + unusable, self.inputs["documents"] - unusable
        return is_damaged({**self.inputs, "malformed": malformed, "documents": documents}, malformed_budget)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "Calibration":
        return load_calibration(path)

    def save(self, path: str | PathLike[str]) -> None:
        """Writes the file, whole or not at all. Raises `OutputError`."""
        with replacing(path) as stream:
            stream.write(text_of(self.content).encode())


def load_calibration(path: str | PathLike[str]) -> Calibration:
    """Raises `UsageError` on anything that `calibrate` would not have written."""
    try:
        with Path(path).open("rb") as stream:
            text = stream.read(MODEL_LIMIT + 1)
    except OSError as error:
        raise UsageError(f"cannot read the calibration {fspath(path)}: {error.strerror or error}") from error
    return CalibrationReader(fspath(path)).read_text(text)


def calibration_of(content: Mapping[str, Any], **more: Any) -> Calibration:
    """Checks what is about to be written just as what is read. `more`: `errors` and `inputs`."""
    whole = {"format": FORMAT, "features": FEATURES, "markers": default_lexicon().digest} | dict(content)
    whole["digest"] = digest_of(whole)
    return CalibrationReader("made here").read_text(text_of(whole).encode(), **more)


def text_of(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n"


def digest_of(content: Mapping[str, Any]) -> str:
    """BLAKE2b-64 of all keys but `digest`, in hex."""
    rest = {key: value for key, value in content.items() if key != "digest"}
    return hashlib.blake2b(text_of(rest).encode(), digest_size=8).hexdigest()


def packed_weights(weights: NDArray[np.int8]) -> dict[str, str]:
    """The `weights` of a table that no textassay ships: `blake2b` and `zstd_base64`."""
    raw = weights.astype(np.int8).tobytes()
    packed = zstandard.ZstdCompressor(level=19, write_checksum=True).compress(raw)
    digest = hashlib.blake2b(raw, digest_size=8).hexdigest()
    return {"blake2b": digest, "zstd_base64": base64.b64encode(packed).decode()}


def shipped_weights() -> dict[str, str]:
    """The `weights` of a calibration that stands on the shipped detector: its `name`, and `blake2b` of its table."""
    shipped = Detector.default()
    return {"name": shipped.name, "blake2b": hashlib.blake2b(shipped.weights.tobytes(), digest_size=8).hexdigest()}


class CalibrationReader(ModelReader):
    """Checks a calibration, hostile ones too: sizes first, then every key and number. `report` is kept as it is."""

    file = "file"

    def _fail(self, reason: str) -> UsageError:
        return UsageError(f"the calibration {self.name}: {reason}")

    def read_text(self, text: bytes, **more: Any) -> Calibration:
        content = self._json(text)
        if isinstance(content, dict) and content.get("format") != FORMAT:
            raise self._fail(unlike(content.get("format"), FORMAT))
        self._keys(content, _KEYS, "the file")
        try:
            digest = digest_of(content)
        except (ValueError, RecursionError) as error:
            raise self._fail(f"it is nested too deeply, or a number in it is none: {error}") from error
        if content["digest"] != digest:
            raise self._fail("it is not as it was written: the digest differs")
        if content["features"] != FEATURES:
            raise self._fail(f"wanted features {FEATURES}, found {str(content['features'])[:40]}")
        if not isinstance(content["name"], str) or not 0 < len(content["name"]) <= MOST_NAME:
            raise self._fail(f"wanted a name of 1 to {MOST_NAME} characters")
        if content["markers"] != default_lexicon().digest:
            raise self._fail("it was made with another marker lexicon than this textassay has")
        if not isinstance(content["report"], dict):
            raise self._fail("wanted an object as report")
        self.rates = self._rates(content["false_positive_rates"])
        detector = Detector(
            name=content["name"],
            weights=self._table(content["weights"]),
            bands=self._bands(content["bands"]),
            digest=content["digest"],
            reference=self._reference(content["reference"]),
            false_positive_rates=self.rates,
            fpr=self.rates[0],
            is_calibrated=True,
            **self._calibrator(content["calibrator"]),
        )
        return Calibration(detector, self._floors(content["floors"]), content["report"], content, **more)

    def _rates(self, found: Any) -> tuple[float, ...]:
        rates = self._numbers(found, range(1, MOST_RATES + 1), "rates of false positives")
        if not 0 < rates[0] <= rates[-1] < 1 or any(b <= a for a, b in itertools.pairwise(rates)):
            raise self._fail("wanted ascending rates of false positives between 0 and 1")
        return rates

    def _table(self, found: Any) -> NDArray[np.int8]:
        if isinstance(found, dict) and "name" in found:
            self._keys(found, ("name", "blake2b"), "weights")
            if found != shipped_weights():
                base = f"{str(found['name'])[:40]} with the weights {str(found['blake2b'])[:40]}"
                raise self._fail(f"it stands on the detector {base}, which this textassay does not have")
            return Detector.default().weights
        self._keys(found, ("blake2b", "zstd_base64"), "weights")
        try:
            packed = base64.b64decode(found["zstd_base64"], validate=True)
        except (TypeError, ValueError, binascii.Error) as error:
            raise self._fail(f"the weights are no base64: {error}") from error
        return self._weights({"blake2b": found["blake2b"]}, packed)

    def _floors(self, found: Any) -> tuple[Mapping[str, Any], ...]:
        if not isinstance(found, list) or len(found) > MOST_FLOORS:
            raise self._fail(f"wanted at most {MOST_FLOORS} floors")
        for floor in found:
            self._keys(floor, _FLOOR_KEYS, "a floor")
            if floor["tokens"] not in ("word", "char"):
                raise self._fail("wanted word or char as the tokens of a floor")
            if type(floor["batch_tokens"]) is not int or not 1 <= floor["batch_tokens"] <= 1 << 25:
                raise self._fail("wanted a number from 1 to 2^25 as batch_tokens of a floor")
            if not 0 <= self._number(floor["floor_bits"], "floor_bits") <= 25:
                raise self._fail("wanted 0 to 25 bits as a floor")
        return tuple(found)
