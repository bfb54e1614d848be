"""An anchor as documents are compared with it: numbers of words, the tail, and the model's look-ups (csrc/lm)."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from textassay._numba.histogram import COUNT, LENGTH, MARKER, OFFSET, finished, stable_hash
from textassay._numba.jit import inlined, kernel

UNKNOWN, BEGIN, END = 0, 1, 2
MAX_ORDER = 5
NUMBER = MARKER  # of a type: its word in the anchor, once the markers are counted

_COST_BITS = 13
_BACKOFF_BIAS = 8 << _COST_BITS
_FIELD_BITS = np.uint64(18)
_FIELD = np.uint64((1 << 18) - 1)
_TAG_SHIFT = np.uint64(36)
_BUCKET = 8
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_HALF, _ONE, _ZERO = np.uint64(32), np.uint64(1), np.uint64(0)
_LOW = np.uint64(0xFFFFFFFF)

_LN2 = 0.693147180559945309417
_MAX_BITS = 30.0
_TERMS = 18


class Arrays(NamedTuple):
    """All read-only. Without a model `order` is 0."""

    token_bytes: np.ndarray
    token_offsets: np.ndarray
    word_slots: np.ndarray
    unigrams: np.ndarray
    ngrams_2: np.ndarray
    ngrams_3: np.ndarray
    ngrams_4: np.ndarray
    ngrams_5: np.ndarray
    fingerprints: np.ndarray
    n_modelled: int
    tail_begin: int
    tail_end: int
    order: int
    has_fingerprints: bool


def _section(arrays: Mapping[str, Any], name: str, dtype: type, optional: bool = False) -> np.ndarray:
    if optional and name not in arrays:
        values = np.zeros(0, dtype)
    else:
        values = arrays[name]
        if not isinstance(values, np.ndarray) or values.dtype != dtype or not values.flags.c_contiguous:
            raise ValueError(f"{name}: wanted a C-contiguous array of another type")
        if values.ndim != 1:
            raise ValueError(f"{name}: wanted a 1-D array")
    view = values.view(np.ndarray)
    view.flags.writeable = False
    return view


def _check_table(table: np.ndarray, name: str) -> None:
    if table.ndim != 1 or len(table) < _BUCKET or len(table) % _BUCKET or len(table) // _BUCKET > 0xFFFFFFFF:
        raise ValueError(f"{name}: wanted buckets of 8 entries, from one on")


def _is_power_of_two(size: int) -> bool:
    return size > 0 and size & (size - 1) == 0


class Anchor:
    """Views of an anchor's arrays. Whatever the numbers inside them are, no look-up leaves them."""

    def __init__(self, arrays: Mapping[str, Any], *, n_modelled: int, tail_begin: int = 0, tail_end: int = 0) -> None:
        offsets = _section(arrays, "token_offsets", np.uint64)
        slots = _section(arrays, "word_slots", np.uint32)
        if not 4 <= len(offsets) <= 0xFFFFFFFF:
            raise ValueError("token_offsets: wanted 4 to 2^32 - 1 elements")
        if not _is_power_of_two(len(slots)):
            raise ValueError("word_slots: wanted a power of two of elements")
        n_words = len(offsets) - 1
        if not 3 <= n_modelled <= n_words:
            raise ValueError("n_modelled: wanted 3 to the number of words")
        if not 0 <= tail_begin <= tail_end <= n_words:
            raise ValueError("tail: wanted ascending word numbers")
        unigrams = _section(arrays, "unigrams", np.uint64, optional=True)
        if "unigrams" in arrays and len(unigrams) != n_modelled:
            raise ValueError("unigrams: wanted one a modelled word")
        tables, order = [], int("unigrams" in arrays)
        for longer in range(2, MAX_ORDER + 1):
            name = f"ngrams_{longer}"
            tables.append(_section(arrays, name, np.uint64, optional=True))
            if order == longer - 1 and name in arrays:
                _check_table(tables[-1], name)
                order = longer
        token_bytes = _section(arrays, "token_bytes", np.uint8)
        limits = (int(n_modelled), int(tail_begin), int(tail_end), order)
        fingerprints = _section(arrays, "fingerprints", np.uint64, optional=True)
        sections = (token_bytes, offsets, slots, unigrams, *tables, fingerprints)
        self.arrays = Arrays(*sections, *limits, "fingerprints" in arrays)


_NOTHING = {
    "token_bytes": np.zeros(0, np.uint8),
    "token_offsets": np.zeros(4, np.uint64),
    "word_slots": np.zeros(1, np.uint32),
}


def arrays_of(anchor: Anchor | None) -> Arrays:
    return (Anchor(_NOTHING, n_modelled=3) if anchor is None else anchor).arrays


# --- words


@inlined
def _is_word(anchor, word, data, offset, length):
    begin, end = anchor.token_offsets[word], anchor.token_offsets[word + 1]
    if begin > end or end > np.uint64(len(anchor.token_bytes)) or end - begin != np.uint64(length):
        return False
    for place in range(length):
        if anchor.token_bytes[np.int64(begin) + place] != data[offset + place]:
            return False
    return True


@kernel
def _number_of(anchor, data, offset, length):
    """The number of a word, or UNKNOWN."""
    n_words = len(anchor.token_offsets) - 1
    mask = np.uint64(len(anchor.word_slots) - 1)
    slot = stable_hash(data, offset, length) & mask
    for _ in range(len(anchor.word_slots)):
        word = np.int64(anchor.word_slots[slot])
        if word == UNKNOWN or word >= n_words:
            return UNKNOWN
        if _is_word(anchor, word, data, offset, length):
            return word
        slot = slot + _ONE & mask
    return UNKNOWN


