"""Words and sentences: UAX #29 of Unicode 15.0.

The state machines go by code point and hold the rules; each line names the rule it applies. Both can start at any
boundary: no rule looks behind one. `find_words` is the path of a scan: it takes ASCII 64 bytes at a time as bit masks
and leaves to the state machine every segment that could touch anything else.
"""

import numpy as np

from textassay._numba.jit import inlined, kernel
from textassay._numba.lanes import ALL, ONE, PADDING, byte_at, leading_zeros, mask_equal, mask_range, trailing_zeros
from textassay._numba.unicode_tables import (
    LETTER_OR_NUMBER,
    LOWERCASE,
    PICTOGRAPHIC,
    SB_ATERM,
    SB_CLOSE,
    SB_EXTEND,
    SB_FORMAT,
    SB_LOWER,
    SB_NUMERIC,
    SB_OLETTER,
    SB_SCONTINUE,
    SB_SEP,
    SB_SP,
    SB_STERM,
    SB_UPPER,
    SENTENCE_BITS,
    SENTENCE_SHIFT,
    WB_CONNECTOR,
    WB_CR,
    WB_DOUBLE_QUOTE,
    WB_EXTEND,
    WB_FORMAT,
    WB_HEBREW,
    WB_KATAKANA,
    WB_LETTER,
    WB_LF,
    WB_MID_LETTER,
    WB_MID_NUM,
    WB_MID_NUM_LET,
    WB_NEWLINE,
    WB_NUMERIC,
    WB_REGIONAL,
    WB_SINGLE_QUOTE,
    WB_SPACE,
    WB_ZWJ,
    WORD_BITS,
    load_tables,
)
from textassay._numba.utf8 import decode, first_invalid, previous

_LF, _CR, _SPACE, _TAB = 10, 13, 32, 9


# --- words, by code point


@inlined
def _is_ahletter(cls):
    return cls == WB_LETTER or cls == WB_HEBREW


@inlined
def _is_mid_num_let_q(cls):
    return cls == WB_MID_NUM_LET or cls == WB_SINGLE_QUOTE


@inlined
def _is_ignored(cls):
    """WB4: Extend, Format, ZWJ."""
    return cls == WB_EXTEND or cls == WB_FORMAT or cls == WB_ZWJ


@inlined
def _is_newline(cls):
    return cls == WB_CR or cls == WB_LF or cls == WB_NEWLINE


@kernel
def _class_behind(text, pos, size, unicode):
    """The class of the next code point from `pos` on that WB4 doesn't ignore; -1 at the end."""
    while pos < size:
        code_point, pos = decode(text, pos)
        cls = unicode.properties[code_point] & WORD_BITS
        if not _is_ignored(cls):
            return np.int64(cls)
    return -1


@kernel
def _joins(before, prev, cls, text, after, size, unicode):
    """Is there no boundary before a code point of class `cls` (not ignored) behind `before` and `prev`?"""
    if _is_ahletter(cls):
        if _is_ahletter(prev) or prev == WB_NUMERIC or prev == WB_CONNECTOR:  # WB5, WB10, WB13b
            return True
        if _is_ahletter(before) and (prev == WB_MID_LETTER or _is_mid_num_let_q(prev)):  # WB7
            return True
        return cls == WB_HEBREW and before == WB_HEBREW and prev == WB_DOUBLE_QUOTE  # WB7c
    if cls == WB_NUMERIC:
        if prev == WB_NUMERIC or _is_ahletter(prev) or prev == WB_CONNECTOR:  # WB8, WB9, WB13b
            return True
        return before == WB_NUMERIC and (prev == WB_MID_NUM or _is_mid_num_let_q(prev))  # WB11
    if cls == WB_KATAKANA:
        return prev == WB_KATAKANA or prev == WB_CONNECTOR  # WB13, WB13b
    if cls == WB_CONNECTOR:  # WB13a
        return _is_ahletter(prev) or prev == WB_NUMERIC or prev == WB_KATAKANA or prev == WB_CONNECTOR
    if _is_ahletter(prev):
        if cls == WB_SINGLE_QUOTE and prev == WB_HEBREW:  # WB7a
            return True
        if cls == WB_MID_LETTER or _is_mid_num_let_q(cls):  # WB6
            return _is_ahletter(_class_behind(text, after, size, unicode))
        if cls == WB_DOUBLE_QUOTE and prev == WB_HEBREW:  # WB7b
            return _class_behind(text, after, size, unicode) == WB_HEBREW
    elif prev == WB_NUMERIC and (cls == WB_MID_NUM or _is_mid_num_let_q(cls)):  # WB12
        return _class_behind(text, after, size, unicode) == WB_NUMERIC
    return False


