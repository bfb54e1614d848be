"""One line to its text and id: a strict RFC 8259 parser that remembers where the wanted fields stood.

A field's path is followed container by container. `open_at[p]` is the depth of the container in which path p waits for
its next component, 0 once it is found or gone for good. A component that has been found once is not looked for again,
so of duplicate keys the first counts.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from textassay._numba.histogram import copy_bytes
from textassay._numba.jit import inlined, kernel
from textassay._numba.lanes import byte_at, copy64, mask_equal, mask_range, trailing_zeros
from textassay._numba.utf8 import encode, first_invalid

REASONS = ("", "too_long", "invalid_utf8", "not_json", "not_object", "no_text_field", "text_not_string", "cut_off")
(FINE, TOO_LONG, INVALID_UTF8, NOT_JSON, NOT_OBJECT, NO_TEXT_FIELD, TEXT_NOT_STRING, CUT_OFF) = range(8)

MAX_DEPTH = 1024
MAX_PATHS = 64

_OBJECT, _ARRAY = 0, 1
# What was found at the end of a path. Of a row all text stands there verbatim.
_ABSENT, _STRING, _INTEGER, _OTHER, _VERBATIM = range(5)
_KIND, _BEGIN, _END = range(3)
_VALUE, _KEY, _AFTER_VALUE = range(3)

_QUOTE, _BACKSLASH, _COMMA, _COLON, _MINUS, _DOT, _ZERO, _NINE = 34, 92, 44, 58, 45, 46, 48, 57
_BRACE, _BRACE_END, _BRACKET, _BRACKET_END, _N, _U = 123, 125, 91, 93, 110, 117


class Fields(NamedTuple):
    """The paths: all text fields in order, then the id, then the value fields."""

    components: np.ndarray
    """uint8: the bytes of all components."""
    offsets: np.ndarray
    """int64: where each component begins, and one more."""
    indices: np.ndarray
    """int64: the component as an array index, or -1."""
    paths: np.ndarray
    """int64: where each path's components begin, and one more."""
    open_at: np.ndarray
    matched: np.ndarray
    """int64: components found so far."""
    found: np.ndarray
    """int64, one row a path: kind and offsets of the value."""
    kinds: np.ndarray
    """uint8 for each depth: _OBJECT or _ARRAY."""
    elements: np.ndarray
    """int64 for each depth: index of the array's current element."""
    scratch: np.ndarray
    """uint8: a key without its escapes."""
    n_texts: int
    """Paths that are text fields."""


def build_fields(
    text_fields: Sequence[Sequence[str]], id_field: Sequence[str], value_fields: Sequence[Sequence[str]] = ()
) -> Fields:
    """Raises ValueError where there is no text field, one without keys, or too many."""
    if not text_fields:
        raise ValueError("text_fields: wanted at least one")
    if not all(text_fields):
        raise ValueError("text field: wanted at least one key, got none")
    paths = [*text_fields, id_field, *value_fields]
    if len(paths) > MAX_PATHS:
        most = MAX_PATHS - 1 - len(value_fields)
        raise ValueError(f"text_fields: wanted at most {most}, got {len(text_fields)}")
    names = [name.encode() for path in paths for name in path]
    offsets = np.cumsum([0, *map(len, names)])
    longest = max(map(len, names))
    return Fields(
        np.frombuffer(b"".join(names) or b"\0", np.uint8),
        offsets.astype(np.int64),
        np.array([_as_index(name) for name in names], np.int64),
        np.cumsum([0, *map(len, paths)]).astype(np.int64),
        np.zeros(len(paths), np.int64),
        np.zeros(len(paths), np.int64),
        np.zeros((len(paths), 3), np.int64),
        np.zeros(MAX_DEPTH + 1, np.uint8),
        np.zeros(MAX_DEPTH + 1, np.int64),
        np.zeros(longest + 8, np.uint8),
        len(text_fields),
    )


