"""Measures one text: all document signals, and its token table for the batch it belongs to."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from textassay._numba.anchor import (
    MAX_ORDER,
    Anchor,
    Arrays,
    arrays_of,
    compare_types,
    cost_of_stream,
    gather_stream,
    perplexity_of,
)
from textassay._numba.detector import Arrays as DetectorArrays
from textassay._numba.detector import Detector, logit_of, probability_of, score_words
from textassay._numba.detector import arrays_of as detector_arrays_of
from textassay._numba.fingerprints import count_overlap, find_fingerprints
from textassay._numba.fixed_log import (
    entropy_from_sum,
    load_log_table,
    lookup_log2_times,
    miller_madow,
    root_of_spread,
)
from textassay._numba.histogram import (
    COUNT,
    LENGTH,
    OFFSET,
    TokenTable,
    characters,
    clear,
    ensure_room,
    first_bytes,
    hash_bytes,
    new_table,
    same_tail,
)
from textassay._numba.jit import inlined, kernel
from textassay._numba.lanes import ONE, PADDING, byte_at, count_bits, load64, mask_equal, mask_range, trailing_zeros
from textassay._numba.markers import Lexicon, build_lexicon, count_markers
from textassay._numba.segmentation import count_words_per_sentence, find_sentence_boundaries, find_words
from textassay._numba.tokens import (
    BIGRAM,
    CHAR,
    ID,
    NO_ROOM,
    TAIL,
    WORD,
    forget_units,
    intern_bigrams,
    intern_ids,
    intern_units,
    intern_words,
    kind_number,
    moving_average,
)
from textassay._numba.unicode_tables import (
    CODE_POINTS,
    EMOJI,
    INVISIBLE,
    LETTER_OR_NUMBER,
    OTHER_LETTER,
    SYMBOL,
    VARIATION_SELECTOR,
    Unicode,
    load_tables,
)
from textassay._numba.utf8 import decode

SIGNALS = (
    "n_bytes",
    "n_chars",
    "n_tokens",
    "n_types",
    "n_sentences",
    "entropy_bits",
    "entropy_mm_bits",
    "char_entropy_bits",
    "type_token_ratio",
    "mattr",
    "hapax_ratio",
    "burstiness",
    "burstiness_gb",
    "top_ngram_share",
    "dup_line_share",
    "marker_rate",
    "invisible_chars",
    "perplexity",
    "oov_rate",
    "tail_share",
    "anchor_overlap",
    "synthetic_logit",
    "synthetic_probability",
)
INTEGER_SIGNALS = ("n_bytes", "n_chars", "n_tokens", "n_types", "n_sentences", "invisible_chars")

# A document's integers and floats each fill one row of a matrix. The first integers are the integer signals; the
# last are filled in by whoever knows them.
INTEGER_COLUMNS = (*INTEGER_SIGNALS, "n_replaced", "byte_offset", "line")
FLOAT_COLUMNS = tuple(name for name in SIGNALS if name not in INTEGER_SIGNALS)
N_BYTES, N_CHARS, N_TOKENS, N_TYPES, N_SENTENCES, INVISIBLE_CHARS, N_REPLACED, BYTE_OFFSET, LINE = range(9)
(ENTROPY, ENTROPY_MM, CHAR_ENTROPY, TYPE_TOKEN, MATTR, HAPAX) = range(6)
(BURSTINESS, BURSTINESS_GB, TOP_NGRAM, DUP_LINE, MARKER_RATE) = range(6, 11)
(PERPLEXITY, OOV_RATE, TAIL_SHARE, ANCHOR_OVERLAP, SYNTHETIC_LOGIT, SYNTHETIC_PROBABILITY) = range(11, 17)

MAX_TEXT = 1 << 30

_GRAM = 3
_MIN_BUCKET_BITS, _MAX_BUCKET_BITS = 6, 16
_FIRST_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_SECOND_FACTOR = np.uint64(0xC2B2AE3D27D4EB4F)
_THIRD_FACTOR = np.uint64(0x165667B19E3779F9)
_TAG = np.uint64(0xFFFFFFFF00000000)
_LOW = np.uint64(0x00000000FFFFFFFF)
_HALF = np.uint64(32)


class Choice(NamedTuple):
    """What is asked for."""

    kind: int
    char_entropy: bool
    top_ngram: bool
    dup_line: bool
    invisible: bool
    compared: bool
    """With an anchor."""
    perplexity: bool
    counts_ngrams: bool
    keeps_fingerprints: bool
    keeps_words: bool
    overlap: bool
    met: np.ndarray
    """Of each of the anchor's fingerprints; empty where nobody wants to know."""
    detects: bool
    lexicon: Lexicon
    anchor: Arrays
    detector: DetectorArrays
    unicode: Unicode
    logs: np.ndarray


