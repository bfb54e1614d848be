"""Lines of a block, or rows: which are records, what becomes of each, and into which counter its bytes go."""

from textassay._numba.detector import suspects
from textassay._numba.documents import BYTE_OFFSET, LINE, N_REPLACED, N_TOKENS, SYNTHETIC_LOGIT, mark_words
from textassay._numba.histogram import copy_bytes
from textassay._numba.jit import inlined, kernel
from textassay._numba.lanes import PADDING, byte_at, mask_equal, trailing_zeros
from textassay._numba.measurer import BATCH_FULL, DONE, NEEDS_TEXT_ROOM, ROWS_FULL, tally_text
from textassay._numba.provenance import find_provenance
from textassay._numba.records import FINE, REASONS, TOO_LONG, parse_record, read_row, write_id, write_text

STAGES = ("decompress", "json", "words", "signals", "histogram")
_WORDS, SIGNALS, _HISTOGRAM = 2, 3, 4
GATHER = -1
"""Instead of a stage: only copies the texts to work.gathered; DOCUMENTS and TEXT_BYTES count them."""

# What a scan of a file keeps in one int64 array: where it is, what it has in hand, what it has counted.
# BASE: offset in the stream of the block's first byte; FILE: its number among the inputs.
(LINES, BASE, ROWS, ERRORS, ID_BYTES, NEEDED, FILE, KEY_ENDS) = range(8)
(PARSED, MALFORMED, BLANK, OVERLONG, DOCUMENTS) = range(8, 13)
TEXT_BYTES, WORDS = 13, 14  # only of stages that measure nothing
BY_REASON = 15
COUNTERS = BY_REASON + len(REASONS)

_LF, _CR = 10, 13


@inlined
def _find_line_feed(block, pos, end):
    while pos < end:
        mask = mask_equal(block, pos, _LF)
        if mask:
            return min(pos + trailing_zeros(mask), end)
        pos += 64
    return end


@kernel
def is_blank(block, begin, end):
    while begin < end and (byte_at(block, begin) == 32 or byte_at(block, begin) == 9 or byte_at(block, begin) == _CR):
        begin += 1
    return begin == end


@kernel
def _handle_text(block, fields, choice, work, batch, batch_tokens, stage, rows, state):
    """The text of the record just parsed, as far as `stage` says; returns as `tally_text`."""
    size, replaced = write_text(block, fields, work.text)
    if stage == GATHER:
        copy_bytes(work.gathered, state[TEXT_BYTES], work.text, 0, size)
        work.gathered_ends[state[DOCUMENTS]] = state[TEXT_BYTES] + size
    if stage < SIGNALS:
        state[TEXT_BYTES] += size
        if stage == _WORDS:
            state[WORDS] += mark_words(choice, work, size)
        return DONE
    row = state[ROWS]
    rows.integers[row, LINE] = state[LINES] + 1
    status = tally_text(
        choice, work, size, rows.integers, rows.floats, row, batch, batch_tokens if stage == _HISTOGRAM else 0
    )
    rows.integers[row, N_REPLACED] = replaced
    return status


@inlined
def _finish_row(block, offset, fields, rows, state):
    row = state[ROWS]
    rows.integers[row, BYTE_OFFSET] = offset
    end = write_id(block, fields, rows.id_bytes, state[ID_BYTES])
    rows.id_null[row] = end < 0
    if end >= 0:
        state[ID_BYTES] = end
    rows.id_ends[row] = state[ID_BYTES]
    state[ROWS] = row + 1


@inlined
def _note_provenance(block, fields, rules, detector, text, rows, state):
    """Of the row that is about to be finished; its text is done with."""
    row = state[ROWS]
    is_suspected = suspects(detector, rows.floats[row, SYNTHETIC_LOGIT], rows.integers[row, N_TOKENS])
    rows.labels[row] = find_provenance(
        block, fields, rules, state[FILE], is_suspected, text, rows.keys, rows.key_ends, row, state[KEY_ENDS]
    )
    state[KEY_ENDS] = rows.key_ends[row, 2]


