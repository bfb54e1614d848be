"""The reader of anchor files: an anchor that measures, the same on both backends, or an `AnchorError`. Also where the arrays are not
what was written, as long as nobody has asked `verify`: numbers may be anything then, but nothing is read outside of the file.
"""

import json
import random
import struct
import tempfile
import zlib
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

import arpa
import textassay as ta
from mutation import mutated_bytes, mutated_json
from textassay import _backend
from textassay.anchor import load_anchor
from textassay.anchor.arpa import import_arpa
from textassay.errors import AnchorError, ProfileError

SIGNALS = ["perplexity", "oov_rate", "tail_share", "anchor_overlap"]
TEXTS = ["a b a", "b c", "a b a b a. It's a word.", "", " ".join(["a", "b", "the"] * 12)]

_PREAMBLE = struct.Struct("<8sIIQI")


def seeds() -> Iterator[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        model, path = Path(folder, "m.arpa"), Path(folder, "m.anchor")
        for text in arpa.seeds():
            model.write_bytes(text)
            import_arpa(model, path)
            yield path.read_bytes()
        corpus = Path(folder, "corpus.jsonl")
        corpus.write_text(
            "".join(json.dumps({"text": " ".join(["the a b"] * n) + " end."}) + "\n" for n in range(3, 12))
        )
        ta.build_anchor([corpus], path)
        yield path.read_bytes()


def check(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.anchor")
        path.write_bytes(data)
        native, numba = (_outcome(path, backend) for backend in ("native", "numba"))
        assert native == numba, f"native {native}, numba {numba}"


def _outcome(path: Path, backend: str) -> Any:
    with _backend.using(backend):
        try:
            anchor = load_anchor(path)
        except AnchorError:
            return "refused"
        anchor.describe()
        try:
            anchor.verify()
        except AnchorError:
            is_whole = False
        else:
            is_whole = True
        try:
            profile = anchor.profile
        except ProfileError:
            profile = None
        found = ta.measure(TEXTS, SIGNALS, anchor=anchor)
        values = [np.nan_to_num(np.asarray(found[name], np.float64), nan=-1.0).tolist() for name in SIGNALS]
        return is_whole, profile is None, values if is_whole else None


def mutate(data: bytes, rng: random.Random) -> bytes:
    """An array or the header changed, the checksums of both made anew, mostly."""
    try:
        _, _, length, offset, _ = _PREAMBLE.unpack_from(data)
        header = json.loads(data[offset : offset + length])
        arrays = {
            name: (entry["offset"], entry["n"] * int(entry["type"][1])) for name, entry in header["arrays"].items()
        }
    except (struct.error, ValueError, KeyError, TypeError, RecursionError, AttributeError, OverflowError, IndexError):
        return mutated_bytes(data, rng)
    body = bytearray(data[:offset])
    if rng.randrange(2) and arrays:
        name, (begin, size) = rng.choice(sorted(arrays.items()))
        try:
            changed = mutated_bytes(bytes(body[begin : begin + size]), rng)[:size]
            body[begin : begin + len(changed)] = changed
            if rng.randrange(8):
                header["arrays"][name]["blake2b"] = blake2b(body[begin : begin + size], digest_size=16).hexdigest()
        except (TypeError, OverflowError):
            return mutated_bytes(data, rng)
    else:
        header = mutated_json(header, rng)
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    body[: _PREAMBLE.size] = _PREAMBLE.pack(b"\x89TAA\r\n\x1a\n", 1, len(text), len(body), zlib.crc32(text))
    return bytes(body) + text
