"""A corpus as an order-3 model sees it: 3-grams counted, documents drawn, documents measured (csrc/lm/simulation.hpp)."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from textassay._numba.anchor import BEGIN, END
from textassay._numba.fixed_log import entropy_from_sum, load_log_table, lookup_log2_times, root_of_spread
from textassay._numba.jit import inlined, kernel
from textassay._numba.lanes import multiply_wide

_MAX_BITS = 21
_WINDOW = 100
_UNSEEN = -1
_ROOM = 1 << 16

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_30, _27, _31, _32, _11 = (np.uint64(shift) for shift in (30, 27, 31, 32, 11))
_LOW = np.uint64(0xFFFFFFFF)


# --- 3-grams


@kernel
def _gather_trigrams(words, bits, first_begin, first_end, keys):
    """Returns how many; there is room for two a sentence and one a word."""
    place = 0
    first, middle = np.uint64(END), np.uint64(BEGIN)
    for at in range(len(words)):
        word = np.uint64(words[at])
        if middle != np.uint64(BEGIN) and first_begin <= first < first_end:
            keys[place] = first << np.uint64(2) * bits | middle << bits | word
            place += 1
        first, middle = middle, word
        if word != np.uint64(END):
            continue
        if first_begin <= first < first_end:
            keys[place] = first << np.uint64(2) * bits | word << bits | word
            place += 1
        middle = np.uint64(BEGIN)
    return place


def _check_words(words: np.ndarray, n_words: int) -> None:
    wrong = np.flatnonzero((words >= n_words) | (words == BEGIN))
    if len(wrong):
        raise ValueError(f"words, element {wrong[0]}: wanted a word's number below {n_words}")


def _check_bits(bits: int) -> None:
    if not 2 <= bits <= _MAX_BITS:
        raise ValueError("bits: wanted 2 to 21")


def _checked_offsets(offsets: np.ndarray, n: int, size: int, name: str) -> np.ndarray:
    if offsets.ndim != 1 or len(offsets) != n:
        raise ValueError(f"{name}: wanted a 1-D array of {n} elements")
    if not n or offsets[0] != 0 or offsets[-1] != size or (np.diff(offsets) < 0).any():
        raise ValueError(f"{name}: wanted ascending offsets from 0 to {size}")
    return offsets


def count_trigrams(words: np.ndarray, bits: int, first_begin: int, first_end: int) -> tuple[np.ndarray, np.ndarray]:
    """3-grams of a corpus whose first word is in the range, ascending, and how often each was seen."""
    _check_bits(bits)
    words = np.ascontiguousarray(words, np.uint32)
    if words.ndim != 1:
        raise ValueError("words: wanted a 1-D array")
    if not 0 <= first_begin <= first_end <= 1 << bits:
        raise ValueError("first words: wanted an ascending range")
    _check_words(words, 1 << bits)
    keys = np.empty(len(words) + int(np.count_nonzero(words == END)), np.uint64)
    size = _gather_trigrams(words, np.uint64(bits), np.uint64(first_begin), np.uint64(first_end), keys)
    distinct, counts = np.unique(keys[:size], return_counts=True)
    return distinct, counts.astype(np.uint32)


# --- 2-grams


@kernel
def _find_bigram(begin, last, first, last_word, low):
    """The place of a 2-gram in [low, end of first); that end where it is absent."""
    end = begin[first + 1]
    high = end
    while low < high:
        middle = (low + high) // 2
        if last[middle] < last_word:
            low = middle + 1
        else:
            high = middle
    return low if low < end and last[low] == last_word else end


@kernel
def _find_last_bigrams(keys, bits, begin, last, places):
    mask = (np.uint64(1) << bits) - np.uint64(1)
    context, low = ~np.uint64(0), 0
    for at in range(len(keys)):
        middle, last_word = np.int64(keys[at] >> bits & mask), np.uint32(keys[at] & mask)
        if keys[at] >> bits != context:
            context = keys[at] >> bits
            low = begin[middle]
        place = _find_bigram(begin, last, middle, last_word, low)
        is_there = place < begin[middle + 1]
        if is_there:
            low = place
        places[at] = place if is_there else 0


def _check_bigrams(begin: np.ndarray, last: np.ndarray) -> None:
    if begin.ndim != 1 or not 4 <= len(begin) <= (1 << _MAX_BITS) + 1:
        raise ValueError("bigram_begin: wanted 4 to 2^21 + 1 elements")
    if last.ndim != 1 or len(last) > 0xFFFFFFFF:
        raise ValueError("bigram_last: wanted a 1-D array of less than 2^32 elements")
    _checked_offsets(begin, len(begin), len(last), "bigram_begin")


def find_last_bigrams(keys: np.ndarray, bits: int, bigram_begin: np.ndarray, bigram_last: np.ndarray) -> np.ndarray:
    """Of each 3-gram the place of the 2-gram of its last two words, 0 where there is none."""
    _check_bits(bits)
    keys, begin = np.ascontiguousarray(keys, np.uint64), np.ascontiguousarray(bigram_begin, np.int64)
    last = np.ascontiguousarray(bigram_last, np.uint32)
    if keys.ndim != 1:
        raise ValueError("keys: wanted a 1-D array")
    _check_bigrams(begin, last)
    if (keys >> np.uint64(bits) & np.uint64((1 << bits) - 1) >= np.uint64(len(begin) - 1)).any():
        raise ValueError("keys: wanted words that are known")
    places = np.empty(len(keys), np.uint32)
    _find_last_bigrams(keys, np.uint64(bits), begin, last, places)
    return places


# --- documents


class Model(NamedTuple):
    """What documents are drawn from; see csrc/lm/simulation.hpp."""

    bigram_begin: np.ndarray
    bigram_last: np.ndarray
    bigram_limits: np.ndarray
    trigram_begin: np.ndarray
    trigram_last: np.ndarray
    trigram_limits: np.ndarray
    word_limits: np.ndarray
    sentences: np.ndarray
    longest: int


@inlined
def _mixed(z):
    """SplitMix64 (Steele, Lea & Flood 2014)."""
    z = (z ^ z >> _30) * _FIRST
    z = (z ^ z >> _27) * _SECOND
    return z ^ z >> _31


@kernel
def _first_above(limits, low, high, random):
    while low < high:
        middle = (low + high) // 2
        if limits[middle] > random:
            high = middle
        else:
            low = middle + 1
    return low


@kernel
def _next_state(model, word, bigram, state):
    """Goes on by one word: it, its 2-gram, the random state."""
    state += _GOLDEN
    number = _mixed(state)
    if bigram != _UNSEEN:
        begin, end = model.trigram_begin[bigram], model.trigram_begin[bigram + 1]
        place = _first_above(model.trigram_limits, begin, end, np.uint32(number >> _32))
        if place < end:
            found = np.int64(model.trigram_last[place])
            return np.int64(model.bigram_last[found]), found, state
    begin, end = model.bigram_begin[word], model.bigram_begin[word + 1]
    found = _first_above(model.bigram_limits, begin, end, np.uint32(number & _LOW))
    if found < end:
        return np.int64(model.bigram_last[found]), found, state
    state += _GOLDEN
    last = _first_above(model.word_limits, np.int64(0), np.int64(len(model.word_limits)), _mixed(state) >> _11)
    found = _find_bigram(model.bigram_begin, model.bigram_last, word, np.uint32(last), begin)
    return last, found if found < end else np.int64(_UNSEEN), state


@kernel
def _sample_document(model, seed, number, words, place):
    """Returns the place behind the document, or -1 where there is no room."""
    state = _mixed((_mixed(seed + _GOLDEN) ^ number) + _GOLDEN) + _GOLDEN
    like = np.int64(multiply_wide(_mixed(state), np.uint64(len(model.sentences)))[0])
    for _ in range(model.sentences[like]):
        word, bigram, length = np.int64(BEGIN), np.int64(_UNSEEN), 0
        while length < model.longest:
            new_word, new_bigram, state = _next_state(model, word, bigram, state)
            if new_word == END:
                if length == 0:
                    continue  # no sentence is empty
                break
            if place == len(words):
                return -1
            words[place] = new_word
            place += 1
            length += 1
            word, bigram = new_word, new_bigram
        if place == len(words):
            return -1
        words[place] = END
        place += 1
    return place


@kernel
def _sample_documents(model, seed, first, done, n, words, offsets):
    """From document `done` on, as far as there is room; returns how many are done."""
    while done < n:
        end = _sample_document(model, seed, first + np.uint64(done), words, offsets[done])
        if end < 0:
            return done
        done += 1
        offsets[done] = end
    return done


class Sampler:
    """Draws documents from an order-3 model. Several threads may ask it at once."""

    def __init__(self, arrays: Mapping[str, np.ndarray], *, longest: int) -> None:
        begin, last = _section(arrays, "bigram_begin", np.int64), _section(arrays, "bigram_last", np.uint32)
        _check_bigrams(begin, last)
        n_bigrams, n_words = len(last), len(begin) - 1
        trigram_last = _section(arrays, "trigram_last", np.uint32)
        n_trigrams = len(trigram_last)
        trigram_begin = _section(arrays, "trigram_begin", np.int64)
        _checked_offsets(trigram_begin, n_bigrams + 1, n_trigrams, "trigram_begin")
        sentences, limits = _section(arrays, "sentences", np.uint32), _section(arrays, "word_limits", np.uint64)
        self._model = Model(
            begin,
            last,
            _sized(_section(arrays, "bigram_limits", np.uint32), n_bigrams, "bigram_limits"),
            trigram_begin,
            trigram_last,
            _sized(_section(arrays, "trigram_limits", np.uint32), n_trigrams, "trigram_limits"),
            _sized(limits, n_words, "word_limits"),
            sentences,
            int(longest),
        )
        if not len(sentences) or longest < 1:
            raise ValueError("sentences, longest: wanted documents, and words in their sentences")
        if int(limits[-1]) >> 53 != 1:
            raise ValueError("word_limits: wanted 2^53 at the end")
        if limits[END] == limits[-1]:
            raise ValueError("word_limits: wanted a word besides the ends of sentences")
        if limits[BEGIN] != 0:
            raise ValueError("word_limits: wanted 0 for <s>")
        _check_places(trigram_last, n_bigrams, "trigram_last")
        _check_places(last, n_words, "bigram_last")
        if END in last[begin[BEGIN] : begin[BEGIN + 1]]:  # or a sentence might never begin
            raise ValueError("bigram_last: wanted no sentence without words")

    def sample(self, seed: int, first: int, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Documents first ... first + n - 1 of the stream `seed`: their words and n + 1 offsets."""
        words, offsets = np.empty(_ROOM, np.uint32), np.zeros(n + 1, np.int64)
        done = 0
        while (done := _sample_documents(self._model, np.uint64(seed), np.uint64(first), done, n, words, offsets)) < n:
            larger = np.empty(2 * len(words), np.uint32)
            larger[: offsets[done]] = words[: offsets[done]]
            words = larger
        return words[: offsets[n]].copy(), offsets