def _as_index(name: bytes) -> int:
    return int(name) if name.isdigit() and len(name) < 19 else -1


# --- scalars


@inlined
def _skip_blanks(line, pos, end):
    while pos < end and (byte_at(line, pos) == 32 or 9 <= byte_at(line, pos) <= 10 or byte_at(line, pos) == 13):
        pos += 1
    return pos


@kernel
def _hex4(line, pos, end):
    """The value of four hexadecimal digits, or -1."""
    if end - pos < 4:
        return -1
    value = 0
    for index in range(pos, pos + 4):
        byte = byte_at(line, index)
        letter = byte | 0x20
        if 48 <= byte <= 57:
            value = value << 4 | byte - 48
        elif 97 <= letter <= 102:
            value = value << 4 | letter - 87
        else:
            return -1
    return value


@inlined
def _is_simple_escape(byte):
    """One of " \\ / b f n r t"""
    return (
        byte == 34 or byte == 92 or byte == 47 or byte == 98 or byte == 102 or byte == 110 or byte == 114 or byte == 116
    )


@kernel
def _end_of_string(line, pos, end):
    """Offset of the closing quote of the string whose inside begins at `pos`; -1 where it is no string."""
    while pos < end:
        stop = mask_equal(line, pos, _QUOTE) | mask_equal(line, pos, _BACKSLASH) | mask_range(line, pos, 0, 0, 31)
        if not stop:
            pos += 64
            continue
        pos += trailing_zeros(stop)
        if pos >= end:
            return -1
        byte = byte_at(line, pos)
        if byte == _QUOTE:
            return pos
        if byte != _BACKSLASH or pos + 1 >= end:
            return -1
        escape = byte_at(line, pos + 1)
        if _is_simple_escape(escape):
            pos += 2
        elif escape == _U and _hex4(line, pos + 2, end) >= 0:
            pos += 6
        else:
            return -1
    return -1


@inlined
def _skip_digits(line, pos, end):
    while pos < end and _ZERO <= byte_at(line, pos) <= _NINE:
        pos += 1
    return pos


@kernel
def _end_of_number(line, pos, end):
    """Offset behind a number and whether it is an integer; -1 where it is none."""
    if byte_at(line, pos) == _MINUS:
        pos += 1
    first = pos
    pos = _skip_digits(line, pos, end)
    if pos == first or (byte_at(line, first) == _ZERO and pos > first + 1):
        return -1, False
    is_integer = True
    if pos < end and byte_at(line, pos) == _DOT:
        is_integer = False
        first = pos + 1
        pos = _skip_digits(line, first, end)
        if pos == first:
            return -1, False
    if pos < end and byte_at(line, pos) | 0x20 == 101:  # e E
        is_integer = False
        pos += 1
        if pos < end and (byte_at(line, pos) == 43 or byte_at(line, pos) == _MINUS):
            pos += 1
        first = pos
        pos = _skip_digits(line, first, end)
        if pos == first:
            return -1, False
    return pos, is_integer


@kernel
def _end_of_literal(line, pos, end):
    """Offset behind true, false or null; -1 where it is none of them."""
    for word in (b"true", b"false", b"null"):
        if end - pos >= len(word):
            index = 0
            while index < len(word) and byte_at(line, pos + index) == word[index]:
                index += 1
            if index == len(word):
                return pos + index
    return -1


# --- strings


@inlined
def _meaning(escape):
    if escape == 98:
        return 8
    if escape == 102:
        return 12
    if escape == 110:
        return 10
    if escape == 114:
        return 13
    return 9 if escape == 116 else escape


