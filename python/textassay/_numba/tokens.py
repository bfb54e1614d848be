"""Tokens of one document: each gets the number of its type, which is its row in the document's table.

On the way every row learns its count and where the type stood first and last, and the moving-average type-token ratio
falls out: a token is the first of its type in min(distance to the one before, WINDOW) of the windows that hold it.
"""

import numpy as np

from textassay._numba.histogram import (
    COUNT,
    FIRST,
    LAST,
    MARKER,
    TokenTable,
    ensure_room,
    find,
    finish_hash,
    first_bytes,
    has_room,
    hash_bytes,
    insert,
    mix,
    new_table,
    start_hash,
)
from textassay._numba.jit import inlined, kernel
from textassay._numba.lanes import PADDING, load64, store64
from textassay._numba.segmentation import find_words, padded
from textassay._numba.unicode_tables import CODE_POINTS, FOLDS, load_tables
from textassay._numba.utf8 import decode, encode

WORD, BYTE, CHAR, BIGRAM, ID = range(5)
TOKEN_KINDS = {"word": WORD, "byte": BYTE, "char": CHAR, "bigram": BIGRAM}

WINDOW = 100
TAIL = 128  # a power of two above WINDOW: the distances of the last tokens, at position & (TAIL - 1)
NO_ROOM = -1

_HIGH_BITS = np.uint64(0x8080808080808080)
_FROM_A = np.uint64(0x3F3F3F3F3F3F3F3F)  # 0x80 - "A"
_BEYOND_Z = np.uint64(0x2525252525252525)  # 0x80 - ("Z" + 1)
_TWO = np.uint64(2)
_BLANK = np.uint8(0x20)


@inlined
def _lower_ascii(word):
    """8 ASCII bytes in lower case.

    Neither sum carries into the next byte; bit 7 of a byte says whether it is at least "A", or beyond "Z".
    """
    upper = (word + _FROM_A ^ word + _BEYOND_Z) & _HIGH_BITS
    return word | upper >> _TWO


@kernel
def _fold_by_code_point(text, pos, end, unicode, folded):
    length = 0
    while pos < end:
        code_point, after = decode(text, pos)
        if unicode.properties[code_point] & FOLDS:
            length = encode(unicode.folded[code_point], folded, length)
        else:
            while pos < after:
                folded[length] = text[pos]
                length += 1
                pos += 1
        pos = after
    return length


@kernel
def _fold_long(text, begin, end, unicode, folded):
    """Folds text[begin:end] into `folded`; returns its length there (folding can change it)."""
    length = end - begin
    for position in range(0, length, 8):
        word = first_bytes(load64(text, begin + position), length - position)
        if word & _HIGH_BITS:
            return _fold_by_code_point(text, begin, end, unicode, folded)
        store64(folded, position, _lower_ascii(word))
    return length


@inlined
def _count_occurrence(table, row, position, tail):
    """Returns how many full windows the token is the first of its type in, were there no end."""
    rows = table.rows
    if rows[row, COUNT] == 0:
        rows[row, FIRST] = position
        distance = position + 1
    else:
        distance = position - rows[row, LAST]
    rows[row, COUNT] += 1
    rows[row, LAST] = position
    distance = min(distance, WINDOW)
    tail[position & (TAIL - 1)] = distance
    return distance


@kernel
def intern_words(text, starts, ends, n_words, unicode, folded, table, ids, tail):
    """Fills `ids`, `table` (empty before) and `tail`; returns the sum of distances, or NO_ROOM."""
    mask = np.uint64(len(table.slots) - 1)
    distances = 0
    for position in range(n_words):
        begin = np.int64(starts[position])
        length = np.int64(ends[position]) - begin
        key = first_bytes(load64(text, begin), length)
        if length <= 8 and not key & _HIGH_BITS:
            key = _lower_ascii(key)
            store64(folded, 0, key)
            hashed = finish_hash(table.seed, mix(start_hash(table.seed, length), key))
        else:
            length = _fold_long(text, begin, begin + length, unicode, folded)
            key = first_bytes(load64(folded, 0), length)
            hashed = hash_bytes(table.seed, folded, 0, length)
        row = find(table, mask, hashed, key, folded, 0, length)
        if row < 0:
            if not has_room(table, 1, length):
                return NO_ROOM
            row = insert(table, -1 - row, hashed, key, folded, 0, length)
        ids[position] = row
        distances += _count_occurrence(table, row, position, tail)
    return distances


@kernel
def intern_bigrams(text, starts, ends, n_words, unicode, folded, table, ids, tail):
    """As `intern_words` for pairs of neighbouring words, a blank between; returns the sum and how many pairs there are."""
    mask = np.uint64(len(table.slots) - 1)
    distances, held = 0, 0  # folded[:held] is the word before, and its blank
    for word in range(n_words):
        length = _fold_long(text, np.int64(starts[word]), np.int64(ends[word]), unicode, folded[held:])
        if word > 0:
            whole = held + length
            key = first_bytes(load64(folded, 0), whole)
            hashed = hash_bytes(table.seed, folded, 0, whole)
            row = find(table, mask, hashed, key, folded, 0, whole)
            if row < 0:
                if not has_room(table, 1, whole):
                    return NO_ROOM, word - 1
                row = insert(table, -1 - row, hashed, key, folded, 0, whole)
            ids[word - 1] = row
            distances += _count_occurrence(table, row, word - 1, tail)
        for i in range(length):
            folded[i] = folded[held + i]
        folded[length] = _BLANK
        held = length + 1
    return distances, max(n_words - 1, 0)