@kernel
def end_of_segment(text, begin, size, unicode):
    """The boundary after the one at `begin`, and whether a letter or number stands between: whether it is a word."""
    code_point, pos = decode(text, begin)
    properties = unicode.properties[code_point]
    cls = np.int64(properties & WORD_BITS)
    seen = properties
    if _is_newline(cls):  # WB3, WB3a
        if cls == WB_CR and pos < size and byte_at(text, pos) == _LF:
            pos += 1
        return pos, False
    before, prev, raw = -1, cls, cls  # `raw` is the code point right before, ignored ones included
    lone_regional = cls == WB_REGIONAL
    while pos < size:
        code_point, after = decode(text, pos)
        properties = unicode.properties[code_point]
        cls = np.int64(properties & WORD_BITS)
        if _is_newline(cls):  # WB3b
            break
        if _is_ignored(cls):  # WB4
            raw = cls
        elif (
            (raw == WB_ZWJ and properties & PICTOGRAPHIC)  # WB3c
            or (raw == WB_SPACE and cls == WB_SPACE)  # WB3d
            or (lone_regional and cls == WB_REGIONAL)  # WB15, WB16
        ):
            before, prev, raw = -1, cls, cls
            lone_regional = False
        elif _joins(before, prev, cls, text, after, size, unicode):
            before, prev, raw = prev, cls, cls
        else:
            break
        seen |= properties
        pos = after
    return pos, seen & LETTER_OR_NUMBER != 0


@kernel
def find_word_boundaries(text, size, unicode, boundaries):
    """All boundaries, 0 and `size` included; returns how many."""
    if size == 0:
        return 0
    boundaries[0] = 0
    count, pos = 1, 0
    while pos < size:
        pos, _ = end_of_segment(text, pos, size, unicode)
        boundaries[count] = pos
        count += 1
    return count


# --- words, 64 bytes of ASCII at a time


@inlined
def _below(bit):
    """Bits 0 to bit - 1."""
    return ALL if bit >= 64 else (ONE << np.uint64(bit)) - ONE


@inlined
def _resume_at(word, mid, space, limit):
    """The last bit that is surely a boundary and behind which bytes from `limit` on, unknown yet, may still reach.

    What is unknown may join a word (a letter, or an Extend), reach one over a `mid` character, or cling to the last
    character, be it punctuation (U+FF9E makes "!" a word) or a run of spaces (WB3d).
        D o n ' t   s t o p . | ?     limit 11: "stop" may go on behind the dot, so resume at bit 6
    """
    last = limit - 1
    bit = ONE << np.uint64(last)
    if mid & bit and last > 0 and word & (bit >> ONE):
        last -= 1
        bit >>= ONE
    if word & bit:
        return 64 - leading_zeros(~word & (bit - ONE))
    if space & bit:
        return 64 - leading_zeros(~space & (bit - ONE))
    return last


@kernel
def find_words(text, size, unicode, starts, ends):
    """Start and end of every word; returns how many. Reads PADDING behind `size`."""
    count, pos = 0, 0
    while pos < size:
        limit = 0
        if byte_at(text, pos) < 0x80:
            limit = min(trailing_zeros(mask_range(text, pos, 0, 0x80, 0xFF)), size - pos)
        if limit > 1:
            valid = _below(limit)
            letter = mask_range(text, pos, 0x20, 0x61, 0x7A) & valid
            digit = mask_range(text, pos, 0, 0x30, 0x39) & valid
            connector = mask_equal(text, pos, 0x5F) & valid
            mid_both = mask_equal(text, pos, 0x2E) | mask_equal(text, pos, 0x27)
            mid_letter = mid_both | mask_equal(text, pos, 0x3A)
            mid_number = mid_both | mask_equal(text, pos, 0x2C) | mask_equal(text, pos, 0x3B)
            # c a n ' t   3 . 5        a mid character joins where both neighbours are of its kind
            joined = mid_letter & letter << ONE & letter >> ONE | mid_number & digit << ONE & digit >> ONE
            word = letter | digit | connector | joined
            begins = word & ~(word << ONE)
            stops = ~word & word << ONE
            if pos + limit == size:
                resume = limit
            else:
                resume = _resume_at(word, mid_letter | mid_number, mask_equal(text, pos, _SPACE), limit)
            begins &= _below(resume)
            solid = letter | digit
            while begins:
                begin = trailing_zeros(begins)
                end = trailing_zeros(stops)
                begins &= begins - ONE
                stops &= stops - ONE
                # "__" is a segment without a letter or number. The test is cheap: `connector` is nearly always 0.
                if connector and not solid & (_below(end) & ~_below(begin)):
                    continue
                starts[count] = pos + begin
                ends[count] = pos + end
                count += 1
            if resume > 0:
                pos += resume
                continue
        end, is_word = end_of_segment(text, pos, size, unicode)
        if is_word:
            starts[count] = pos
            ends[count] = end
            count += 1
        pos = end
    return count


