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

_LOOKED_UP = ("token_bytes", "token_offsets", "word_slots", "unigrams")


class Anchor:
    """A frozen anchor, mapped from its file; all processes of a machine share the memory.

    `digest` (hex) names it: profiles measured against different anchors cannot be added up.
    """

    def __init__(self, file: AnchorFile) -> None:
        self._file = file
        self.path, self.digest, self.header, self.arrays = file.path, file.digest, file.header, file.arrays
        try:
            self.for_backend = self._for_backend()
        except (ValueError, KeyError, TypeError) as error:
            raise AnchorError(self.path, f"the header does not fit the arrays: {error}") from error

    def _for_backend(self) -> Any:
        header, arrays = self.header, self.arrays
        if type(header["order"]) is not int or not 1 <= header["order"] <= MAX_ORDER:
            raise ValueError(f"wanted an order of at most {MAX_ORDER}, found {str(header['order'])[:40]}")
        tables = [f"ngrams_{order}" for order in range(2, header["order"] + 1)]
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
        begin, end = self.arrays["token_offsets"][number : number + 2].tolist()
        return self.arrays["token_bytes"][begin:end].tobytes()

    def ngrams(self, order: int) -> tuple[NDArray[np.uint32], NDArray[np.float32], NDArray[np.float32] | None]:
        """Word numbers, shape (n, order), log10 probabilities and log10 backoffs (None for the highest order)."""
        if not 1 <= order <= min(self.order, MAX_ORDER):
            raise ValueError(f"order {order}: the model's is {self.order}")
        if order == 1:
            words = np.arange(self.header["n_modelled"], dtype=np.uint32)[:, None]
            return words, self.arrays["unigram_log10"], self.arrays["unigram_backoff_log10"]
        words = self.arrays[f"words_{order}"].reshape(-1, order)
        return words, self.arrays[f"log10_{order}"], self.arrays.get(f"backoff_log10_{order}")

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


def as_anchor(anchor: Anchor | str | PathLike[str] | None) -> Anchor | None:
    return anchor if anchor is None or isinstance(anchor, Anchor) else load_anchor(anchor)


def load_anchor(path: str | PathLike[str]) -> Anchor:
    """Opens an anchor file. Raises `AnchorError` where it is not whole, of another version, or something else."""
    return Anchor(AnchorFile(Path(path)))