def check_signals(signals: Sequence[str]) -> None:
    """Raises ValueError on a name that is unknown or given twice."""
    for place, name in enumerate(signals):
        if name not in SIGNALS:
            raise ValueError(f'signal "{name}": unknown')
        if name in signals[:place]:
            raise ValueError(f'signal "{name}": named twice')


def choose(
    signals: Sequence[str],
    kind: str,
    markers: Sequence[Sequence[bytes]],
    anchor: Anchor | None = None,
    counts_ngrams: bool = False,
    met: np.ndarray | None = None,
    detector: Detector | None = None,
    keeps_words: bool = False,
    has_encoder: bool = False,
) -> Choice:
    """Raises ValueError on an unknown signal, token kind or an empty phrase, and where `met` does not fit the anchor.

    Who counts n-grams keeps fingerprints, too.
    """
    check_signals(signals)
    if (kind == "id") != has_encoder:
        raise ValueError('tokens: wanted an encoder for tokens="id", and for no other')
    number = ID if has_encoder else kind_number(kind)
    lexicon = build_lexicon(markers)
    detects = detector is not None and number == WORD
    detects = detects and not {"synthetic_logit", "synthetic_probability"}.isdisjoint(signals)
    if ("marker_rate" not in signals and not detects) or number != WORD:
        lexicon = build_lexicon(())
    has_grams = "top_ngram_share" in signals and number != ID
    asked = ("char_entropy_bits" in signals, has_grams, "dup_line_share" in signals)
    arrays = arrays_of(anchor)
    compared = counts_ngrams or keeps_words or not {"perplexity", "oov_rate", "tail_share"}.isdisjoint(signals)
    compared = compared and anchor is not None and number == WORD
    return Choice(
        number,
        *asked,
        "invisible_chars" in signals,
        compared,
        compared and "perplexity" in signals and arrays.order > 0,
        compared and counts_ngrams,
        compared and counts_ngrams,
        compared and keeps_words,
        "anchor_overlap" in signals and arrays.has_fingerprints and number == WORD,
        np.zeros(0, np.uint8) if met is None else _checked_met(met, arrays),
        detects,
        lexicon,
        arrays,
        detector_arrays_of(detector),
        load_tables(),
        load_log_table(),
    )


def _checked_met(met: np.ndarray, anchor: Arrays) -> np.ndarray:
    if not anchor.has_fingerprints:
        raise ValueError("met: wanted an anchor with fingerprints")
    if not isinstance(met, np.ndarray) or met.dtype != np.uint8 or not met.flags.c_contiguous:
        raise ValueError("met: wanted a C-contiguous array of uint8")
    if met.shape != anchor.fingerprints.shape:
        raise ValueError(f"met: wanted a 1-D array of {len(anchor.fingerprints)} elements")
    if not met.flags.writeable:
        raise ValueError("met: wanted an array that can be written to")
    return met


