"""Fingerprints of documents, by winnowing over n-grams of tokens (csrc/lm/fingerprints.hpp)."""

import numpy as np

from textassay._numba.histogram import LENGTH, OFFSET, STABLE, finished, stable_hash
from textassay._numba.jit import inlined, kernel

FINGERPRINT_TOKENS, WINNOWED = 13, 16
LINE_BITS = np.uint64(40)

_BASE = np.uint64(0x9E3779B97F4A7C15)
_LEAVING = np.uint64(pow(0x9E3779B97F4A7C15, FINGERPRINT_TOKENS, 1 << 64))


@inlined
def _hash_runs(table, ids, n_tokens, runs):
    """The hash of each run of FINGERPRINT_TOKENS tokens; returns how many."""
    for row in range(table.fill[0]):
        table.rows[row, STABLE] = np.int64(stable_hash(table.bytes, table.rows[row, OFFSET], table.rows[row, LENGTH]))
    total = np.uint64(0)
    for place in range(n_tokens):
        total = total * _BASE + np.uint64(table.rows[ids[place], STABLE])
        if place + 1 < FINGERPRINT_TOKENS:
            continue
        if place >= FINGERPRINT_TOKENS:
            total -= _LEAVING * np.uint64(table.rows[ids[place - FINGERPRINT_TOKENS], STABLE])
        runs[place + 1 - FINGERPRINT_TOKENS] = finished(total)
    return max(0, n_tokens + 1 - FINGERPRINT_TOKENS)


@inlined
def _place_of_least(hashes, begin, end):
    """The last of the least."""
    least = begin
    for place in range(begin + 1, end):
        if hashes[place] <= hashes[least]:
            least = place
    return least


@inlined
def _winnow(hashes, n_hashes):
    """Keeps the least of each group of consecutive hashes, each place once, at the front; returns how many."""
    group = min(WINNOWED, n_hashes)
    kept, least, kept_last = 0, 0, n_hashes
    for place in range(n_hashes):
        if place - least == group:
            least = _place_of_least(hashes, place + 1 - group, place + 1)
        elif hashes[place] <= hashes[least]:
            least = place
        if place + 1 < group or least == kept_last:
            continue
        kept_last = least
        hashes[kept] = hashes[least]
        kept += 1
    return kept


@kernel
def find_fingerprints(table, ids, n_tokens, fingerprints):
    """Of a document, into `fingerprints`, which has room for n_tokens; returns how many. Types lose their markers."""
    return _winnow(fingerprints, _hash_runs(table, ids, n_tokens, fingerprints))


@inlined
def _place_of(values, wanted):
    """The last that is not above `wanted`, or the first."""
    place, size = 0, len(values)
    while size > 1:
        half = size // 2
        if values[place + half] <= wanted:
            place += half
        size -= half
    return place


@kernel
def count_overlap(anchor_fingerprints, fingerprints, n_fingerprints, met):
    """How many of a document's fingerprints are the anchor's; notes them in `met`, unless that is empty."""
    overlap = 0
    if len(anchor_fingerprints) == 0:
        return overlap
    for index in range(n_fingerprints):
        place = _place_of(anchor_fingerprints, fingerprints[index])
        if anchor_fingerprints[place] == fingerprints[index]:
            overlap += 1
            if len(met):
                met[place] = 1
    return overlap


@kernel
def append_fingerprints(fingerprints, n_fingerprints, document, held, fill):
    """Pairs of fingerprint and document; there is room."""
    place = fill[0]
    for index in range(n_fingerprints):
        held[place, 0] = fingerprints[index]
        held[place, 1] = document
        place += 1
    fill[0] = place


def first_of_each(held: np.ndarray) -> np.ndarray:
    """Sorted, each fingerprint once, with the first document that has it."""
    held = held[np.lexsort((held[:, 1], held[:, 0]))]
    is_first = np.ones(len(held), np.bool_)
    is_first[1:] = held[1:, 0] != held[:-1, 0]
    return held[is_first]
