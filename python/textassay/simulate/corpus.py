"""A corpus as word numbers, and how it is read from files."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay import _backend
from textassay.anchor.ngrams import END, SPECIALS
from textassay.anchor.vocabulary import vocabulary_of
from textassay.configuration import MAX_TYPES
from textassay.errors import UsageError
from textassay.fields import parse_field
from textassay.first_record import nothing_found
from textassay.parquet import sources_of
from textassay.scanning import MAX_RECORD_BYTES, MAX_WINDOW_LOG, Progress, ScanResult, drain, scan, stop
from textassay.tail_retention import TAIL_MASS

MAX_WORDS = (1 << 21) - len(SPECIALS)
"""Types of a simulated corpus: three numbers of words have to fit 63 bits."""

_FILE_SHIFT = np.uint64(40)
_SLACK = 1 << 16

Words = NDArray[np.uint32]
Offsets = NDArray[np.int64]


@dataclass(frozen=True)
class Corpus:
    """Documents one after the other: of each sentence its words' numbers, and END. No sentence is empty, nor a document."""

    words: Words
    offsets: Offsets
    """Length n_documents + 1."""

    @property
    def n_documents(self) -> int:
        return len(self.offsets) - 1

    @property
    def n_sentences(self) -> int:
        return int(np.count_nonzero(self.words == END))

    @property
    def n_tokens(self) -> int:
        return len(self.words) - self.n_sentences

    def ends(self) -> Offsets:
        """Tokens up to the end of each document."""
        sentences = np.cumsum(self.words == END, dtype=np.int64)
        return self.offsets[1:] - sentences[self.offsets[1:] - 1]

    def slice(self, begin: int, end: int) -> "Corpus":
        """Documents begin ... end - 1, a view."""
        offsets = self.offsets[begin : end + 1]
        return Corpus(self.words[offsets[0] : offsets[-1]], offsets - offsets[0])

    def take(self, documents: NDArray[np.intp]) -> "Corpus":
        """These documents, in this order; a copy."""
        lengths = np.diff(self.offsets)[documents]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[documents] - offsets[:-1], lengths)
        return Corpus(self.words[places], offsets)

    def up_to(self, tokens: int) -> "Corpus":
        """The first documents that hold so many tokens together; all, if they hold fewer. A view."""
        return self.slice(0, min(self.n_documents, int(np.searchsorted(self.ends(), tokens)) + 1) if tokens > 0 else 0)


def joined(parts: Sequence[Corpus]) -> Corpus:
    """One behind the other. One part is not copied."""
    filled = [part for part in parts if part.n_documents]
    if len(filled) == 1:
        return filled[0]
    words = np.concatenate([part.words for part in filled]) if filled else np.zeros(0, np.uint32)
    lengths = [np.diff(part.offsets) for part in filled]
    return Corpus(words, np.cumsum(np.concatenate([[0], *lengths]), dtype=np.int64))


@dataclass(frozen=True)
class Vocabulary:
    """Of a word's number its UTF-8: token_bytes[offsets[i]:offsets[i + 1]]; of the first three numbers, which are no words,
    nothing.
    """

    token_bytes: NDArray[np.uint8]
    offsets: Offsets

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def words(self) -> list[str]:
        data, offsets = self.token_bytes.tobytes(), self.offsets.tolist()
        return [data[begin:end].decode() for begin, end in pairwise(offsets)]


class _Pool:
    """Documents of a corpus of any size: those of least hash that hold `tokens` together, so a uniform sample that does not
    depend on the order in which they come. A few times as many are held while they come.
    """

    def __init__(self, tokens: int, seed: int) -> None:
        self._tokens, self._seed = tokens, seed
        self._hashes: list[NDArray[np.uint64]] = []
        self._parts: list[Corpus] = []
        self._held = 0
        self._seen: dict[int, int] = {}

    def add(self, file: int, words: Words, offsets: Offsets) -> None:
        first = self._seen.get(file, 0)
        n = len(offsets) - 1
        self._seen[file] = first + n
        names = np.uint64(file) << _FILE_SHIFT | np.arange(first, first + n, dtype=np.uint64)
        part = _without_empty_sentences(words, offsets)
        filled = np.flatnonzero(np.diff(part.offsets))
        # What is left of an empty document is two equal offsets: the words are the same without it.
        self._parts.append(Corpus(part.words, np.append(part.offsets[filled], len(part.words))))
        self._hashes.append(mixed(mixed(np.uint64(self._seed)) ^ names[filled]))
        self._held += len(part.words)
        if self._held > 4 * self._tokens + _SLACK:
            self._thin_out()

    def _thin_out(self) -> None:
        hashes, everything = np.concatenate(self._hashes), joined(self._parts)
        order = np.argsort(hashes, kind="stable")
        kept = everything.take(order).up_to(self._tokens)
        self._hashes, self._parts = [hashes[order[: kept.n_documents]]], [Corpus(kept.words.copy(), kept.offsets)]
        self._held = len(kept.words)

    def corpus(self) -> Corpus:
        """In the order of the hashes."""
        if self._parts:
            self._thin_out()
        return joined(self._parts)