# --- sentences


@kernel
def _is_soft(text, pos, after, size, unicode):
    """The tailoring: is the line break text[pos:after] a lone one before a Lowercase character?"""
    if pos > 0 and (byte_at(text, pos - 1) == _LF or byte_at(text, pos - 1) == _CR):
        return False
    while after < size and (byte_at(text, after) == _SPACE or byte_at(text, after) == _TAB):
        after += 1
    if after >= size:
        return False
    code_point, _ = decode(text, after)
    return unicode.properties[code_point] & LOWERCASE != 0


@inlined
def _sentence_class(text, pos, size, unicode, tailored):
    """Class at `pos` and the offset behind it. A line break is one SB_SEP, or SB_SP where the tailoring says so."""
    code_point, after = decode(text, pos)
    if code_point == _LF or code_point == _CR:
        if code_point == _CR and after < size and byte_at(text, after) == _LF:
            after += 1
        if tailored and _is_soft(text, pos, after, size, unicode):
            return SB_SP, after
        return SB_SEP, after
    return np.int64(unicode.properties[code_point] >> SENTENCE_SHIFT & SENTENCE_BITS), after


@kernel
def _skip_ignored(text, pos, size, unicode):
    """SB5: Extend and Format belong to what they follow."""
    while pos < size:
        code_point, after = decode(text, pos)
        cls = unicode.properties[code_point] >> SENTENCE_SHIFT & SENTENCE_BITS
        if cls != SB_EXTEND and cls != SB_FORMAT:
            break
        pos = after
    return pos


@kernel
def _letter_before(text, pos, unicode):
    """SB7: is the code point before `pos`, ignored ones left out, Upper or Lower?"""
    while pos > 0:
        pos = previous(text, pos)
        code_point, _ = decode(text, pos)
        cls = unicode.properties[code_point] >> SENTENCE_SHIFT & SENTENCE_BITS
        if cls != SB_EXTEND and cls != SB_FORMAT:
            return cls == SB_UPPER or cls == SB_LOWER
    return False


@kernel
def _lower_follows(text, pos, size, unicode, tailored):
    """SB8: does Lower come before any other letter, separator or terminator?"""
    while pos < size:
        cls, pos = _sentence_class(text, pos, size, unicode, tailored)
        if cls == SB_LOWER:
            return True
        if cls == SB_UPPER or cls == SB_OLETTER or cls == SB_SEP or cls == SB_ATERM or cls == SB_STERM:
            return False
    return False


@kernel
def _end_of_terminator(text, pos, term, after, size, unicode, tailored):
    """Where to go on behind the terminator text[pos:after], and whether there is a boundary."""
    here = _skip_ignored(text, after, size, unicode)
    if here < size and term == SB_ATERM:
        cls, _ = _sentence_class(text, here, size, unicode, tailored)
        if cls == SB_NUMERIC or (cls == SB_UPPER and _letter_before(text, pos, unicode)):  # SB6, SB7
            return here, False
    cls = np.int64(SB_CLOSE)
    behind = here
    spaces = False
    while here < size:  # SB9, SB10: Close* Sp*
        cls, behind = _sentence_class(text, here, size, unicode, tailored)
        spaces |= cls == SB_SP
        if cls != SB_SP and (cls != SB_CLOSE or spaces):
            break
        here = _skip_ignored(text, behind, size, unicode)
    if here >= size:
        return size, True
    if cls == SB_SEP:
        return behind, True
    if cls == SB_SCONTINUE or cls == SB_ATERM or cls == SB_STERM:  # SB8a
        return here, False
    if term == SB_ATERM and _lower_follows(text, here, size, unicode, tailored):  # SB8
        return here, False
    return here, True  # SB11


