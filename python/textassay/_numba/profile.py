"""ProfileState: all counts of a corpus, and their merge.

Up to `max_types` types the corpus table is exact. Beyond, it keeps the types whose stable hash lies below
2^(64 - level), two sketches hold the rest, and a second table names the frequent ones among the rest. Level and floor
only rise, and a type that leaves the table takes all its counts along, so neither order nor grouping shows.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np

from textassay._numba.batches import BATCH_FLOATS, BATCH_INTEGERS, BATCH_SIGNALS, Batch, measure_batch
from textassay._numba.documents import FLOAT_COLUMNS, INTEGER_COLUMNS, check_signals
from textassay._numba.fixed_log import load_log_table
from textassay._numba.histogram import (
    COUNT,
    DOCUMENTS,
    FIELDS,
    HASH,
    KEY,
    LENGTH,
    OFFSET,
    PEAK,
    STABLE,
    TokenTable,
    copy_bytes,
    copy_table,
    ensure_room,
    find,
    find_or_insert,
    find_row_of_bytes,
    insert,
    new_table,
    rebuild_slots,
    stable_hash,
)
from textassay._numba.jit import inlined, kernel
from textassay._numba.lanes import ONE, PADDING, leading_zeros
from textassay._numba.provenance import ProvenanceTables
from textassay._numba.signal_bins import SignalBins, SignalState

TOTALS = ("n_documents", "n_tokens", "n_bytes", "n_chars", "n_sentences", "n_replaced", "n_batches")

_ROWS = 4
_LEAST_WIDTH, _GREATEST_WIDTH = 1 << 10, 1 << 20
_LEAST_FREQUENT = 1024
_SKETCH_SHIFT = np.uint64(20)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
# Ties of token bytes beyond this many are sorted by numpy, fewer by Python: numpy would need a round per 8 bytes.
_FEW_TIES = 4096
_PORTION = 1 << 18
_MOST_TYPES = 1 << 36
_EVERYTHING = 65  # no hash has so many leading zeros


class Types(TypedDict):
    token_bytes: np.ndarray
    token_offsets: np.ndarray
    counts: np.ndarray
    document_frequencies: np.ndarray
    peaks: np.ndarray


class Bounded(TypedDict):
    level: int
    floor_level: int
    width: int
    count_sketch: np.ndarray
    document_sketch: np.ndarray
    frequent: Types


# --- kernels


@inlined
def _is_sampled(hashed, level):
    return leading_zeros(hashed) >= level


@kernel
def _add_to_sketches(counts, documents, hashed, count, frequency):
    mask = np.uint64(counts.shape[1] - 1)
    step = hashed * _GOLDEN | ONE
    for row in range(_ROWS):
        index = hashed + np.uint64(row) * step >> _SKETCH_SHIFT & mask
        counts[row, index] += np.uint64(count)
        documents[row, index] += np.uint64(frequency)


@kernel
def _raise_peak(frequent, source, index, peak):
    """`frequent` has room."""
    fields = source.rows
    hashed, key = np.uint64(fields[index, HASH]), np.uint64(fields[index, KEY])
    row = find_or_insert(frequent, hashed, key, source.bytes, fields[index, OFFSET], fields[index, LENGTH])
    frequent.rows[row, PEAK] = max(frequent.rows[row, PEAK], peak)


@kernel
def _add_row(corpus, source, index, peak):
    """Adds one row of `source` to the corpus table, which has room."""
    fields, target = source.rows, corpus.rows
    hashed, key = np.uint64(fields[index, HASH]), np.uint64(fields[index, KEY])
    offset, length = fields[index, OFFSET], fields[index, LENGTH]
    row = find(corpus, np.uint64(len(corpus.slots) - 1), hashed, key, source.bytes, offset, length)
    if row < 0:
        row = insert(corpus, -1 - row, hashed, key, source.bytes, offset, length)
        target[row, STABLE] = np.int64(stable_hash(source.bytes, offset, length))
    target[row, COUNT] += fields[index, COUNT]
    target[row, DOCUMENTS] += fields[index, DOCUMENTS]
    target[row, PEAK] = max(target[row, PEAK], peak)


@kernel
def _add_exact(corpus, source, begin, end, peak_field):
    for index in range(begin, end):
        _add_row(corpus, source, index, source.rows[index, peak_field])


@kernel
def _add_sampled(corpus, source, begin, end, peak_field, level, floor, counts, documents, frequent):
    """Every row goes to the sample, or to the sketches and, at or above the floor, among the frequent ones."""
    for index in range(begin, end):
        fields = source.rows
        hashed = stable_hash(source.bytes, fields[index, OFFSET], fields[index, LENGTH])
        peak = fields[index, peak_field]
        if _is_sampled(hashed, level):
            _add_row(corpus, source, index, peak)
            continue
        _add_to_sketches(counts, documents, hashed, fields[index, COUNT], fields[index, DOCUMENTS])
        if peak >> floor:
            _raise_peak(frequent, source, index, peak)


@kernel
def _add_peaks(frequent, source):
    for index in range(source.fill[0]):
        _raise_peak(frequent, source, index, source.rows[index, PEAK])


@kernel
def _rows_by_level(corpus, by_level):
    """Adds to `by_level` the types by the leading zeros of their hash: the last level that keeps them."""
    for row in range(corpus.fill[0]):
        by_level[leading_zeros(np.uint64(corpus.rows[row, STABLE]))] += 1


@kernel
def _drop_row_bytes(table, kept, row):
    """Moves row `row` to place `kept` and its bytes to the end of those kept."""
    offset, length = table.rows[row, OFFSET], table.rows[row, LENGTH]
    for field in range(FIELDS):
        table.rows[kept, field] = table.rows[row, field]
    table.rows[kept, OFFSET] = table.fill[1]
    copy_bytes(table.bytes, table.fill[1], table.bytes, offset, length)
    table.fill[1] += length


@kernel
def _evict(corpus, level, floor, counts, documents, frequent):
    """Moves every type above the threshold out of the sample."""
    used, kept = corpus.fill[0], 0
    corpus.fill[1] = 0
    for row in range(used):
        fields = corpus.rows
        hashed = np.uint64(fields[row, STABLE])
        if _is_sampled(hashed, level):
            _drop_row_bytes(corpus, kept, row)
            kept += 1
            continue
        _add_to_sketches(counts, documents, hashed, fields[row, COUNT], fields[row, DOCUMENTS])
        if fields[row, PEAK] >> floor:
            _raise_peak(frequent, corpus, row, fields[row, PEAK])
    corpus.fill[0] = kept
    rebuild_slots(corpus)


@kernel
def _rows_by_peak(table, level, by_peak):
    """Adds to `by_peak` the rows, and their bytes, that `level` evicts (65: all) by floor(log2(peak))."""
    for row in range(table.fill[0]):
        if not _is_sampled(np.uint64(table.rows[row, STABLE]), level):
            place = max(0, 63 - leading_zeros(np.uint64(table.rows[row, PEAK])))
            by_peak[place, 0] += 1
            by_peak[place, 1] += table.rows[row, LENGTH]


@kernel
def _drop_below(frequent, floor):
    used, kept = frequent.fill[0], 0
    frequent.fill[1] = 0
    for row in range(used):
        if frequent.rows[row, PEAK] >> floor:
            _drop_row_bytes(frequent, kept, row)
            kept += 1
    frequent.fill[0] = kept
    rebuild_slots(frequent)


@kernel
def _load_types(table, data, offsets, counts, documents, peaks):
    """Adds types to an empty table; equal tokens add up."""
    for index in range(len(counts)):
        row = find_row_of_bytes(table, data, offsets[index], offsets[index + 1] - offsets[index])
        table.rows[row, COUNT] += np.int64(counts[index])
        table.rows[row, DOCUMENTS] += np.int64(documents[index])
        table.rows[row, PEAK] = max(table.rows[row, PEAK], np.int64(peaks[index]))


@kernel
def _fill_chunk_keys(table, order, position, keys, lengths):
    """Bytes `position` to position + 8 as a big-endian number, and how many there are; both zero before."""
    for index in range(len(order)):
        row = order[index]
        lengths[index] = min(max(table.rows[row, LENGTH] - position, 0), 8)
        for byte in range(8):
            keys[index] <<= np.uint64(8)
            if byte < lengths[index]:
                keys[index] |= np.uint64(table.bytes[table.rows[row, OFFSET] + position + byte])


@kernel
def _gather(table, order, data, offsets):
    offsets[0] = 0
    for index in range(len(order)):
        row, begin = order[index], offsets[index]
        offset, length = table.rows[row, OFFSET], table.rows[row, LENGTH]
        copy_bytes(data, begin, table.bytes, offset, length)
        offsets[index + 1] = begin + length


def _by_peak(table: TokenTable, level: int) -> np.ndarray:
    by_peak = np.zeros((65, 2), np.int64)
    _rows_by_peak(table, level, by_peak)
    return by_peak


# --- order of tokens


def _token(table: TokenTable, row: int) -> bytes:
    begin = int(table.rows[row, OFFSET])
    return table.bytes[begin : begin + int(table.rows[row, LENGTH])].tobytes()


def _sorted_rows(table: TokenTable) -> np.ndarray:
    """Rows in token order: by 8 bytes at a time, each round only for those still equal."""
    order = np.arange(int(table.fill[0]))
    tied = np.arange(len(order))  # places in `order` that are not final
    groups = np.zeros(len(order), np.int64)
    position = 0
    while len(tied):
        rows = order[tied]
        if position and len(tied) < _FEW_TIES:
            ranks = sorted(range(len(rows)), key=lambda i: (groups[i], _token(table, rows[i])[position:]))
            order[tied] = rows[ranks]
            break
        keys, lengths = np.zeros(len(rows), np.uint64), np.zeros(len(rows), np.uint8)
        _fill_chunk_keys(table, rows, position, keys, lengths)
        by_key = np.lexsort((lengths, keys, groups))
        order[tied] = rows[by_key]
        keys, lengths, groups = keys[by_key], lengths[by_key], groups[by_key]
        changes = (keys[1:] != keys[:-1]) | (lengths[1:] != lengths[:-1]) | (groups[1:] != groups[:-1])
        runs = np.concatenate([[0], np.cumsum(changes)]) if len(tied) else groups
        still = (np.bincount(runs)[runs] > 1) & (lengths == 8)
        tied, groups = tied[still], runs[still]
        position += 8
    return order


def _types(table: TokenTable, order: np.ndarray) -> Types:
    lengths = table.rows[order, LENGTH]
    data, offsets = np.empty(int(lengths.sum()), np.uint8), np.empty(len(order) + 1, np.int64)
    _gather(table, order, data, offsets)
    fields = (table.rows[order, field].astype(np.uint64) for field in (COUNT, DOCUMENTS, PEAK))
    return Types(
        token_bytes=data, token_offsets=offsets, **dict(zip(("counts", "document_frequencies", "peaks"), fields))
    )


def _table_of(types: Types) -> TokenTable:
    """Raises ValueError where the arrays don't fit together."""
    data = np.asarray(types["token_bytes"], np.uint8)
    offsets = np.asarray(types["token_offsets"], np.int64)
    columns = [np.asarray(types[name], np.uint64) for name in ("counts", "document_frequencies", "peaks")]
    if any(len(column) != len(offsets) - 1 for column in columns):
        raise ValueError(f"wanted a count, document frequency and peak for each of {len(offsets) - 1} tokens")
    if offsets[0] < 0 or offsets[-1] > len(data) or (np.diff(offsets) < 0).any():
        raise ValueError(f"wanted ascending token offsets within {len(data)} bytes")
    table = ensure_room(new_table(64, 64), len(columns[0]), len(data))
    _load_types(table, np.append(data, np.zeros(PADDING, np.uint8)), offsets, *columns)
    return table