@kernel
def _unescape_one(line, pos, end, target, at):
    """Resolves the escape at `pos`, a pair of surrogates as one; returns the offsets behind it and whether it is a
    lone surrogate."""
    escape = byte_at(line, pos + 1)
    if escape != _U:
        target[at] = _meaning(escape)
        return pos + 2, at + 1, False
    code = _hex4(line, pos + 2, end)
    pos += 6
    is_lone = 0xD800 <= code <= 0xDFFF
    if is_lone:
        low = -1
        if code < 0xDC00 and end - pos >= 6 and byte_at(line, pos) == _BACKSLASH and byte_at(line, pos + 1) == _U:
            low = _hex4(line, pos + 2, end)
        is_lone = not 0xDC00 <= low <= 0xDFFF
        if is_lone:
            code = 0xFFFD
        else:
            code = 0x10000 + ((code & 0x3FF) << 10 | low & 0x3FF)
            pos += 6
    return pos, encode(code, target, at), is_lone


@kernel
def unescape(line, pos, end, target, at):
    """Copies a string's inside to `target` without its escapes; returns the offset behind it and the lone surrogates.

    `target` has PADDING behind its end: 64 bytes are copied at a time, whatever of them is wanted.
    """
    replaced = 0
    while pos < end:
        stop = mask_equal(line, pos, _BACKSLASH)
        run = min(trailing_zeros(stop), end - pos)
        copy64(target, at, line, pos)
        pos += run
        at += run
        if stop and pos < end:
            pos, at, is_lone = _unescape_one(line, pos, end, target, at)
            replaced += is_lone
    return at, replaced


@inlined
def _same_bytes(a, a_begin, b, b_begin, length):
    for index in range(length):
        if a[a_begin + index] != b[b_begin + index]:
            return False
    return True


@kernel
def _is_key(line, begin, end, fields, component):
    """Does the key line[begin:end], escapes resolved, equal the component? Stops as soon as it cannot."""
    wanted = fields.offsets[component]
    length = fields.offsets[component + 1] - wanted
    if end - begin < length or end - begin > 6 * length:
        return False
    at = 0
    while begin < end:
        if byte_at(line, begin) != _BACKSLASH:
            fields.scratch[at] = byte_at(line, begin)
            begin += 1
            at += 1
        else:
            # `unescape` would copy 64 bytes at a time, too many for the scratch.
            begin, at, _ = _unescape_one(line, begin, end, fields.scratch, at)
        if at > length:
            return False
    return at == length and _same_bytes(fields.scratch, 0, fields.components, wanted, length)


# --- the grammar


@inlined
def _begin_paths(fields):
    for path in range(len(fields.open_at)):
        fields.open_at[path] = 1 if fields.paths[path + 1] > fields.paths[path] else 0
        fields.matched[path] = 0
        fields.found[path, _KIND] = _ABSENT


@kernel
def _match_key(line, begin, end, depth, fields):
    """Bit p is set where the key is the next component of path p."""
    hits = 0
    for path in range(len(fields.open_at)):
        component = fields.paths[path] + fields.matched[path]
        if fields.open_at[path] == depth and _is_key(line, begin, end, fields, component):
            hits |= 1 << path
    return hits


@kernel
def _match_element(depth, fields):
    hits = 0
    for path in range(len(fields.open_at)):
        component = fields.paths[path] + fields.matched[path]
        if fields.open_at[path] == depth and fields.indices[component] == fields.elements[depth]:
            hits |= 1 << path
    return hits


@kernel
def _advance(hits, kind, begin, end, depth, is_container, fields):
    """A component of the paths in `hits` has been found; its value is of `kind`."""
    for path in range(len(fields.open_at)):
        if hits >> path & 1:
            fields.matched[path] += 1
            fields.open_at[path] = 0
            if fields.paths[path] + fields.matched[path] == fields.paths[path + 1]:
                fields.found[path, _KIND] = kind
                fields.found[path, _BEGIN] = begin
                fields.found[path, _END] = end
            elif is_container:
                fields.open_at[path] = depth + 1


@inlined
def _leave(depth, fields):
    """The container at `depth` ends: what a path had not found in it is not there."""
    for path in range(len(fields.open_at)):
        if fields.open_at[path] == depth:
            fields.open_at[path] = 0