@kernel
def compare_types(anchor, table):
    """Numbers the document's types; returns how many of its tokens the model doesn't know, and how many are rare."""
    unknown, rare = 0, 0
    for row in range(table.fill[0]):
        number = _number_of(anchor, table.bytes, table.rows[row, OFFSET], table.rows[row, LENGTH])
        table.rows[row, NUMBER] = number
        if anchor.tail_begin <= number < anchor.tail_end:
            rare += table.rows[row, COUNT]
        if number == UNKNOWN or number >= anchor.n_modelled:
            unknown += table.rows[row, COUNT]
    return unknown, rare


@kernel
def gather_stream(anchor, table, ids, n_tokens, lengths, n_sentences, stream):
    """The document's sentences as numbers, each between BEGIN and END; returns how many.

    A sentence takes what is left, the last one all of it: where a word straddles the end of a sentence, the lengths
    need not add up.
    """
    place, token = 0, 0
    for sentence in range(n_sentences):
        end = n_tokens if sentence + 1 == n_sentences else min(n_tokens, token + np.int64(lengths[sentence]))
        stream[place] = np.uint64(BEGIN)
        place += 1
        while token < end:
            number = table.rows[ids[token], NUMBER]
            stream[place] = np.uint64(number if number < anchor.n_modelled else UNKNOWN)
            place += 1
            token += 1
        stream[place] = np.uint64(END)
        place += 1
    return place


# --- the model


@inlined
def _first_place(table, hashed):
    return np.int64((hashed & _LOW) * np.uint64(len(table) // _BUCKET) >> _HALF) * _BUCKET


@kernel
def _find_entry(table, hashed):
    tag = hashed >> _TAG_SHIFT
    place = _first_place(table, hashed)
    for _ in range(len(table)):
        entry = table[place]
        if entry == _ZERO or entry >> _TAG_SHIFT == tag:
            return entry
        place = 0 if place + 1 == len(table) else place + 1
    return _ZERO


@inlined
def _cost_of(entry):
    return np.int64(entry >> _FIELD_BITS & _FIELD)


@inlined
def _backoff_of(entry):
    return np.int64(entry & _FIELD) - _BACKOFF_BIAS if entry else 0


@inlined
def _entry_of_order(anchor, order, hashed):
    if order == 2:
        return _find_entry(anchor.ngrams_2, hashed)
    if order == 3:
        return _find_entry(anchor.ngrams_3, hashed)
    if order == 4:
        return _find_entry(anchor.ngrams_4, hashed)
    return _find_entry(anchor.ngrams_5, hashed)


@kernel
def cost_of_stream(anchor, stream, size, entries):
    """The cost of all words and sentence ends. `entries`: room for (2, MAX_ORDER + 1)."""
    total = 0
    for place in range(size):
        old, new = 1 - place % 2, place % 2
        for order in range(MAX_ORDER + 1):
            entries[new, order] = _ZERO
        if stream[place] == np.uint64(BEGIN):
            continue
        cost = np.int64(anchor.unigrams[stream[place]] >> _HALF)
        backoff = np.int64(anchor.unigrams[stream[place - 1]] & _LOW) - _BACKOFF_BIAS
        hashed = finished(stream[place - 1] << _HALF | stream[place])
        is_present = True
        for order in range(2, anchor.order + 1):
            if order > 2:
                is_present = is_present and entries[new, order - 1] != _ZERO and entries[old, order - 1] != _ZERO
                if is_present:
                    hashed = finished(hashed ^ (stream[place - order + 1] + _ONE) * _GOLDEN)
            if is_present:
                entries[new, order] = _entry_of_order(anchor, order, hashed)
            cost = _cost_of(entries[new, order]) if entries[new, order] else cost + backoff
            backoff = _backoff_of(entries[old, order])
        total += cost
    return total


@kernel
def perplexity_of(cost, tokens):
    """2^(cost / tokens), at most 2^30, by the series of the exponential."""
    bits = np.float64(cost) / (np.float64(tokens) * np.float64(1 << _COST_BITS))
    bounded = min(max(bits, 0.0), _MAX_BITS)
    whole = math.floor(bounded + 0.5)
    x = (bounded - whole) * _LN2
    total = 1.0
    for k in range(_TERMS, 0, -1):
        total = 1.0 + x * total / np.float64(k)
    return math.ldexp(total, np.int64(whole))


# --- building


@kernel
def _fill(table, hashes, values):
    lost = 0
    for index in range(len(hashes)):
        tag = hashes[index] >> _TAG_SHIFT
        place = _first_place(table, hashes[index])
        seen = 0
        while seen < len(table) and table[place] != _ZERO and table[place] >> _TAG_SHIFT != tag:
            place = 0 if place + 1 == len(table) else place + 1
            seen += 1
        if seen == len(table) or table[place] != _ZERO:
            lost += 1
        else:
            table[place] = tag << _TAG_SHIFT | values[index]
    return lost


def fill_table(table: np.ndarray, hashes: np.ndarray, values: np.ndarray) -> int:
    """Puts entries into a table of n-grams; returns how many did not fit, since one with the same tag is in the way."""
    _check_table(table, "table")
    if values.shape != hashes.shape:
        raise ValueError(f"values: wanted a 1-D array of {len(hashes)} elements")
    return int(_fill(np.asarray(table), np.ascontiguousarray(hashes), np.ascontiguousarray(values)))
