"""Token tables: token bytes -> a row of counts. Open addressing, one layout for documents, batches and the corpus.

    slots    uint64   tag (high 32 bits of the hash) | row + 1; 0 is empty; a power of two, at most half full
    rows     int64    FIELDS to a row: one cache line
    bytes    uint8    the tokens' bytes one after the other, PADDING behind the last
    fill     int64    [rows in use, bytes in use]

A hash never stands for a token: the first 8 bytes are compared in the row (they are the whole token, mostly), the rest
in `bytes`. The hash is seeded at random in each process, since corpora are hostile and open addressing is not
forgiving; no result depends on the order of rows.

Kernels never grow a table. They ask `has_room` first, and the Python side calls `ensure_room` and begins again.
"""

import os
from typing import NamedTuple

import numpy as np

from textassay._numba.jit import inlined, kernel
from textassay._numba.lanes import ONE, PADDING, load64, multiply_wide

FIELDS = 8
KEY, HASH, OFFSET, LENGTH, COUNT = range(5)
# In a document: FIRST and LAST token position, MARKER its id in the lexicon, and behind that STABLE, the seedless hash,
# for its fingerprints, or its number in the anchor.
FIRST, LAST, MARKER = 5, 6, 7
# In a batch, and in the corpus: DOCUMENTS the document frequency. A batch has LAST, the corpus PEAK and STABLE, the
# seedless hash.
DOCUMENTS, PEAK, STABLE = 5, 6, 7

SEED = np.frombuffer(os.urandom(8), np.uint64)[0] | ONE

_MIX = np.uint64(0x9E3779B97F4A7C15)
_TAG = np.uint64(0xFFFFFFFF00000000)
_ROW = np.uint64(0x00000000FFFFFFFF)


class TokenTable(NamedTuple):
    slots: np.ndarray
    rows: np.ndarray
    bytes: np.ndarray
    fill: np.ndarray
    seed: np.uint64


def new_table(rows: int, size: int) -> TokenTable:
    """Room for `rows` tokens of `size` bytes together."""
    slots = np.zeros(max(64, 1 << (2 * rows - 1).bit_length()), np.uint64)
    fill = np.zeros(2, np.int64)
    return TokenTable(slots, np.empty((rows, FIELDS), np.int64), np.zeros(size + PADDING, np.uint8), fill, SEED)


def copy_table(table: TokenTable) -> TokenTable:
    return TokenTable(*(array.copy() for array in table[:4]), table.seed)