# --- the class


class ProfileState:
    """All counts of a corpus. Integers only."""

    def __init__(self, signals: Sequence[str], max_types: int = 1 << 24) -> None:
        check_signals(signals)
        if not 1 <= max_types <= _MOST_TYPES:
            raise ValueError(f"max_types: wanted 1 to 2^36, got {max_types}")
        self._signals = tuple(signals)
        self._max_types = int(max_types)
        self._totals = dict.fromkeys(TOTALS, 0)
        self._bins = {name: SignalBins(name) for name in (*self._signals, *BATCH_SIGNALS)}
        self._table = new_table(1024, 16384)
        self._order: np.ndarray | None = None  # rows in token order, until the table changes
        self._level = self._floor = 0
        self._width = min(max(_LEAST_WIDTH, 1 << (-(-self._max_types // 16) - 1).bit_length()), _GREATEST_WIDTH)
        self._max_frequent = max(_LEAST_FREQUENT, self._max_types // 16)
        self._sketches: tuple[np.ndarray, np.ndarray] | None = None  # of counts and of document frequencies
        self._frequent = new_table(64, 1024)
        self._provenance = ProvenanceTables()

    @property
    def signals(self) -> tuple[str, ...]:
        return self._signals

    @property
    def max_types(self) -> int:
        return self._max_types

    @property
    def n_types(self) -> int:
        """Types kept by name with an exact count."""
        return int(self._table.fill[0])

    @property
    def level(self) -> int:
        """0: exact."""
        return self._level

    # --- totals and signals

    def totals(self) -> dict[str, int]:
        """Sums over documents, in the order of the stub."""
        return dict(self._totals)

    def add_totals(self, totals: dict[str, int]) -> None:
        for name, value in totals.items():
            if name not in self._totals:
                raise ValueError(f"wanted totals of {', '.join(TOTALS)}, found {name!r}")
            self._totals[name] += int(value)

    def signal(self, name: str) -> SignalState:
        return self._bins_of(name).state()

    def add_signal(self, name: str, state: SignalState) -> None:
        """Raises ValueError where the number of bins differs."""
        self._bins_of(name).merge(state)

    def _bins_of(self, name: str) -> SignalBins:
        if name not in self._bins:
            raise ValueError(f'signal "{name}": this profile does not hold it')
        return self._bins[name]

    # --- types

    def types(self, after: bytes | None = None, limit: int = 1 << 20) -> Types:
        """Up to `limit` entries in token order, beginning behind `after`."""
        order = self._token_order()
        begin = 0 if after is None else self._place_behind(order, bytes(after))
        return _types(self._table, order[begin : begin + limit])

    def _token_order(self) -> np.ndarray:
        if self._order is None:
            self._order = _sorted_rows(self._table)
        return self._order

    def _place_behind(self, order: np.ndarray, token: bytes) -> int:
        low, high = 0, len(order)
        while low < high:
            middle = (low + high) // 2
            if _token(self._table, order[middle]) <= token:
                low = middle + 1
            else:
                high = middle
        return low

    def top(self, k: int) -> Types:
        """The k most frequent exact entries, by count descending, then token bytes ascending."""
        order = self._token_order()
        by_count = np.argsort(-self._table.rows[order, COUNT], kind="stable")
        return _types(self._table, order[by_count[: max(k, 0)]])

    def count_of_counts(self) -> tuple[np.ndarray, np.ndarray]:
        """Distinct counts ascending, and how many exact types have each."""
        values, times = np.unique(self._table.rows[: self.n_types, COUNT], return_counts=True)
        return values.astype(np.uint64), times.astype(np.uint64)

    def add_types(self, types: Types) -> None:
        self._add_table(_table_of(types), PEAK)

    def _add_table(self, source: TokenTable, peak_field: int) -> None:
        self._order = None
        used, used_bytes = (int(n) for n in source.fill)
        for begin in range(0, used, _PORTION):  # in portions, so that the tables never hold much more than they may
            end = min(begin + _PORTION, used)
            size = (int(source.rows[end, OFFSET]) if end < used else used_bytes) - int(source.rows[begin, OFFSET])
            self._table = ensure_room(self._table, end - begin, size)
            if self._sketches is None:
                _add_exact(self._table, source, begin, end, peak_field)
            else:
                self._frequent = ensure_room(self._frequent, end - begin, size)
                state = (self._level, self._floor, *self._sketches, self._frequent)
                _add_sampled(self._table, source, begin, end, peak_field, *state)
            self._settle(self._level)

    def _settle(self, level: int) -> None:
        """Raises the level to at least `level` and as far as needed, then the floor."""
        if self.n_types > self._max_types:
            by_level = np.zeros(65, np.int64)
            _rows_by_level(self._table, by_level)
            while by_level[level:].sum() > self._max_types:
                level += 1
        if level > self._level:
            self._raise_level(level)
        if self._frequent.fill[0] > self._max_frequent:
            self._raise_floor(self._floor_for(_by_peak(self._frequent, _EVERYTHING)))

    def _raise_level(self, level: int) -> None:
        self._level = level
        if self._sketches is None:
            shape = (_ROWS, self._width)
            self._sketches = np.zeros(shape, np.uint64), np.zeros(shape, np.uint64)
        # The floor first: most of what leaves the sample will be below it and need no place among the frequent ones.
        leaving = _by_peak(self._table, level)
        self._raise_floor(self._floor_for(leaving + _by_peak(self._frequent, _EVERYTHING)))
        rows, size = leaving[self._floor :].sum(axis=0).tolist()
        self._frequent = ensure_room(self._frequent, rows, size)
        _evict(self._table, level, self._floor, *self._sketches, self._frequent)
        self._order = None

    def _floor_for(self, by_peak: np.ndarray) -> int:
        floor = self._floor
        while by_peak[floor:, 0].sum() > self._max_frequent:
            floor += 1
        return floor

    def _raise_floor(self, floor: int) -> None:
        self._floor = max(floor, self._floor)
        _drop_below(self._frequent, self._floor)

    # --- the bounded form

    def bounded(self) -> Bounded | None:
        """None while exact."""
        if self._sketches is None:
            return None
        counts, documents = (sketch.copy() for sketch in self._sketches)
        return Bounded(
            level=self._level,
            floor_level=self._floor,
            width=self._width,
            count_sketch=counts,
            document_sketch=documents,
            frequent=_types(self._frequent, _sorted_rows(self._frequent)),
        )

    def add_bounded(self, bounded: Bounded) -> None:
        """Raises ValueError where the width differs."""
        sketches = [np.asarray(bounded[name], np.uint64) for name in ("count_sketch", "document_sketch")]
        wanted = (_ROWS, self._width)
        if bounded["width"] != self._width or any(sketch.shape != wanted for sketch in sketches):
            raise ValueError(f"wanted sketches of shape {wanted}, found {[sketch.shape for sketch in sketches]}")
        if not 0 < bounded["level"] <= 64 or not 0 <= bounded["floor_level"] < 64:
            raise ValueError(f"wanted a level from 1 to 64, found {bounded['level']}, {bounded['floor_level']}")
        self._add_bounded(bounded["level"], bounded["floor_level"], sketches, _table_of(bounded["frequent"]))

    def _add_bounded(self, level: int, floor: int, sketches: Sequence[np.ndarray], frequent: TokenTable) -> None:
        self._settle(max(level, self._level))
        for mine, theirs in zip(self._sketches, sketches):
            mine += theirs
        self._frequent = ensure_room(self._frequent, *(int(n) for n in frequent.fill))
        _add_peaks(self._frequent, frequent)
        self._raise_floor(floor)
        self._settle(self._level)

    # --- provenance

    def provenance(self) -> dict[str, Any]:
        """Counts by source, month and reason."""
        return self._provenance.arrays()

    def add_provenance(self, tables: Mapping[str, Any]) -> None:
        """Raises ValueError where the arrays don't fit together."""
        self._provenance.add(tables)

    # --- merge

    def merge(self, other: "ProfileState") -> None:
        """Adds `other`, which is unchanged. Raises ValueError where signals or max_types differ."""
        if self._signals != other._signals:
            raise ValueError("merge: wanted the same signals")
        if self._max_types != other._max_types:
            raise ValueError("merge: wanted the same max_types")
        if other is self:
            other = self.copy()
        self.add_totals(other._totals)
        for name, bins in other._bins.items():
            self._bins[name].merge(bins.state())
        self._provenance.merge(other._provenance)
        if other._sketches is not None:
            self._add_bounded(other._level, other._floor, other._sketches, other._frequent)
        self._add_table(other._table, PEAK)

    def copy(self) -> "ProfileState":
        new = ProfileState(self._signals, self._max_types)
        new._totals = dict(self._totals)
        for name, bins in self._bins.items():
            new._bins[name].merge(bins.state())
        new._provenance.merge(self._provenance)
        new._table, new._frequent = copy_table(self._table), copy_table(self._frequent)
        new._level, new._floor = self._level, self._floor
        if self._sketches is not None:
            new._sketches = tuple(sketch.copy() for sketch in self._sketches)
        return new


# --- what a scan adds


def count_documents(profile: ProfileState, integers: np.ndarray, floats: np.ndarray) -> None:
    """Rows of documents (documents.py); their tokens come with their batch."""
    for name in profile._signals:
        columns, matrix = (INTEGER_COLUMNS, integers) if name in INTEGER_COLUMNS else (FLOAT_COLUMNS, floats)
        profile._bins[name].update(matrix[:, columns.index(name)])
    profile._totals["n_documents"] += len(integers)
    for name in TOTALS[1:-1]:
        profile._totals[name] += int(integers[:, INTEGER_COLUMNS.index(name)].sum())


def count_batch(profile: ProfileState, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Returns the batch's integers and floats (batches.py)."""
    integers, floats = np.empty(len(BATCH_INTEGERS), np.int64), np.empty(len(BATCH_FLOATS), np.float64)
    measure_batch(batch, load_log_table(), integers, floats)
    profile._bins["batch_n_tokens"].update(integers[3:4])
    for place, name in enumerate(BATCH_FLOATS):
        profile._bins["batch_" + name].update(floats[place : place + 1])
    profile._totals["n_batches"] += 1
    profile._add_table(batch.table, COUNT)
    return integers, floats


def count_provenance(profile: ProfileState, label: int, names: Sequence[bytes], tokens: int, size: int) -> None:
    """One document of this source, month and reason."""
    profile._provenance.count(label, names, tokens, size)
