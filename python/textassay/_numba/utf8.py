"""Code points in UTF-8: read one, step back over one, check them all."""

from textassay._numba.jit import inlined, kernel
from textassay._numba.lanes import byte_at, mask_range, trailing_zeros


@inlined
def decode(text, pos):
    """The code point at `pos` of valid UTF-8, and the offset behind it."""
    lead = byte_at(text, pos)
    if lead < 0x80:
        return lead, pos + 1
    second = byte_at(text, pos + 1) & 0x3F
    if lead < 0xE0:
        return (lead & 0x1F) << 6 | second, pos + 2
    third = byte_at(text, pos + 2) & 0x3F
    if lead < 0xF0:
        return (lead & 0x0F) << 12 | second << 6 | third, pos + 3
    return (lead & 0x07) << 18 | second << 12 | third << 6 | byte_at(text, pos + 3) & 0x3F, pos + 4


@inlined
def previous(text, pos):
    """Where the code point before `pos` > 0 begins."""
    pos -= 1
    while byte_at(text, pos) & 0xC0 == 0x80:
        pos -= 1
    return pos


@inlined
def encode(code_point, target, pos):
    """Writes a code point; returns the offset behind it."""
    if code_point < 0x80:
        target[pos] = code_point
        return pos + 1
    if code_point < 0x800:
        target[pos] = 0xC0 | code_point >> 6
        target[pos + 1] = 0x80 | code_point & 0x3F
        return pos + 2
    if code_point < 0x10000:
        target[pos] = 0xE0 | code_point >> 12
        target[pos + 1] = 0x80 | code_point >> 6 & 0x3F
        target[pos + 2] = 0x80 | code_point & 0x3F
        return pos + 3
    target[pos] = 0xF0 | code_point >> 18
    target[pos + 1] = 0x80 | code_point >> 12 & 0x3F
    target[pos + 2] = 0x80 | code_point >> 6 & 0x3F
    target[pos + 3] = 0x80 | code_point & 0x3F
    return pos + 4


@inlined
def _is_tail(text, pos, end):
    return pos < end and byte_at(text, pos) & 0xC0 == 0x80


@kernel
def first_invalid(text, begin, end):
    """Offset of the first byte of text[begin:end] that no valid code point begins with, or -1. Reads PADDING beyond."""
    pos = begin
    while pos < end:
        lead = byte_at(text, pos)
        if lead < 0x80:
            high = trailing_zeros(mask_range(text, pos, 0, 0x80, 0xFF))
            pos += high
            continue
        # Well-formed sequences (Unicode, table 3-7): the second byte is what differs.
        #   C2..DF 80..BF | E0 A0..BF .. | ED 80..9F .. | E1..EF 80..BF .. | F0 90..BF .. .. | F4 80..8F .. ..
        if not 0xC2 <= lead <= 0xF4 or not _is_tail(text, pos + 1, end):
            return pos
        if lead < 0xE0:
            pos += 2
            continue
        second = byte_at(text, pos + 1)
        if not _is_tail(text, pos + 2, end) or (lead == 0xE0 and second < 0xA0) or (lead == 0xED and second > 0x9F):
            return pos
        if lead < 0xF0:
            pos += 3
            continue
        if not _is_tail(text, pos + 3, end) or (lead == 0xF0 and second < 0x90) or (lead == 0xF4 and second > 0x8F):
            return pos
        pos += 4
    return -1