class Work(NamedTuple):
    """Arrays that documents use one after the other, all large enough for a text of `capacity` bytes.

    Only pages that are written to exist, so the arrays may be as long as the worst case demands.
    """

    text: np.ndarray
    folded: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    boundaries: np.ndarray
    ids: np.ndarray
    slots: np.ndarray
    """uint64, a power of two: the hash tables of lines and of 3-grams, then fingerprints, then the words for the anchor's model."""
    buckets: np.ndarray
    tail: np.ndarray
    units: np.ndarray
    char_counts: np.ndarray
    touched: np.ndarray
    entries: np.ndarray
    """Of the last two words, by order."""
    ngrams: np.ndarray
    """uint64, two to a row: counted and not yet written."""
    ngram_fill: np.ndarray
    fingerprints: np.ndarray
    """As `ngrams`."""
    fingerprint_fill: np.ndarray
    words: np.ndarray
    """uint32: the words of the documents' sentences, END behind each; not yet handed over."""
    word_fill: np.ndarray
    file: np.ndarray
    """Of one element: the number of the file that is being read."""
    codes: np.ndarray
    """Where tokens are ids, those of several texts, one after the other; `code_ends` says where each one's end."""
    code_ends: np.ndarray
    code_at: np.ndarray
    """Of one element: the number of the next text among them."""
    gathered: np.ndarray
    """The texts that are to be encoded; `gathered_ends` says where each ends."""
    gathered_ends: np.ndarray
    table: TokenTable


def new_work(capacity: int) -> Work:
    return Work(
        *_sized(capacity),
        np.empty(1 << _MAX_BUCKET_BITS, np.uint32),
        np.zeros(TAIL, np.int64),
        np.zeros(CODE_POINTS, np.int32),
        np.zeros(CODE_POINTS, np.int32),
        np.empty(CODE_POINTS, np.int32),
        np.zeros((2, MAX_ORDER + 1), np.uint64),
        np.empty((0, 2), np.uint64),
        np.zeros(1, np.int64),
        np.empty((0, 2), np.uint64),
        np.zeros(1, np.int64),
        np.empty(0, np.uint32),
        np.zeros(1, np.int64),
        np.zeros(1, np.uint64),
        np.zeros(0, np.uint32),
        np.zeros(0, np.int64),
        np.zeros(1, np.int64),
        np.zeros(0, np.uint8),
        np.zeros(0, np.int64),
        new_table(1024, 16384),
    )


def _sized(capacity: int) -> tuple[np.ndarray, ...]:
    positions = (np.empty(capacity + 2, np.int32) for _ in range(4))
    slots = np.empty(1 << (2 * capacity + 2).bit_length(), np.uint64)
    return np.empty(capacity + PADDING, np.uint8), np.empty(2 * capacity + PADDING, np.uint8), *positions, slots


def ensure_capacity(work: Work, size: int) -> Work:
    """Room for a text of `size` bytes. Raises ValueError beyond MAX_TEXT."""
    if size > MAX_TEXT:
        raise ValueError(f"wanted texts of at most {MAX_TEXT} bytes, found one of {size}")
    if size <= len(work.text) - PADDING:
        return work
    return Work(*_sized(max(size, min(2 * size, 1 << 22))), *work[7:])


def with_codes(work: Work, found: tuple[np.ndarray, np.ndarray], n_texts: int) -> Work:
    """The ids of the next texts, as a TextEncoder (_native.pyi) gives them: any number of them for a text of any size.

    Raises ValueError where they are those of other texts.
    """
    codes, offsets = np.ascontiguousarray(found[0], np.uint32), np.ascontiguousarray(found[1], np.int64)
    if len(offsets) != n_texts + 1 or offsets[0] != 0 or offsets[-1] != len(codes) or (np.diff(offsets) < 0).any():
        raise ValueError(f"ids: wanted {n_texts + 1} ascending offsets, from 0 to the number of ids")
    work.code_at[0] = 0
    most = int(np.diff(offsets).max(initial=0))
    return ensure_capacity(work, most)._replace(codes=codes, code_ends=offsets[1:].copy())


def ensure_more_types(work: Work) -> Work:
    """After `measure_text` found the table too small; the document begins again."""
    return work._replace(table=ensure_room(work.table, len(work.table.rows), len(work.table.bytes)))


# --- code points


