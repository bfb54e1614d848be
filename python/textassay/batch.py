"""The published batch entropy audit, on token ids."""

from collections.abc import Iterator, Sequence
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay import _backend

HIGH, LOW = "HIGH", "LOW"
HOLD, PROCEED = "HOLD_FOR_REVIEW", "PROCEED"
MAX_VOCABULARY = 1 << 62
DENSE_VOCABULARY = 1 << 24
"""Up to here, or to the number of ids, a counter for each id of the vocabulary is allocated."""

Ids = NDArray[np.integer[Any]]


def batch_entropy_audit(token_ids: Any, vocab_size: int, floor: float = 3.2) -> dict[str, Any]:
    """Entropy and type-token ratio over all ids of all sequences of a batch.

    `token_ids` is a list of ids, a list of lists of ids (of any lengths, nested at will), or a numpy array of any
    integer dtype and any shape. Returns `entropy_bits` (3 digits), `type_token_ratio` (4 digits), `below_floor`
    (entropy < `floor`), `synthetic_risk` ("HIGH" or "LOW") and `action` ("HOLD_FOR_REVIEW" or "PROCEED").

    The floor of 3.2 bits is the published one; it does not separate human from synthetic text at usual batch sizes
    and has to be calibrated for a tokenizer and a domain.

    Raises `ValueError` on an empty batch, on an id below 0 or not below `vocab_size`, and `TypeError` on an id that
    is no integer; both name the position and the value.
    """
    vocab_size = index(vocab_size)
    if not 0 < vocab_size <= MAX_VOCABULARY:
        raise ValueError(f"vocab_size={vocab_size}: wanted a number from 1 to {MAX_VOCABULARY}")
    parts = _parts(token_ids)
    for place, ids in parts:
        _check_range(place, ids, vocab_size)
    # All fit into int64 now; numpy would make floats of int64 and uint64 together.
    ids = (
        parts[0][1].reshape(-1)
        if len(parts) == 1
        else np.concatenate([i.reshape(-1).astype(np.int64) for _, i in parts])
    )
    if ids.size == 0:
        raise ValueError("the batch is empty: wanted at least one token id")
    if vocab_size > max(ids.size, DENSE_VOCABULARY):
        ids = np.unique(ids, return_inverse=True)[1]
        vocab_size = int(ids.max()) + 1
    entropy, n_types = _backend.get().count_ids(ids, vocab_size)
    figures = {"entropy_bits": round(entropy, 3), "type_token_ratio": round(n_types / ids.size, 4)}
    return figures | verdict(entropy, floor)


def verdict(entropy: float, floor: float) -> dict[str, Any]:
    """`below_floor`, `synthetic_risk` and `action` of a batch."""
    below = bool(entropy < floor)
    return {
        "below_floor": below,
        "synthetic_risk": HIGH if below else LOW,
        "action": HOLD if below else PROCEED,
    }


def _parts(token_ids: Any) -> list[tuple[str, Ids]]:
    """Integer arrays in order, each with its place within `token_ids`, as in "[2]"."""
    if hasattr(token_ids, "__array__"):
        return [("", _checked(np.asarray(token_ids), ""))]
    if not _is_sequence(token_ids):
        kind = type(token_ids).__name__
        raise TypeError(f"token_ids: wanted a list, lists of lists or a numpy array of integers, found {kind}")
    return list(_walk(token_ids, "")) or [("", np.zeros(0, np.int64))]


def _walk(ids: Sequence[Any], place: str) -> Iterator[tuple[str, Ids]]:
    if all(map(_is_integer, set(map(type, ids)))):
        yield place, _from_integers(ids)
        return
    for position, item in enumerate(ids):
        here = f"{place}[{position}]"
        if hasattr(item, "__array__") and not np.isscalar(item):
            yield here, _checked(np.asarray(item), here)
        elif _is_sequence(item):
            yield from _walk(item, here)
        elif _is_integer(type(item)):
            yield here, _from_integers([item]).reshape(())
        else:
            raise TypeError(f"token_ids{here}: wanted an integer, found {item!r}")


def _is_sequence(item: Any) -> bool:
    return isinstance(item, Sequence) and not isinstance(item, (str, bytes))


def _is_integer(kind: type) -> bool:
    return issubclass(kind, (int, np.integer)) and kind is not bool


def _from_integers(ids: Sequence[Any]) -> Ids:
    try:
        return np.array(ids, np.int64)
    except OverflowError:  # out of any range; as objects, so that the error can name the value
        return np.array(ids, object)


def _checked(array: NDArray[Any], place: str) -> Ids:
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"token_ids{place}: wanted integers, found an array of {array.dtype}")
    return np.ascontiguousarray(array, array.dtype.newbyteorder("="))


def _check_range(place: str, ids: Ids, vocab_size: int) -> None:
    if ids.size == 0 or (ids.min() >= 0 and ids.max() < vocab_size):
        return
    flat = int(np.flatnonzero((ids < 0) | (ids >= vocab_size))[0])
    inner = ", ".join(map(str, np.unravel_index(flat, ids.shape)))
    where = f"{place}[{inner}]" if inner else place
    raise ValueError(f"token_ids{where} is {ids.flat[flat]}: wanted an id from 0 to {vocab_size - 1}")
