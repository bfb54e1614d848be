"""The published batch entropy audit, on token ids."""

from collections.abc import Iterator, Sequence
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay import _backend
from textassay.errors import UsageError

HIGH, LOW = "HIGH", "LOW"
HOLD, PROCEED = "HOLD_FOR_REVIEW", "PROCEED"
MAX_VOCABULARY = 1 << 62
MAX_BATCH = 1 << 26
"""Ids of a batch: so many have sums of c log2 c that fit in 64 bits (docs/semantics.md)."""

Ids = NDArray[np.integer[Any]]


def batch_entropy_audit(token_ids: Any, vocab_size: int, floor: float = 3.2) -> dict[str, Any]:
    """Entropy and type-token ratio over all ids of all sequences of a batch.

    `token_ids` is a list of ids, a list of lists of ids (of any lengths, nested at will), or an array of any integer
    dtype and any shape: numpy's, torch's (copied where it is on another device), or any other that speaks DLPack.
    A batch has at most 2^26 ids. Returns `entropy_bits` (3 digits), `type_token_ratio` (4 digits), `below_floor`
    (entropy < `floor`), `synthetic_risk` ("HIGH" or "LOW") and `action` ("HOLD_FOR_REVIEW" or "PROCEED").

    The floor of 3.2 bits is the published one; it does not separate human from synthetic text at usual batch sizes
    and has to be calibrated for a tokenizer and a domain.

    Raises `ValueError` on an empty batch, on an id below 0 or not below `vocab_size`, and `TypeError` on an id that
    is no integer; both name the position and the value.
    """
    vocab_size = checked_vocabulary(vocab_size)
    n_tokens, n_types, entropy = count_batch(token_ids, _backend.get().IdCounter(vocab_size), vocab_size)
    figures = {"entropy_bits": round(entropy, 3), "type_token_ratio": round(n_types / n_tokens, 4)}
    return figures | verdict(entropy, floor)


def checked_vocabulary(vocab_size: int) -> int:
    """Raises `UsageError` where it is out of range."""
    if not 0 < index(vocab_size) <= MAX_VOCABULARY:
        raise UsageError(f"vocab_size={vocab_size}: wanted a number from 1 to {MAX_VOCABULARY}")
    return index(vocab_size)


def count_batch(token_ids: Any, counter: Any, vocab_size: int, ignore_id: int | None = None) -> tuple[int, int, float]:
    """Tokens, distinct ones and entropy in bits of a batch, by a backend's IdCounter; `ignore_id` is no token.

    Raises as `batch_entropy_audit` does.
    """
    parts = _parts(token_ids)
    if any(ids.dtype == object for _, ids in parts):
        _check_range(parts, vocab_size, ignore_id)
    # All fit into int64, or are outside; numpy would make floats of int64 and uint64 together.
    ids = (
        parts[0][1].reshape(-1)
        if len(parts) == 1
        else np.concatenate([i.reshape(-1).astype(np.int64) for _, i in parts])
    )
    if ignore_id is not None:
        ids = ids[ids != ignore_id]
    if not 0 < ids.size <= MAX_BATCH:
        size = f"holds {ids.size} token ids" if ids.size else "is empty"
        raise ValueError(f"the batch {size}: wanted at least one token id, and at most {MAX_BATCH}")
    found = counter.measure(ids, np.array([ids.size]))
    if found["n_outside"][0]:
        _check_range(parts, vocab_size, ignore_id)
    return ids.size, int(found["n_types"][0]), float(found["entropy_bits"][0])


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
    if _is_array(token_ids):
        return [("", _array(token_ids, ""))]
    if not _is_sequence(token_ids):
        kind = type(token_ids).__name__
        raise TypeError(f"token_ids: wanted a list, lists of lists or an array of integers, found {kind}")
    return list(_walk(token_ids, "")) or [("", np.zeros(0, np.int64))]


def _walk(ids: Sequence[Any], place: str) -> Iterator[tuple[str, Ids]]:
    if all(map(_is_integer, set(map(type, ids)))):
        yield place, _from_integers(ids)
        return
    for position, item in enumerate(ids):
        here = f"{place}[{position}]"
        if _is_array(item):
            yield here, _array(item, here)
        elif _is_sequence(item):
            yield from _walk(item, here)
        elif _is_integer(type(item)):
            yield here, _from_integers([item]).reshape(())
        else:
            raise TypeError(f"token_ids{here}: wanted an integer, found {item!r}")


def _is_array(item: Any) -> bool:
    return (hasattr(item, "__array__") or hasattr(item, "__dlpack__")) and not np.isscalar(item)


def _array(item: Any, place: str) -> Ids:
    """Of numpy, of torch on any device (copied to the CPU where it is not there), or of whatever speaks DLPack."""
    if hasattr(item, "detach"):
        item = item.detach().cpu()
    if hasattr(item, "__array__"):
        return _checked(np.asarray(item), place)
    try:
        return _checked(np.from_dlpack(item), place)
    except (BufferError, RuntimeError) as error:
        raise TypeError(f"token_ids{place}: wanted an array in the CPU's memory: {error}") from error


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


def _check_range(parts: list[tuple[str, Ids]], vocab_size: int, ignore_id: int | None) -> None:
    for place, ids in parts:
        outside = ((ids < 0) | (ids >= vocab_size)) & (True if ignore_id is None else ids != ignore_id)
        if not outside.any():
            continue
        flat = int(np.flatnonzero(outside)[0])
        inner = ", ".join(map(str, np.unravel_index(flat, ids.shape)))
        where = f"{place}[{inner}]" if inner else place
        raise ValueError(f"token_ids{where} is {ids.flat[flat]}: wanted an id from 0 to {vocab_size - 1}")