@kernel
def _scan_scalar(line, pos, end):
    """Kind of a value that is no container, where its content begins and ends, and the offset behind it or -1."""
    byte = byte_at(line, pos)
    if byte == _QUOTE:
        quote = _end_of_string(line, pos + 1, end)
        return _STRING, pos + 1, quote, quote + 1 if quote >= 0 else -1
    if byte == _MINUS or _ZERO <= byte <= _NINE:
        behind, is_integer = _end_of_number(line, pos, end)
        return _INTEGER if is_integer else _OTHER, pos, behind, behind
    behind = _end_of_literal(line, pos, end)
    return _OTHER, pos, behind, behind


@kernel
def _parse(line, pos, end, fields):
    """FINE, NOT_JSON or NOT_OBJECT; fills fields.found."""
    _begin_paths(fields)
    depth, state, hits = 0, _VALUE, 0
    pos = _skip_blanks(line, pos, end)
    is_object = pos < end and byte_at(line, pos) == _BRACE
    while pos < end:
        byte = byte_at(line, pos)
        if state == _VALUE:
            if byte == _BRACE or byte == _BRACKET:
                if hits:
                    _advance(hits, _OTHER, pos, pos, depth, True, fields)
                    hits = 0
                depth += 1
                if depth > MAX_DEPTH:
                    return NOT_JSON
                fields.kinds[depth] = _OBJECT if byte == _BRACE else _ARRAY
                pos = _skip_blanks(line, pos + 1, end)
                if pos < end and byte_at(line, pos) == byte + 2:  # [ and ], { and } are two apart
                    state = _AFTER_VALUE
                elif byte == _BRACE:
                    state = _KEY
                else:
                    fields.elements[depth] = 0
                    hits = _match_element(depth, fields)
                continue
            kind, begin, behind_content, pos = _scan_scalar(line, pos, end)
            if pos < 0:
                return NOT_JSON
            if hits:
                _advance(hits, kind, begin, behind_content, depth, False, fields)
                hits = 0
            state = _AFTER_VALUE
        elif state == _KEY:
            if byte != _QUOTE:
                return NOT_JSON
            quote = _end_of_string(line, pos + 1, end)
            if quote < 0:
                return NOT_JSON
            hits = _match_key(line, pos + 1, quote, depth, fields)
            pos = _skip_blanks(line, quote + 1, end)
            if pos >= end or byte_at(line, pos) != _COLON:
                return NOT_JSON
            pos += 1
            state = _VALUE
        elif depth == 0:
            return NOT_JSON  # something stands behind the value
        elif byte == _COMMA:
            pos += 1
            if fields.kinds[depth] == _OBJECT:
                state = _KEY
            else:
                fields.elements[depth] += 1
                hits = _match_element(depth, fields)
                state = _VALUE
        elif byte == (_BRACE_END if fields.kinds[depth] == _OBJECT else _BRACKET_END):
            _leave(depth, fields)
            depth -= 1
            pos += 1
        else:
            return NOT_JSON
        pos = _skip_blanks(line, pos, end)
    if depth > 0 or state != _AFTER_VALUE:
        return NOT_JSON
    return FINE if is_object else NOT_OBJECT


# --- a record


@kernel
def parse_record(line, begin, end, fields):
    """The reason why line[begin:end] is malformed, or FINE. Reads PADDING behind it."""
    if first_invalid(line, begin, end) >= 0:
        return INVALID_UTF8
    reason = _parse(line, begin, end, fields)
    if reason != FINE:
        return reason
    present, strings = 0, 0
    for path in range(fields.n_texts):
        present += fields.found[path, _KIND] != _ABSENT
        strings += fields.found[path, _KIND] == _STRING
    if present == 0:
        return NO_TEXT_FIELD
    return FINE if strings == present else TEXT_NOT_STRING