@kernel
def _handle_record(block, begin, size, fields, rules, choice, work, batch, batch_tokens, stage, rows, state):
    """The record just parsed, which `size` bytes at block[begin] hold; returns as `tally_text`."""
    if state[NEEDED] > len(work.text) - PADDING:
        return NEEDS_TEXT_ROOM
    status = _handle_text(block, fields, choice, work, batch, batch_tokens, stage, rows, state)
    if status != DONE and status != BATCH_FULL:
        return status
    if stage >= SIGNALS:
        if rules.is_on:
            _note_provenance(block, fields, rules, choice.detector, work.text, rows, state)
        _finish_row(block, state[BASE] + begin, fields, rows, state)
    state[PARSED] += size
    state[DOCUMENTS] += 1
    return status


@kernel
def note_error(rows, state, offset, size, reason):
    """Counts a malformed line of `size` bytes, and takes it down; there is room."""
    place = state[ERRORS]
    rows.errors[place, 0] = state[LINES] + 1
    rows.errors[place, 1] = offset
    rows.errors[place, 2] = reason
    state[ERRORS] = place + 1
    state[BY_REASON + reason] += 1
    state[OVERLONG if reason == TOO_LONG else MALFORMED] += size


@kernel
def scan_lines(
    block, begin, searched, end, is_final, max_bytes, fields, rules, choice, work, batch, batch_tokens, stage, rows,
    state,
):  # fmt: skip
    """Handles lines of block[begin:end] as far as it goes: why it stopped, and where to go on.

    `searched`: no line feed stands before it. Without `is_final`, a last line that is not ended is left.
    """
    while begin < end:
        line_feed = _find_line_feed(block, max(begin, searched), end)
        if line_feed == end and not is_final:
            break
        if state[ROWS] == len(rows.integers) or state[ERRORS] == len(rows.errors):
            return ROWS_FULL, begin
        behind = min(line_feed + 1, end)
        stop = line_feed
        if line_feed < end and stop > begin and byte_at(block, stop - 1) == _CR:
            stop -= 1
        status = DONE
        if stop - begin <= max_bytes and is_blank(block, begin, stop):
            state[BLANK] += behind - begin
        else:
            reason = TOO_LONG if stop - begin > max_bytes else parse_record(block, begin, stop, fields)
            if reason != FINE:
                note_error(rows, state, state[BASE] + begin, behind - begin, reason)
            else:
                state[NEEDED] = stop - begin + 2 * len(fields.open_at)
                status = _handle_record(
                    block, begin, behind - begin, fields, rules, choice, work, batch, batch_tokens, stage, rows, state
                )
                if status != DONE and status != BATCH_FULL:
                    return status, begin
        state[LINES] += 1
        begin = behind
        if status == BATCH_FULL:
            return status, begin
    return DONE, begin


@kernel
def scan_rows(data, cells, first, max_bytes, fields, rules, choice, work, batch, batch_tokens, stage, rows, state):
    """Handles rows as `scan_lines` does lines, from the `first` on: why it stopped, and the row to go on with.

    `cells`: int64, shape (n, columns, 2), of each row where its values begin and end in `data`. BASE is the offset of the next
    row's text.
    """
    for row in range(first, len(cells)):
        if state[ROWS] == len(rows.integers) or state[ERRORS] == len(rows.errors):
            return ROWS_FULL, row
        reason, size = read_row(data, cells, row, fields)
        if size > max_bytes:
            reason = TOO_LONG
        status = DONE
        if reason != FINE:
            note_error(rows, state, state[BASE], size, reason)
        else:
            longest = size
            for column in range(fields.n_texts, len(fields.open_at)):
                longest = max(longest, cells[row, column, 1] - cells[row, column, 0])
            state[NEEDED] = longest + 2 * len(fields.open_at)
            status = _handle_record(data, 0, size, fields, rules, choice, work, batch, batch_tokens, stage, rows, state)
            if status != DONE and status != BATCH_FULL:
                return status, row
        state[BASE] += size
        state[LINES] += 1
        if status == BATCH_FULL:
            return status, row + 1
    return DONE, len(cells)
