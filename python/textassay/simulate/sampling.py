"""Documents drawn from a generation's model until there are enough of them."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay import _backend
from textassay.errors import UsageError
from textassay.simulate.corpus import Corpus, joined, mixed

SIGNALS = ("n_tokens", "n_types", "n_sentences", "entropy_bits", "mattr", "burstiness")
"""Of a drawn document, as of its text."""

LEAST_KEPT = 0.01
"""Fewer documents that pass the filters are taken for a mistake."""

_BLOCK = 1 << 17
_LEAST_BLOCK = 1 << 10
_BLOCKS = 64


@dataclass(frozen=True)
class Filter:
    """Documents whose `signal` is null, below `least` or above `most` are dropped."""

    signal: str
    least: float = -np.inf
    most: float = np.inf

    @classmethod
    def parse(cls, text: str) -> "Filter":
        """`mattr>=0.7`, `n_tokens<=1000`. Raises `UsageError`."""
        for sign, side in ((">=", "least"), ("<=", "most")):
            signal, found, value = text.partition(sign)
            if found:
                break
        wanted = f"filter {text!r}: wanted SIGNAL>=VALUE or SIGNAL<=VALUE, SIGNAL one of {', '.join(SIGNALS)}"
        try:
            limit = float(value)
        except ValueError as error:
            raise UsageError(wanted) from error
        if signal.strip() not in SIGNALS or not np.isfinite(limit):
            raise UsageError(wanted)
        return cls(signal.strip(), **{side: limit})

    def passed(self, figures: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
        column = figures[self.signal]
        result: NDArray[np.bool_] = (column >= self.least) & (column <= self.most)
        return result


def sample_corpus(
    sampler: Any,
    mean_tokens: int,
    tokens: int,
    n_words: int,
    seed: int,
    filters: Sequence[Filter],
    executor: Executor,
    threads: int,
) -> tuple[Corpus, int]:
    """Documents 0, 1, 2, ... of the stream `seed` that pass all filters, until they hold `tokens`; and how many were drawn.

    Which documents these are depends on nothing else: neither on threads nor on the size of the blocks they are drawn in,
    which `mean_tokens` of a document helps to choose.
    """
    block = max(1, min(_BLOCK, max(_LEAST_BLOCK, tokens // _BLOCKS)) // max(1, mean_tokens))

    def draw(first: int) -> tuple[Corpus, NDArray[np.intp]]:
        drawn = Corpus(*sampler.sample(seed, first, block))
        if not filters:
            return drawn, np.arange(block)
        figures = _backend.get().measure_documents(drawn.words, drawn.offsets, n_words)
        kept = np.flatnonzero(np.logical_and.reduce([one.passed(figures) for one in filters]))
        return drawn.take(kept), kept

    parts: list[Corpus] = []
    held = n_drawn = n_kept = 0
    for first, (part, kept) in _in_order(draw, block, executor, threads):
        needed = part.up_to(tokens - held)
        parts.append(needed)
        held += needed.n_tokens
        n_kept += needed.n_documents
        if held >= tokens:
            return joined(parts), first + int(kept[needed.n_documents - 1]) + 1
        n_drawn += block
        if n_drawn > 1000 and n_kept < LEAST_KEPT * n_drawn:
            raise UsageError(f"the filters keep {n_kept} of {n_drawn} documents drawn: too few to go on")
    raise AssertionError("a stream has no end")


def _in_order(draw: Any, block: int, executor: Executor, threads: int) -> Iterator[tuple[int, Any]]:
    """Blocks one after the other, some of them drawn ahead."""
    ahead: list[Future[Any]] = []
    first = 0
    try:
        while True:
            while len(ahead) < 2 * threads:
                ahead.append(executor.submit(draw, first + len(ahead) * block))
            yield first, ahead.pop(0).result()
            first += block
    finally:
        for future in ahead:
            future.cancel()


REAL = (1 << 64) - 1
"""In the place of a generation's number: the stream of what stands for real text."""


def stream_seed(seed: int, generation: int) -> int:
    """Names the stream of a generation."""
    return int(mixed(mixed(np.uint64(seed)) ^ np.uint64(generation)))
