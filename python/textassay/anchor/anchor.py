"""An anchor to measure with."""

from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay import _backend
from textassay.anchor.file import AnchorFile
from textassay.anchor.ngrams import MAX_ORDER, SPECIALS
from textassay.detector import Detector, histogram_of
from textassay.errors import AnchorError
from textassay.profile import Profile
from textassay.tap_format import TOTALS

_LOOKED_UP = ("token_bytes", "token_offsets", "word_slots", "unigrams")


class Anchor:
    """A frozen anchor, mapped from its file; all processes of a machine share the memory.

    `digest` (hex) names it: profiles measured against different anchors cannot be added up.
    """

    def __init__(self, file: AnchorFile) -> None:
        self._file = file
        self.path, self.digest, self.header, self.arrays = file.path, file.digest, file.header, file.arrays
        check_header(self.path, self.header)
        try:
            self.for_backend = self._for_backend()
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise AnchorError(self.path, f"the header does not fit the arrays: {error}") from error

    def _for_backend(self) -> Any:
        header, arrays = self.header, self.arrays
        tables = [f"ngrams_{order}" for order in range(2, int(header["order"]) + 1)]
        looked_up = {name: arrays[name] for name in (*_LOOKED_UP, *tables)}
        if "fingerprints" in arrays:
            looked_up["fingerprints"] = arrays["fingerprints"]
            if len(arrays["fingerprint_documents"]) != len(arrays["fingerprints"]):
                raise ValueError("fingerprint_documents: wanted one a fingerprint")
        tail_begin, tail_end = header["tail"]
        return _backend.get().Anchor(
            looked_up, n_modelled=header["n_modelled"], tail_begin=tail_begin, tail_end=tail_end
        )

    @property
    def order(self) -> int:
        return int(self.header["order"])

    @cached_property
    def profile(self) -> Profile | None:
        """The profile of the anchor's text; None for an imported model."""
        if "profile" not in self.arrays:
            return None
        return Profile.deserialize(self.arrays["profile"].tobytes())

    def logits_under(self, detector: Detector) -> NDArray[np.int64] | None:
        """The histogram of `synthetic_logit` of the anchor's documents; None where another detector or none looked at
        them. Raises `AnchorError` where the header holds no such thing.
        """
        suspects = self.header.get("suspects")
        try:
            if suspects is None or suspects["digest"] != detector.digest:
                return None
            return histogram_of(suspects["logits"])
        except (KeyError, TypeError, ValueError) as error:
            raise AnchorError(self.path, f"the logits of its documents: {error!r}") from error

    def word(self, number: int) -> bytes:
        """The folded UTF-8 of a word, or `<unk>`, `<s>`, `</s>`."""
        if number < len(SPECIALS):
            return SPECIALS[number]
        ends = self.arrays["token_offsets"][number : number + 2].tolist()
        if len(ends) < 2 or not ends[0] <= ends[1] <= len(self.arrays["token_bytes"]):
            raise AnchorError(self.path, f"word {number} does not lie within its words")
        return self.arrays["token_bytes"][ends[0] : ends[1]].tobytes()

    def ngrams(self, order: int) -> tuple[NDArray[np.uint32], NDArray[np.float32], NDArray[np.float32] | None]:
        """Word numbers, shape (n, order), log10 probabilities and log10 backoffs (None for the highest order)."""
        if not 1 <= order <= min(self.order, MAX_ORDER):
            raise ValueError(f"order {order}: the model's is {self.order}")
        n_modelled = self.header["n_modelled"]
        try:
            if order == 1:
                words = np.arange(n_modelled, dtype=np.uint32)[:, None]
                log10, backoff = self.arrays["unigram_log10"], self.arrays["unigram_backoff_log10"]
            else:
                words = self.arrays[f"words_{order}"].reshape(-1, order)
                log10, backoff = self.arrays[f"log10_{order}"], self.arrays.get(f"backoff_log10_{order}")
        except (KeyError, ValueError) as error:
            raise AnchorError(self.path, f"its {order}-grams are not whole: {error}") from error
        lengths = {len(one) for one in (words, log10, backoff) if one is not None}
        kinds = (words.dtype, log10.dtype, np.float32 if backoff is None else backoff.dtype)
        if len(lengths) > 1 or kinds != (np.uint32, np.float32, np.float32) or words.max(initial=0) >= n_modelled:
            raise AnchorError(self.path, f"its {order}-grams do not fit together")
        return words, log10, backoff

    def describe(self) -> dict[str, Any]:
        """What the anchor is, without its arrays: `digest`, `bytes` and the header."""
        about = {name: value for name, value in self.header.items() if name not in ("arrays", "suspects")}
        return {"digest": self.digest, "bytes": self._file.size, **about}

    def identity(self) -> dict[str, Any]:
        """What a summary says of the anchor: `digest`, `note`, `order`, `n_modelled`."""
        return {"digest": self.digest} | {name: self.header[name] for name in ("note", "order", "n_modelled")}

    def verify(self) -> None:
        """Raises `AnchorError` where the file is not, byte by byte, what was written."""
        self._file.verify()