@inlined
def _is_invisible(code_point, properties, base, unicode):
    if properties & INVISIBLE:
        return True
    if base < 0:
        return True
    takes = unicode.properties[base]
    if code_point == 0xFE0E or code_point == 0xFE0F:
        return takes & EMOJI == 0
    if 0xFE00 <= code_point <= 0xFE0D:
        return takes & (LETTER_OR_NUMBER | SYMBOL) == 0
    if code_point >= 0xE0100:
        return takes & OTHER_LETTER == 0
    return not 0x1800 <= base <= 0x18AF


@kernel
def _count_characters(text, size, unicode, counts, touched):
    """Adds to `counts` and `touched` (code points beyond ASCII); returns characters, invisible ones, touched ones."""
    n_chars, invisible, n_touched, pos, base = 0, 0, 0, 0, -1
    while pos < size:
        ascii_end = pos + min(trailing_zeros(mask_range(text, pos, 0, 0x80, 0xFF)), size - pos)
        if ascii_end > pos:
            n_chars += ascii_end - pos
            while pos < ascii_end:
                counts[byte_at(text, pos)] += 1
                pos += 1
            base = byte_at(text, pos - 1)
            continue
        code_point, pos = decode(text, pos)
        n_chars += 1
        properties = unicode.properties[code_point]
        if properties & (INVISIBLE | VARIATION_SELECTOR):
            invisible += _is_invisible(code_point, properties, base, unicode)
        if counts[code_point] == 0:
            touched[n_touched] = code_point
            n_touched += 1
        counts[code_point] += 1
        base = code_point
    return n_chars, invisible, n_touched


@kernel
def _take_log_sum(counts, touched, n_touched, logs):
    """Sum of L over the counts, which are zero again afterwards."""
    total = np.uint64(0)
    for code_point in range(128):
        total += lookup_log2_times(logs, counts[code_point])
        counts[code_point] = 0
    for index in range(n_touched):
        total += lookup_log2_times(logs, counts[touched[index]])
        counts[touched[index]] = 0
    return total


@kernel
def _count_code_points(text, size):
    tails = 0
    for pos in range(0, size, 64):
        mask = mask_range(text, pos, 0, 0x80, 0xBF)
        if size - pos < 64:
            mask &= (ONE << np.uint64(size - pos)) - ONE
        tails += count_bits(mask)
    return size - tails


# --- lines


@inlined
def _is_blank(byte):
    return byte == 32 or byte == 9 or byte == 13


@inlined
def _next_line_feed(text, pos, size):
    while pos < size:
        mask = mask_equal(text, pos, 10)
        if mask:
            return min(pos + trailing_zeros(mask), size)
        pos += 64
    return size


@kernel
def _find_lines(text, size, starts, ends):
    """Trimmed lines that aren't empty; returns how many."""
    count, pos = 0, 0
    while pos < size:
        end = _next_line_feed(text, pos, size)
        begin, stop = pos, end
        while begin < stop and _is_blank(byte_at(text, begin)):
            begin += 1
        while begin < stop and _is_blank(byte_at(text, stop - 1)):
            stop -= 1
        if begin < stop:
            starts[count] = begin
            ends[count] = stop
            count += 1
        pos = end + 1
    return count


@inlined
def _slot_mask(slots, entries):
    """Empties as many slots as `entries` need and returns their mask."""
    n_slots = 64
    while n_slots < 2 * entries:
        n_slots *= 2
    slots[:n_slots] = 0
    return np.uint64(n_slots - 1)


@kernel
def _share_of_repeated_lines(text, starts, ends, n_lines, slots, seed):
    """Each distinct line has a slot: tag | its number + 1."""
    if n_lines == 0:
        return math.nan
    mask = _slot_mask(slots, n_lines)
    repeated = 0
    for line in range(n_lines):
        begin = np.int64(starts[line])
        length = ends[line] - begin
        key = first_bytes(load64(text, begin), length)
        hashed = hash_bytes(seed, text, begin, length)
        slot = hashed & mask
        while slots[slot]:
            if slots[slot] & _TAG == hashed & _TAG:
                other = np.int64(slots[slot] & _LOW) - 1
                earlier = np.int64(starts[other])
                same_head = ends[other] - earlier == length and first_bytes(load64(text, earlier), length) == key
                if same_head and same_tail(text, begin, text, earlier, length):
                    repeated += 1
                    break
            slot = slot + ONE & mask
        if slots[slot] == 0:
            slots[slot] = hashed & _TAG | np.uint64(line + 1)
    return np.float64(repeated) / np.float64(n_lines)