def ensure_room(table: TokenTable, rows: int, size: int) -> TokenTable:
    """The table, or a larger one of the same content, with room for `rows` more tokens of `size` more bytes."""
    used, used_bytes = (int(n) for n in table.fill)
    slots, all_rows, data = table.slots, table.rows, table.bytes
    if used + rows > len(all_rows):
        all_rows = np.empty((max(used + rows, len(all_rows) * 3 // 2), FIELDS), np.int64)
        all_rows[:used] = table.rows[:used]
    if used_bytes + size + PADDING > len(data):
        data = np.empty(max(used_bytes + size + PADDING, len(data) * 3 // 2), np.uint8)
        data[: used_bytes + PADDING] = table.bytes[: used_bytes + PADDING]
    if len(slots) < 2 * len(all_rows):
        slots = np.zeros(1 << (2 * len(all_rows) - 1).bit_length(), np.uint64)
        _fill_slots(slots, all_rows, used)
    return TokenTable(slots, all_rows, data, table.fill, table.seed)


@kernel
def has_room(table, rows, size):
    return table.fill[0] + rows <= len(table.rows) and table.fill[1] + size + PADDING <= len(table.bytes)


@kernel
def clear(table):
    """Empties the slots that are in use: a table sized for a novel costs nothing where the next text is a line."""
    used = table.fill[0]
    if used * 4 > len(table.slots):
        table.slots[:] = 0
    else:
        mask = np.uint64(len(table.slots) - 1)
        for row in range(used):
            # Forget the whole run: later tokens of this loop find their slot empty already, which is all they want.
            slot = np.uint64(table.rows[row, HASH]) & mask
            while table.slots[slot]:
                table.slots[slot] = 0
                slot = slot + ONE & mask
    table.fill[:] = 0


@kernel
def _fill_slots(slots, rows, used):
    mask = np.uint64(len(slots) - 1)
    for row in range(used):
        hashed = np.uint64(rows[row, HASH])
        slot = hashed & mask
        while slots[slot]:
            slot = slot + ONE & mask
        slots[slot] = hashed & _TAG | np.uint64(row + 1)


@inlined
def rebuild_slots(table):
    table.slots[:] = 0
    _fill_slots(table.slots, table.rows, table.fill[0])


@inlined
def first_bytes(word, length):
    """The first `length` bytes of the 8 in `word`, zeros behind."""
    return word if length >= 8 else word & ((ONE << np.uint64(8 * length)) - ONE)


@inlined
def mix(state, word):
    high, low = multiply_wide(state ^ word, _MIX)
    return high ^ low


@inlined
def start_hash(seed, length):
    return seed + np.uint64(length) * _MIX


@inlined
def finish_hash(seed, state):
    """The low bits choose the slot and the high ones are the tag."""
    high, low = multiply_wide(state, seed)
    return high ^ low


@inlined
def copy_bytes(target, at, source, begin, size):
    for position in range(size):
        target[at + position] = source[begin + position]


@kernel
def hash_bytes(seed, data, offset, length):
    """The seeded hash; reads PADDING behind the token."""
    state = start_hash(seed, length)
    for position in range(0, max(length, 1), 8):
        state = mix(state, first_bytes(load64(data, offset + position), length - position))
    return finish_hash(seed, state)


@kernel
def same_tail(a, a_offset, b, b_offset, length):
    """Are bytes 8 to length equal? Of tokens whose first 8 are known to be."""
    for position in range(8, length, 8):
        left = first_bytes(load64(a, a_offset + position), length - position)
        if left != first_bytes(load64(b, b_offset + position), length - position):
            return False
    return True


@inlined
def find(table, mask, hashed, key, data, offset, length):
    """The token's row, or -1 - slot, the slot that would be its own."""
    tag = hashed & _TAG
    slot = hashed & mask
    while True:
        entry = table.slots[slot]
        if entry == 0:
            return -1 - np.int64(slot)
        if entry & _TAG == tag:
            row = np.int64(entry & _ROW) - 1
            same_head = np.uint64(table.rows[row, KEY]) == key and table.rows[row, LENGTH] == length
            if same_head and (length <= 8 or same_tail(data, offset, table.bytes, table.rows[row, OFFSET], length)):
                return row
        slot = slot + ONE & mask


@inlined
def insert(table, slot, hashed, key, data, offset, length):
    """A new row at `slot`, counts zero; the caller knows that there is room."""
    row = table.fill[0]
    target = table.fill[1]
    table.slots[slot] = hashed & _TAG | np.uint64(row + 1)
    copy_bytes(table.bytes, target, data, offset, length)
    table.fill[0] = row + 1
    table.fill[1] = target + length
    table.rows[row, KEY] = np.int64(key)
    table.rows[row, HASH] = np.int64(hashed)
    table.rows[row, OFFSET] = target
    table.rows[row, LENGTH] = length
    for field in range(COUNT, FIELDS):
        table.rows[row, field] = 0
    return row


@kernel
def find_or_insert(table, hashed, key, data, offset, length):
    """The token's row. The caller has made sure of room."""
    row = find(table, np.uint64(len(table.slots) - 1), hashed, key, data, offset, length)
    if row < 0:
        row = insert(table, -1 - row, hashed, key, data, offset, length)
    return row


@kernel
def characters(data, offset, length):
    """Code points of a token: bytes that are no continuation byte."""
    count = 0
    for position in range(offset, offset + length):
        count += data[position] & 0xC0 != 0x80
    return count


_FNV_BASIS = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)
_FINISH_1 = np.uint64(0xFF51AFD7ED558CCD)
_FINISH_2 = np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT = np.uint64(33)


@inlined
def finished(state):
    """The last steps of MurmurHash3: a bijection that makes every bit depend on every other."""
    state = (state ^ state >> _SHIFT) * _FINISH_1
    state = (state ^ state >> _SHIFT) * _FINISH_2
    return state ^ state >> _SHIFT


@kernel
def stable_hash(data, offset, length):
    """FNV-1a with a finisher: seedless, since it decides which types a bounded profile keeps."""
    state = _FNV_BASIS
    for position in range(offset, offset + length):
        state = (state ^ np.uint64(data[position])) * _FNV_PRIME
    return finished(state)


def token_hash(token: bytes) -> int:
    """The stable 64-bit hash that decides about sampling."""
    return int(stable_hash(np.frombuffer(token, np.uint8), 0, len(token)))


def token_hashes(data: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Of each token data[offsets[i]:offsets[i + 1]]. Raises ValueError where the offsets don't ascend within the data."""
    if len(offsets) < 1 or offsets[0] < 0 or offsets[-1] > len(data) or (offsets[1:] < offsets[:-1]).any():
        raise ValueError("offsets: wanted them ascending within data")
    hashes = np.empty(len(offsets) - 1, np.uint64)
    _hash_tokens(data, offsets, hashes)
    return hashes


@kernel
def _hash_tokens(data, offsets, hashes):
    for i in range(len(hashes)):
        hashes[i] = stable_hash(data, offsets[i], offsets[i + 1] - offsets[i])


@kernel
def find_row_of_bytes(table, data, offset, length):
    """find_or_insert where the hash isn't known yet; data has PADDING behind the token."""
    hashed = hash_bytes(table.seed, data, offset, length)
    return find_or_insert(table, hashed, first_bytes(load64(data, offset), length), data, offset, length)