@inlined
def _write_string(line, fields, path, target, at):
    """A string's text; returns the offset behind it and the lone surrogates in it."""
    begin, end = fields.found[path, _BEGIN], fields.found[path, _END]
    if fields.found[path, _KIND] == _STRING:
        return unescape(line, begin, end, target, at)
    copy_bytes(target, at, line, begin, end - begin)
    return at + end - begin, 0


@inlined
def _has_string(fields, path):
    return fields.found[path, _KIND] == _STRING or fields.found[path, _KIND] == _VERBATIM


@kernel
def write_text(line, fields, text):
    """The text of the record just parsed; returns its size and the lone surrogates in it."""
    at, replaced, is_first = 0, 0, True
    for path in range(fields.n_texts):
        if _has_string(fields, path):
            if not is_first:
                text[at] = text[at + 1] = 10
                at += 2
            is_first = False
            at, more = _write_string(line, fields, path, text, at)
            replaced += more
    return at, replaced


@kernel
def read_row(data, cells, row, fields):
    """As `parse_record`, of a row: its values begin and end in `data` at cells[row], a negative begin is null. Returns the
    reason as well as the bytes of its texts.
    """
    size, present, reason = 0, 0, FINE
    for path in range(len(fields.open_at)):
        begin, end = cells[row, path, 0], cells[row, path, 1]
        fields.found[path, _KIND] = _ABSENT if begin < 0 else _VERBATIM
        fields.found[path, _BEGIN] = begin
        fields.found[path, _END] = end
        if begin >= 0 and first_invalid(data, begin, end) >= 0:
            reason = INVALID_UTF8
        if begin >= 0 and path < fields.n_texts:
            size += end - begin
            present += 1
    if reason == FINE and present == 0:
        reason = NO_TEXT_FIELD
    return reason, size


@kernel
def _fits_64_bits(line, begin, end):
    """Is the integer between -2^63 and 2^64 - 1?"""
    is_negative = byte_at(line, begin) == _MINUS
    value = np.uint64(0)
    if end - begin - is_negative > 20:
        return False
    for pos in range(begin + is_negative, end):
        digit = np.uint64(byte_at(line, pos) - _ZERO)
        if value > np.uint64(1844674407370955161) or (value == np.uint64(1844674407370955161) and digit > np.uint64(5)):
            return False
        value = value * np.uint64(10) + digit
    return not is_negative or value <= np.uint64(1 << 63)


@kernel
def write_id(line, fields, target, at):
    """The id of the record just parsed; returns the offset behind it, or -1 for null."""
    path = fields.n_texts
    kind, begin, end = fields.found[path, _KIND], fields.found[path, _BEGIN], fields.found[path, _END]
    if _has_string(fields, path):
        return _write_string(line, fields, path, target, at)[0]
    if kind != _INTEGER or not _fits_64_bits(line, begin, end):
        return -1
    if end - begin == 2 and byte_at(line, begin) == _MINUS and byte_at(line, begin + 1) == _ZERO:
        begin += 1
    copy_bytes(target, at, line, begin, end - begin)
    return at + end - begin


@kernel
def write_value(line, fields, field, target):
    """A value field of the record just parsed as text: a string without its escapes, a number, true or false as it is
    written, an integer of 64 bits in decimal. Returns its size, or -1 where it is absent or none of them."""
    path = fields.n_texts + 1 + field
    kind, begin, end = fields.found[path, _KIND], fields.found[path, _BEGIN], fields.found[path, _END]
    if _has_string(fields, path):
        return _write_string(line, fields, path, target, 0)[0]
    if kind == _ABSENT or begin == end or byte_at(line, begin) == _N:
        return -1
    if kind == _INTEGER and end - begin == 2 and byte_at(line, begin + 1) == _ZERO:  # -0
        begin += byte_at(line, begin) == _MINUS
    copy_bytes(target, 0, line, begin, end - begin)
    return end - begin