# --- 3-grams of tokens


@inlined
def _gram_hash(ids, i):
    state = np.uint64(ids[i]) * _FIRST_FACTOR + np.uint64(ids[i + 1]) * _SECOND_FACTOR
    state += np.uint64(ids[i + 2]) * _THIRD_FACTOR
    state ^= state >> _HALF
    return state * _FIRST_FACTOR


@inlined
def _same_gram(ids, i, j):
    return ids[i] == ids[j] and ids[i + 1] == ids[j + 1] and ids[i + 2] == ids[j + 2]


@inlined
def _gram_characters(table, ids, i):
    count = 0
    for token in range(i, i + _GRAM):
        row = ids[token]
        count += characters(table.bytes, table.rows[row, OFFSET], table.rows[row, LENGTH])
    return count


@kernel
def _fill_buckets(ids, n_grams, buckets, shift):
    """How many 3-grams fall into each bucket, never less than how often one of them occurs; returns the greatest."""
    fullest = 0
    buckets[: 1 << np.int64(np.uint64(64) - shift)] = 0
    for i in range(n_grams):
        bucket = _gram_hash(ids, i) >> shift
        buckets[bucket] += 1
        fullest = max(fullest, np.int64(buckets[bucket]))
    return fullest


@kernel
def _count_grams(ids, n_grams, buckets, shift, least, slots, table):
    """Counts exactly, in buckets of at least `least`: the greatest count and the most characters a 3-gram of it has.

    A slot holds count << 32 | position of the first occurrence + 1.
    """
    candidates = 0
    for i in range(n_grams):
        candidates += buckets[_gram_hash(ids, i) >> shift] >= least
    mask = _slot_mask(slots, candidates)
    greatest = np.uint64(0)
    for i in range(n_grams):
        hashed = _gram_hash(ids, i)
        if buckets[hashed >> shift] < least:
            continue
        slot = hashed & mask
        while slots[slot] and not _same_gram(ids, i, np.int64(slots[slot] & _LOW) - 1):
            slot = slot + ONE & mask
        if slots[slot] == 0:
            slots[slot] = np.uint64(i + 1)
        slots[slot] += ONE << _HALF
        greatest = max(greatest, slots[slot] >> _HALF)
    most_characters = 0
    for slot in range(np.int64(mask) + 1):
        if slots[slot] >> _HALF == greatest:
            first = np.int64(slots[slot] & _LOW) - 1
            most_characters = max(most_characters, _gram_characters(table, ids, first))
    return np.int64(greatest), most_characters


@kernel
def _top_gram_share(work, n_tokens, n_chars):
    """Counts in small buckets first, then exactly only where the winner can be.

    The fullest bucket's own 3-grams give a lower bound; every bucket below it is out. In prose that leaves next to
    nothing, and the pass over the buckets stays in the cache.
    """
    n_grams = n_tokens - _GRAM + 1
    if n_grams < 1:
        return math.nan
    bits = _MIN_BUCKET_BITS
    while bits < _MAX_BUCKET_BITS and 1 << bits < n_grams:
        bits += 1
    shift = np.uint64(64 - bits)
    fullest = _fill_buckets(work.ids, n_grams, work.buckets, shift)
    count, length = _count_grams(work.ids, n_grams, work.buckets, shift, fullest, work.slots, work.table)
    if count < fullest:
        count, length = _count_grams(work.ids, n_grams, work.buckets, shift, count, work.slots, work.table)
    return min(1.0, np.float64(count * length) / np.float64(n_chars))


# --- all together