def mixed(values: Any) -> Any:
    """The output of SplitMix64 (Steele, Lea & Flood 2014) for each uint64."""
    with np.errstate(over="ignore"):
        z = values + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        return z ^ z >> np.uint64(31)


def _without_empty_sentences(words: Words, offsets: Offsets) -> Corpus:
    """Where a word straddles the end of a sentence, the next one may have none left."""
    is_end = words == END
    is_kept = ~(is_end & np.concatenate([[True], is_end[:-1]]))
    kept = np.concatenate([[0], np.cumsum(is_kept)])
    return Corpus(words[is_kept], kept[offsets])


def read_corpus(
    inputs: str | PathLike[str] | Iterable[str | PathLike[str]],
    tokens: int,
    seed: int,
    *,
    text_fields: Sequence[str],
    threads: int,
    on_progress: Callable[[Progress], None] | None = None,
) -> tuple[Corpus, Vocabulary, ScanResult]:
    """A sample of a corpus of about `tokens` tokens, or all of it; documents in random order.

    Two passes: the words, then the documents. Raises `UsageError` on inputs that can be read only once, on text without
    words and on more types than `MAX_WORDS`.
    """
    reading = {"text_fields": list(text_fields), "max_types": MAX_TYPES, "threads": threads}
    result = scan(inputs, signals=["n_tokens"], documents="none", on_progress=on_progress, **reading)
    if any(file.size is None for file in result.inputs):
        raise UsageError("a simulation reads its corpus twice: wanted files, found a pipe")
    if result.profile.totals()["n_tokens"] == 0:
        raise nothing_found("a simulation needs text: no word was found", result.inputs, text_fields)
    everything = vocabulary_of(result.profile, 1, TAIL_MASS)
    backend = _backend.get()
    fields = [parse_field(path) for path in text_fields]
    running = backend.Scan(
        sources_of(result.inputs, fields),
        signals=["n_tokens"],
        text_fields=fields,
        anchor=backend.Anchor(everything.arrays(), n_modelled=everything.n_modelled),
        words=True,
        max_record_bytes=MAX_RECORD_BYTES,
        max_window_log=MAX_WINDOW_LOG,
        threads=threads,
        stage="signals",
    )
    pool = _Pool(tokens, seed)

    def take(event: Mapping[str, Any]) -> None:
        if "documents" in event:
            pool.add(event["file"], event["documents"]["words"], event["documents"]["word_offsets"])

    try:
        drain(running, result.inputs, take, None)
    except BaseException:
        stop(running)
        raise
    corpus, vocabulary = _renumbered(pool.corpus(), everything.token_bytes, everything.token_offsets.astype(np.int64))
    return corpus, vocabulary, result


def _renumbered(corpus: Corpus, token_bytes: NDArray[np.uint8], offsets: Offsets) -> tuple[Corpus, Vocabulary]:
    """Only the words that occur, in the same order."""
    occurs = np.zeros(len(offsets) - 1, np.bool_)
    occurs[: len(SPECIALS)] = True
    occurs[corpus.words] = True
    n_words = int(occurs.sum()) - len(SPECIALS)
    if n_words > MAX_WORDS:
        raise UsageError(f"{n_words} types: a simulation holds {MAX_WORDS}; wanted fewer tokens")
    numbers = np.cumsum(occurs, dtype=np.uint32) - np.uint32(1)
    lengths = np.diff(offsets)
    kept = token_bytes[: offsets[-1]][np.repeat(occurs, lengths)]
    vocabulary = Vocabulary(kept, np.concatenate([[0], np.cumsum(lengths[occurs])]).astype(np.int64))
    return Corpus(numbers[corpus.words], corpus.offsets), vocabulary