def _section(arrays: Mapping[str, np.ndarray], name: str, dtype: Any) -> np.ndarray:
    array = arrays[name]
    if not isinstance(array, np.ndarray) or array.dtype != dtype or not array.flags.c_contiguous:
        raise ValueError(f"{name}: wanted a C-contiguous array of another type")
    view = array.view()
    view.flags.writeable = False
    return view


def _sized(array: np.ndarray, n: int, name: str) -> np.ndarray:
    if array.ndim != 1 or len(array) != n:
        raise ValueError(f"{name}: wanted a 1-D array of {n} elements")
    return array


def _check_places(places: np.ndarray, end: int, name: str) -> None:
    if (places >= end).any():
        raise ValueError(f"{name}: wanted numbers below {end}")


# --- figures of documents


@kernel
def _claimed_beyond_end(index, total, distance):
    room = total - _WINDOW - index + distance
    return distance - min(max(room, 0), distance)


@kernel
def _measure_document(words, begin, end, counts, last, distances, logs, integers, floats, row):
    floats[row, 0] = floats[row, 1] = floats[row, 2] = math.nan
    tokens, types, sentences, length, squares, window_sum = 0, 0, 0, 0, 0, 0
    for at in range(begin, end):
        word = words[at]
        if word == END:
            sentences += 1
            squares += length * length
            length = 0
            continue
        distance = tokens + 1 if counts[word] == 0 else tokens - last[word]
        types += counts[word] == 0
        counts[word] += 1
        last[word] = tokens
        distances[tokens] = min(distance, _WINDOW)
        window_sum += distances[tokens]
        tokens += 1
        length += 1
    log_sum = np.uint64(0)
    for at in range(begin, end):  # leaves the counts as they were: zero
        if words[at] != END:
            log_sum += lookup_log2_times(logs, counts[words[at]])
            counts[words[at]] = 0
    integers[row, 0], integers[row, 1], integers[row, 2] = tokens, types, sentences
    if tokens == 0:
        return
    for at in range(tokens if tokens < _WINDOW else tokens - _WINDOW + 1, tokens):
        window_sum -= _claimed_beyond_end(at, tokens, np.int64(distances[at]))
    floats[row, 0] = entropy_from_sum(logs, tokens, log_sum)
    if tokens < _WINDOW:
        floats[row, 1] = np.float64(types) / np.float64(tokens)
    else:
        floats[row, 1] = np.float64(window_sum) / (np.float64(_WINDOW) * np.float64(tokens - _WINDOW + 1))
    if sentences >= 2:
        floats[row, 2] = root_of_spread(sentences, tokens, squares) / np.float64(tokens)