@kernel
def _measure_sentences(text, size, choice, work, n_words, integers, floats, row):
    n_boundaries = find_sentence_boundaries(text, size, choice.unicode, True, work.boundaries)
    lengths = work.boundaries
    sentences = count_words_per_sentence(
        text, choice.unicode, work.boundaries, n_boundaries, work.starts, work.ends, n_words, lengths
    )
    total, squares = 0, 0
    for index in range(sentences):
        length = np.int64(lengths[index])
        total += length
        squares += length * length
    integers[row, N_SENTENCES] = sentences
    if sentences < 2:
        floats[row, BURSTINESS] = floats[row, BURSTINESS_GB] = math.nan
        return
    sigma, mean = root_of_spread(sentences, total, squares), np.float64(total)
    floats[row, BURSTINESS] = sigma / mean
    floats[row, BURSTINESS_GB] = (sigma - mean) / (sigma + mean)


@kernel
def _measure_types(choice, work, n_tokens, distances, integers, floats, row):
    table = work.table
    n_types = table.fill[0]
    integers[row, N_TOKENS] = n_tokens
    integers[row, N_TYPES] = n_types
    if n_tokens == 0:
        floats[row, ENTROPY] = floats[row, ENTROPY_MM] = floats[row, TYPE_TOKEN] = math.nan
        floats[row, MATTR] = floats[row, HAPAX] = math.nan
        return
    log_sum, once = np.uint64(0), 0
    for index in range(n_types):
        count = table.rows[index, COUNT]
        log_sum += lookup_log2_times(choice.logs, count)
        once += count == 1
    entropy = entropy_from_sum(choice.logs, n_tokens, log_sum)
    floats[row, ENTROPY] = entropy
    floats[row, ENTROPY_MM] = miller_madow(entropy, n_tokens, n_types)
    floats[row, TYPE_TOKEN] = np.float64(n_types) / np.float64(n_tokens)
    floats[row, MATTR] = moving_average(n_tokens, n_types, distances, work.tail)
    floats[row, HAPAX] = np.float64(once) / np.float64(n_types)


@kernel
def _measure_characters(text, size, choice, work, integers, floats, row):
    integers[row, INVISIBLE_CHARS] = 0
    floats[row, CHAR_ENTROPY] = math.nan
    if not choice.char_entropy and not choice.invisible:
        integers[row, N_CHARS] = _count_code_points(text, size)
        return
    n_chars, invisible, n_touched = _count_characters(text, size, choice.unicode, work.char_counts, work.touched)
    integers[row, N_CHARS] = n_chars
    integers[row, INVISIBLE_CHARS] = invisible
    log_sum = _take_log_sum(work.char_counts, work.touched, n_touched, choice.logs)
    floats[row, CHAR_ENTROPY] = entropy_from_sum(choice.logs, n_chars, log_sum)


@kernel
def _compare_with_synthetic(choice, work, size, n_words, floats, row):
    floats[row, SYNTHETIC_LOGIT] = floats[row, SYNTHETIC_PROBABILITY] = math.nan
    if not choice.detects:
        return
    total, features = score_words(
        choice.detector.weights, work.text, size, work.starts, work.ends, n_words, work.table, work.ids
    )
    logit = logit_of(choice.detector, total, features, n_words, floats[row, MARKER_RATE], floats[row, BURSTINESS])
    floats[row, SYNTHETIC_LOGIT] = logit
    floats[row, SYNTHETIC_PROBABILITY] = probability_of(choice.detector, logit)


@kernel
def _compare_with_anchor(choice, work, n_tokens, integers, floats, row):
    """Leaves the document's words in work.slots, where n-grams are to be counted or words to be kept."""
    floats[row, PERPLEXITY] = floats[row, OOV_RATE] = floats[row, TAIL_SHARE] = math.nan
    if not choice.compared or n_tokens == 0:
        return
    unknown, rare = compare_types(choice.anchor, work.table)
    floats[row, OOV_RATE] = np.float64(unknown) / np.float64(n_tokens)
    if choice.anchor.tail_end > 0:
        floats[row, TAIL_SHARE] = np.float64(rare) / np.float64(n_tokens)
    n_sentences = integers[row, N_SENTENCES]
    if choice.perplexity or choice.counts_ngrams or choice.keeps_words:
        size = gather_stream(choice.anchor, work.table, work.ids, n_tokens, work.boundaries, n_sentences, work.slots)
        if choice.perplexity:
            cost = cost_of_stream(choice.anchor, work.slots, size, work.entries)
            floats[row, PERPLEXITY] = perplexity_of(cost, n_tokens + n_sentences)


