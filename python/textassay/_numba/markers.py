"""The marker lexicon: phrases of tokens in a trie, matched leftmost-longest on a document's tokens."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from textassay._numba.histogram import (
    HASH,
    KEY,
    LENGTH,
    MARKER,
    OFFSET,
    TokenTable,
    ensure_room,
    find,
    find_row_of_bytes,
    new_table,
)
from textassay._numba.jit import inlined, kernel
from textassay._numba.lanes import PADDING

_ROOT = 0
_MAX_WORDS = 32_767


class Lexicon(NamedTuple):
    table: TokenTable
    """The tokens that occur in phrases; a token's number is its row."""
    edges: np.ndarray
    """int64, open addressing: (node << 32 | token) + 1, 0 where empty."""
    children: np.ndarray
    """int32, beside `edges`: the node that the edge leads to."""
    is_phrase: np.ndarray
    """uint8 for each node."""


def build_lexicon(phrases: Sequence[Sequence[bytes]]) -> Lexicon:
    """Raises ValueError on a phrase without tokens, or more than 32,767 different words."""
    if len({bytes(token) for phrase in phrases for token in phrase}) > _MAX_WORDS:
        raise ValueError("marker lexicon: wanted at most 32,767 different words")
    trie: dict[tuple[int, int], int] = {}
    ends: set[int] = set()
    size = sum(len(token) for phrase in phrases for token in phrase)
    table = ensure_room(new_table(64, 64), sum(map(len, phrases)), size)
    for phrase in phrases:
        if not phrase:
            raise ValueError("marker phrase: wanted at least one token, got none")
        node = _ROOT
        for token in phrase:
            data = np.frombuffer(bytes(token) + bytes(PADDING), np.uint8)
            edge = node, int(find_row_of_bytes(table, data, 0, len(token)))
            node = trie.setdefault(edge, len(trie) + 1)
        ends.add(node)
    edges = np.zeros(1 << (2 * len(trie) + 1).bit_length(), np.int64)
    children = np.zeros(len(edges), np.int32)
    for (node, token), child in trie.items():
        _add_edge(edges, children, node, token, child)
    is_phrase = np.zeros(len(trie) + 1, np.uint8)
    is_phrase[list(ends)] = 1
    return Lexicon(table, edges, children, is_phrase)


@inlined
def _edge_slot(edges, edge):
    mask = len(edges) - 1
    slot = (edge ^ edge >> 29) * 0x9E3779B1 >> 7 & mask
    while edges[slot] != 0 and edges[slot] != edge:
        slot = slot + 1 & mask
    return slot


@kernel
def _add_edge(edges, children, node, token, child):
    edge = (node << 32 | token) + 1
    slot = _edge_slot(edges, edge)
    edges[slot] = edge
    children[slot] = child


@kernel
def _mark_rows(lexicon, table):
    """Writes each type's number in the lexicon, or -1; returns whether there is any."""
    known = lexicon.table
    mask = np.uint64(len(known.slots) - 1)
    found = False
    for row in range(table.fill[0]):
        hashed, key = np.uint64(table.rows[row, HASH]), np.uint64(table.rows[row, KEY])
        marker = find(known, mask, hashed, key, table.bytes, table.rows[row, OFFSET], table.rows[row, LENGTH])
        marker = max(-1, marker)
        table.rows[row, MARKER] = marker
        found |= marker >= 0
    return found


@kernel
def count_markers(lexicon, table, ids, n_tokens):
    """Matches in a document of words, leftmost-longest, not overlapping."""
    if lexicon.table.fill[0] == 0 or not _mark_rows(lexicon, table):
        return 0
    matches, position = 0, 0
    while position < n_tokens:
        node, end, behind = _ROOT, position, position
        while end < n_tokens:
            marker = table.rows[ids[end], MARKER]
            if marker < 0:
                break
            slot = _edge_slot(lexicon.edges, (node << 32 | marker) + 1)
            if lexicon.edges[slot] == 0:
                break
            node = np.int64(lexicon.children[slot])
            end += 1
            if lexicon.is_phrase[node]:
                behind = end
        matches += behind > position
        position = max(behind, position + 1)
    return matches
