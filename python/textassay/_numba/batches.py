"""A batch: consecutive documents of one file, and the figures of their concatenated tokens.

Documents are added by type, not by token. Only the first occurrence of a type in a document can have its predecessor in
an earlier document; all other distances are those that the document has measured.
"""

import math
from typing import NamedTuple

import numpy as np

from textassay._numba.fixed_log import entropy_from_sum, lookup_log2_times, miller_madow
from textassay._numba.histogram import (
    COUNT,
    DOCUMENTS,
    FIRST,
    HASH,
    KEY,
    LAST,
    LENGTH,
    OFFSET,
    TokenTable,
    clear,
    ensure_room,
    find_or_insert,
    has_room,
    new_table,
)
from textassay._numba.jit import kernel
from textassay._numba.tokens import NO_ROOM, TAIL, WINDOW, moving_average

BATCH_SIGNALS = (
    "batch_n_tokens",
    "batch_entropy_bits",
    "batch_entropy_mm_bits",
    "batch_type_token_ratio",
    "batch_mattr",
)
BATCH_INTEGERS = ("batch", "first_document", "n_documents", "n_tokens", "n_types")
BATCH_FLOATS = ("entropy_bits", "entropy_mm_bits", "type_token_ratio", "mattr")
MAX_BATCH_TOKENS = 1 << 25
INDEX, FIRST_DOCUMENT, DOCUMENT_COUNT, TOKEN_COUNT, DISTANCES = range(5)

ADDED, FULL = 0, 1


class Batch(NamedTuple):
    state: np.ndarray
    """int64: number of the batch, its first document, documents, tokens, sum of distances."""
    tail: np.ndarray
    table: TokenTable


def new_batch() -> Batch:
    return Batch(np.zeros(5, np.int64), np.zeros(TAIL, np.int64), new_table(4096, 65536))


def ensure_room_for(batch: Batch, document: TokenTable) -> Batch:
    """Room for all types of the document that did not fit."""
    rows, size = (int(n) for n in document.fill)
    return batch._replace(table=ensure_room(batch.table, rows, size))


@kernel
def add_document(batch, table, n_tokens, distances, document_tail, batch_tokens):
    """NO_ROOM (and nothing changed), ADDED, or FULL: this document closes the batch."""
    if not has_room(batch.table, table.fill[0], table.fill[1]):
        return NO_ROOM
    base = batch.state[TOKEN_COUNT]
    for position in range(max(0, n_tokens - WINDOW), n_tokens):
        batch.tail[base + position & TAIL - 1] = document_tail[position & TAIL - 1]
    source, target = table.rows, batch.table.rows  # never a row as an array: that counts references, at every turn
    for index in range(table.fill[0]):
        key, hashed = np.uint64(source[index, KEY]), np.uint64(source[index, HASH])
        row = find_or_insert(batch.table, hashed, key, table.bytes, source[index, OFFSET], source[index, LENGTH])
        first = source[index, FIRST]
        before = target[row, LAST] if target[row, COUNT] else -1
        distance = min(base + first - before, WINDOW)
        distances += distance - min(first + 1, WINDOW)
        if first >= n_tokens - WINDOW:
            batch.tail[base + first & TAIL - 1] = distance
        target[row, COUNT] += source[index, COUNT]
        target[row, DOCUMENTS] += 1
        target[row, LAST] = base + source[index, LAST]
    batch.state[DOCUMENT_COUNT] += 1
    batch.state[TOKEN_COUNT] += n_tokens
    batch.state[DISTANCES] += distances
    return FULL if batch.state[TOKEN_COUNT] >= batch_tokens else ADDED


@kernel
def measure_batch(batch, logs, integers, floats):
    """Fills one row each, in the order of BATCH_INTEGERS and BATCH_FLOATS."""
    table, state = batch.table, batch.state
    n_types, n_tokens = table.fill[0], state[TOKEN_COUNT]
    for place in range(4):
        integers[place] = state[place]
    integers[4] = n_types
    floats[:] = math.nan
    if n_tokens == 0:
        return
    log_sum = np.uint64(0)
    for row in range(n_types):
        log_sum += lookup_log2_times(logs, table.rows[row, COUNT])
    floats[0] = entropy_from_sum(logs, n_tokens, log_sum)
    floats[1] = miller_madow(floats[0], n_tokens, n_types)
    floats[2] = np.float64(n_types) / np.float64(n_tokens)
    floats[3] = moving_average(n_tokens, n_types, state[DISTANCES], batch.tail)


@kernel
def begin_batch(batch, index, first_document):
    clear(batch.table)
    batch.state[:] = 0
    batch.state[INDEX] = index
    batch.state[FIRST_DOCUMENT] = first_document