@kernel
def _compare_fingerprints(choice, work, n_tokens, floats, row):
    floats[row, ANCHOR_OVERLAP] = math.nan
    if not choice.overlap:
        return
    found = find_fingerprints(work.table, work.ids, n_tokens, work.slots)
    if found:
        overlap = count_overlap(choice.anchor.fingerprints, work.slots, found, choice.met)
        floats[row, ANCHOR_OVERLAP] = np.float64(overlap) / np.float64(found)


@kernel
def measure_text(choice, work, size, integers, floats, row):
    """Fills one row from work.text[:size] (valid UTF-8), and `work` with its tokens.

    Returns the sum of distances (see tokens.py), or NO_ROOM where the table is too small for the document's types.
    """
    text = work.text
    clear(work.table)
    n_words = find_words(text, size, choice.unicode, work.starts, work.ends)
    if choice.kind == WORD:
        n_tokens = n_words
        distances = intern_words(
            text, work.starts, work.ends, n_words, choice.unicode, work.folded, work.table, work.ids, work.tail
        )
    elif choice.kind == BIGRAM:
        distances, n_tokens = intern_bigrams(
            text, work.starts, work.ends, n_words, choice.unicode, work.folded, work.table, work.ids, work.tail
        )
    elif choice.kind == ID:
        begin = work.code_ends[work.code_at[0] - 1] if work.code_at[0] else 0
        end = work.code_ends[work.code_at[0]]
        n_tokens = end - begin
        distances = intern_ids(work.codes, begin, end, work.folded, work.table, work.ids, work.tail)
    else:
        distances, n_tokens = intern_units(text, size, choice.kind == CHAR, work.table, work.units, work.ids, work.tail)
        forget_units(work.table, work.units)
    if distances == NO_ROOM:
        return NO_ROOM
    integers[row, N_BYTES] = size
    _measure_sentences(text, size, choice, work, n_words, integers, floats, row)
    _measure_types(choice, work, n_tokens, distances, integers, floats, row)
    _measure_characters(text, size, choice, work, integers, floats, row)
    floats[row, TOP_NGRAM] = floats[row, DUP_LINE] = floats[row, MARKER_RATE] = math.nan
    if choice.kind == WORD and n_tokens > 0:
        matches = count_markers(choice.lexicon, work.table, work.ids, n_tokens)
        floats[row, MARKER_RATE] = np.float64(1000 * matches) / np.float64(n_tokens)
    _compare_with_synthetic(choice, work, size, n_words, floats, row)
    if choice.top_ngram:
        floats[row, TOP_NGRAM] = _top_gram_share(work, n_tokens, integers[row, N_CHARS])
    if choice.dup_line:  # the words are done with: their arrays serve for the lines
        n_lines = _find_lines(text, size, work.starts, work.ends)
        floats[row, DUP_LINE] = _share_of_repeated_lines(
            text, work.starts, work.ends, n_lines, work.slots, work.table.seed
        )
    if choice.kind == WORD and n_tokens > 0:
        matches = count_markers(choice.lexicon, work.table, work.ids, n_tokens)
        floats[row, MARKER_RATE] = np.float64(1000 * matches) / np.float64(n_tokens)
    _compare_fingerprints(choice, work, n_tokens, floats, row)
    _compare_with_anchor(choice, work, n_tokens, integers, floats, row)
    return distances


@kernel
def mark_words(choice, work, size):
    """Only words and sentences (`stage="words"`); returns how many words."""
    text = work.text
    n_words = find_words(text, size, choice.unicode, work.starts, work.ends)
    n_boundaries = find_sentence_boundaries(text, size, choice.unicode, True, work.boundaries)
    count_words_per_sentence(
        text, choice.unicode, work.boundaries, n_boundaries, work.starts, work.ends, n_words, work.boundaries
    )
    return n_words