@kernel
def intern_units(text, size, by_code_point, table, units, ids, tail):
    """As `intern_words` for bytes or code points; returns the sum and how many tokens there are.

    `units` maps a byte or code point to its row + 1. It is zero before and, by `forget_units`, after.
    """
    distances, position, pos = 0, 0, 0
    while pos < size:
        unit, after = np.int64(text[pos]), pos + 1
        if by_code_point:
            unit, after = decode(text, pos)
        row = np.int64(units[unit]) - 1
        if row < 0:
            length = after - pos
            if not has_room(table, 1, length):
                return NO_ROOM, position
            hashed = hash_bytes(table.seed, text, pos, length)
            key = first_bytes(load64(text, pos), length)
            row = find(table, np.uint64(len(table.slots) - 1), hashed, key, text, pos, length)
            row = insert(table, -1 - row, hashed, key, text, pos, length)
            table.rows[row, MARKER] = unit
            units[unit] = row + 1
        ids[position] = row
        distances += _count_occurrence(table, row, position, tail)
        position += 1
        pos = after
    return distances, position


@kernel
def forget_units(table, units):
    for row in range(table.fill[0]):
        units[table.rows[row, MARKER]] = 0


@inlined
def _write_decimal(number, target):
    """Returns how many digits there are."""
    length, rest = 1, number // 10
    while rest:
        length += 1
        rest //= 10
    for place in range(length - 1, -1, -1):
        target[place] = 48 + number % 10
        number //= 10
    return length


@kernel
def intern_ids(codes, begin, end, folded, table, ids, tail):
    """As `intern_words` for codes[begin:end]: an id is the token of its decimal digits."""
    mask = np.uint64(len(table.slots) - 1)
    distances = 0
    for position in range(end - begin):
        length = _write_decimal(np.int64(codes[begin + position]), folded)
        key = first_bytes(load64(folded, 0), length)
        hashed = hash_bytes(table.seed, folded, 0, length)
        row = find(table, mask, hashed, key, folded, 0, length)
        if row < 0:
            if not has_room(table, 1, length):
                return NO_ROOM
            row = insert(table, -1 - row, hashed, key, folded, 0, length)
        ids[position] = row
        distances += _count_occurrence(table, row, position, tail)
    return distances


@kernel
def beyond_the_end(n_tokens, tail):
    """What the sum of distances counts too much: windows that would begin behind the last full one."""
    surplus = 0
    for position in range(n_tokens - WINDOW + 1, n_tokens):
        surplus += min(tail[position & (TAIL - 1)], position - (n_tokens - WINDOW))
    return surplus


@kernel
def moving_average(n_tokens, n_types, distances, tail):
    """`mattr` of a document or batch of at least one token."""
    if n_tokens < WINDOW:
        return np.float64(n_types) / np.float64(n_tokens)
    distinct = distances - beyond_the_end(n_tokens, tail)
    return np.float64(distinct) / (np.float64(WINDOW) * np.float64(n_tokens - WINDOW + 1))


def tokens(text: bytes, kind: str = "word") -> list[bytes]:
    """The tokens of a text in order."""
    table, ids, count = _tokenize(text, kind_number(kind))
    types = [table.bytes[o : o + n].tobytes() for o, n in table.rows[: table.fill[0], 2:4].tolist()]
    return [types[row] for row in ids[:count].tolist()]


def kind_number(kind: str) -> int:
    if kind not in TOKEN_KINDS:
        raise ValueError(f'tokens: wanted "word", "byte", "char" or "bigram", got "{kind}"')
    return TOKEN_KINDS[kind]


def _tokenize(text: bytes, kind: int) -> tuple[TokenTable, np.ndarray, int]:
    data, size, unicode = padded(text), len(text), load_tables()
    # Folding makes at most 3 bytes of 2, a table has at most a row for each byte, and pairs hold each word twice.
    table = ensure_room(new_table(64, 64), size, 4 * size)
    ids, tail = np.empty(size, np.int32), np.zeros(TAIL, np.int64)
    if kind in (BYTE, CHAR):
        units = np.zeros(CODE_POINTS, np.int32)
        _, count = intern_units(data, size, kind == CHAR, table, units, ids, tail)
        return table, ids, count
    starts, ends = np.empty((2, size + 1), np.int32)
    count = find_words(data, size, unicode, starts, ends)
    folded = np.empty(2 * size + PADDING, np.uint8)
    if kind == BIGRAM:
        _, count = intern_bigrams(data, starts, ends, count, unicode, folded, table, ids, tail)
    else:
        intern_words(data, starts, ends, count, unicode, folded, table, ids, tail)
    return table, ids, count