@inlined
def _next_candidate(text, pos, size):
    """The next byte that can begin a terminator or separator: . ! ? LF CR, or anything beyond ASCII."""
    while pos < size:
        mask = mask_equal(text, pos, 0x2E) | mask_equal(text, pos, 0x21) | mask_equal(text, pos, 0x3F)
        mask |= mask_equal(text, pos, _LF) | mask_equal(text, pos, _CR) | mask_range(text, pos, 0, 0x80, 0xFF)
        if mask:
            return min(pos + trailing_zeros(mask), size)
        pos += 64
    return size


@kernel
def find_sentence_boundaries(text, size, unicode, tailored, boundaries):
    """All boundaries, 0 and `size` included; returns how many. Reads PADDING behind `size`."""
    if size == 0:
        return 0
    boundaries[0] = 0
    count, pos = 1, 0
    while pos < size:
        if byte_at(text, pos) < 0x80:
            pos = _next_candidate(text, pos, size)
            if pos >= size:
                break
        cls, after = _sentence_class(text, pos, size, unicode, tailored)
        if cls == SB_ATERM or cls == SB_STERM:
            pos, is_boundary = _end_of_terminator(text, pos, cls, after, size, unicode, tailored)
        else:
            pos, is_boundary = after, cls == SB_SEP  # SB4
        if is_boundary:
            boundaries[count] = pos
            count += 1
    if boundaries[count - 1] != size:
        boundaries[count] = size
        count += 1
    return count


@kernel
def _holds_letter_or_number(text, begin, end, unicode):
    while begin < end:
        code_point, begin = decode(text, begin)
        if unicode.properties[code_point] & LETTER_OR_NUMBER:
            return True
    return False


@kernel
def count_words_per_sentence(text, unicode, boundaries, n_boundaries, starts, ends, n_words, lengths):
    """Fills `lengths` (it may be `boundaries`) with the words of each sentence that has one; returns how many."""
    count, word = 0, 0
    for sentence in range(1, n_boundaries):
        begin, end, length = boundaries[sentence - 1], boundaries[sentence], 0
        while word < n_words and starts[word] < end:
            is_whole = starts[word] >= begin and ends[word] <= end
            # A boundary inside the word cuts it; each piece counts that could be a word.
            if is_whole or _holds_letter_or_number(text, max(starts[word], begin), min(ends[word], end), unicode):
                length += 1
            if ends[word] > end:
                break
            word += 1
        if length:
            lengths[count] = length
            count += 1
    return count


# --- the public functions


def padded(text: bytes) -> np.ndarray:
    """A copy with PADDING behind it. Raises ValueError on invalid UTF-8."""
    data = np.zeros(len(text) + PADDING, np.uint8)
    data[: len(text)] = np.frombuffer(text, np.uint8)
    invalid = first_invalid(data, 0, len(text))
    if invalid >= 0:
        raise ValueError(f"byte {invalid}: wanted valid UTF-8")
    return data


def word_boundaries(text: bytes) -> np.ndarray:
    """All UAX #29 word boundaries of valid UTF-8, 0 and len(text) included; empty for empty text."""
    boundaries = np.empty(len(text) + 1, np.int32)
    return boundaries[: find_word_boundaries(padded(text), len(text), load_tables(), boundaries)].astype(np.int64)


def word_spans(text: bytes) -> np.ndarray:
    """Shape (n, 2): start and end of each word, through the path that a scan takes."""
    starts, ends = np.empty((2, len(text) + 1), np.int32)
    count = find_words(padded(text), len(text), load_tables(), starts, ends)
    return np.stack([starts[:count], ends[:count]], axis=1).astype(np.int64)


def sentence_boundaries(text: bytes, tailored: bool = True) -> np.ndarray:
    """All UAX #29 sentence boundaries, 0 and len(text) included; `tailored` joins hard-wrapped lines."""
    boundaries = np.empty(len(text) + 2, np.int32)
    count = find_sentence_boundaries(padded(text), len(text), load_tables(), bool(tailored), boundaries)
    return boundaries[:count].astype(np.int64)


def sentence_lengths(text: bytes) -> np.ndarray:
    """Words per sentence (tailored), sentences without a word left out; through the path that a scan takes."""
    data, size, unicode = padded(text), len(text), load_tables()
    starts, ends, boundaries = np.empty((3, size + 2), np.int32)
    n_words = find_words(data, size, unicode, starts, ends)
    n_boundaries = find_sentence_boundaries(data, size, unicode, True, boundaries)
    lengths = np.empty(n_boundaries + 1, np.int32)
    count = count_words_per_sentence(data, unicode, boundaries, n_boundaries, starts, ends, n_words, lengths)
    return lengths[:count].astype(np.int64)