@kernel
def _measure_documents(words, offsets, counts, last, distances, logs, integers, floats):
    for row in range(len(offsets) - 1):
        _measure_document(
            words, offsets[row], offsets[row + 1], counts, last, distances, logs, integers, floats, row
        )  # fmt: skip


def measure_documents(words: np.ndarray, offsets: np.ndarray, n_words: int) -> dict[str, np.ndarray]:
    """`n_tokens`, `n_types`, `n_sentences`, `entropy_bits`, `mattr`, `burstiness` of documents, as of their text."""
    words, offsets = np.ascontiguousarray(words, np.uint32), np.ascontiguousarray(offsets, np.int64)
    if words.ndim != 1 or offsets.ndim != 1:
        raise ValueError("words, offsets: wanted 1-D arrays")
    if n_words > 1 << _MAX_BITS:
        raise ValueError("n_words: wanted at most 2^21")
    _checked_offsets(offsets, len(offsets), len(words), "offsets")
    _check_words(words, n_words)
    n = len(offsets) - 1
    integers, floats = np.zeros((n, 3), np.int64), np.empty((n, 3), np.float64)
    distances = np.empty(int(np.diff(offsets).max(initial=0)), np.uint8)
    tables = (np.zeros(n_words, np.uint32), np.zeros(n_words, np.int64), distances, load_log_table())
    _measure_documents(words, offsets, *tables, integers, floats)
    columns = {name: integers[:, k].copy() for k, name in enumerate(("n_tokens", "n_types", "n_sentences"))}
    return columns | {name: floats[:, k].copy() for k, name in enumerate(("entropy_bits", "mattr", "burstiness"))}