_NUMBER = "a number from 0 to 2^63 - 1"
_KINDS = {
    "note": "a text",
    "order": _NUMBER,
    "n_modelled": _NUMBER,
    "tail": "two numbers",
    "ngrams": "numbers by name",
    "ngrams_not_in_tables": _NUMBER,
    "arrays": "an object",
}
_OPTIONAL = {
    "model": "a text",
    "settings": "an object",
    "totals": "numbers by name",
    "inputs": "a list of named files",
    "fingerprints": _NUMBER,
    "discounts": "a list",
    "suspects": "an object or null",
}


def check_header(path: Path, header: Any) -> None:
    """Raises `AnchorError` on a key that is unknown, missing, or of another kind than `build_anchor` and `import_arpa` write."""
    if not isinstance(header, dict) or not set(_KINDS) <= set(header) <= {*_KINDS, *_OPTIONAL}:
        found = ", ".join(header) if isinstance(header, dict) else type(header).__name__
        raise AnchorError(path, f"wanted {', '.join(_KINDS)} in the header, found {found[:200]}")
    for name, value in header.items():
        wanted = _KINDS.get(name) or _OPTIONAL[name]
        if not _is(value, wanted):
            raise AnchorError(path, f"{name}: wanted {wanted}, found {str(value)[:40]!r}")
    if not 2 <= header["order"] <= MAX_ORDER:
        raise AnchorError(path, f"order: wanted 2 to {MAX_ORDER}, found {header['order']}")
    if not set(TOTALS) <= set(header.get("totals", TOTALS)):
        raise AnchorError(path, f"totals: wanted {', '.join(TOTALS)}")


def _is(value: Any, wanted: str) -> bool:
    match wanted:
        case "a text":
            return isinstance(value, str)
        case "two numbers":
            return isinstance(value, list) and len(value) == 2 and all(_is(one, _NUMBER) for one in value)
        case "numbers by name":
            return isinstance(value, dict) and all(_is(one, _NUMBER) for one in value.values())
        case "a list of named files":
            return isinstance(value, list) and all(
                isinstance(one, dict) and _is(one.get("name"), "a text") for one in value
            )
        case "a list":
            return isinstance(value, list)
        case "an object" | "an object or null":
            return isinstance(value, dict) or value is None and wanted.endswith("null")
    return type(value) is int and 0 <= value < 1 << 63


def as_anchor(anchor: Anchor | str | PathLike[str] | None) -> Anchor | None:
    return anchor if anchor is None or isinstance(anchor, Anchor) else load_anchor(anchor)


def load_anchor(path: str | PathLike[str]) -> Anchor:
    """Opens an anchor file. Raises `AnchorError` where it is not whole, of another version, or something else."""
    return Anchor(AnchorFile(Path(path)))
