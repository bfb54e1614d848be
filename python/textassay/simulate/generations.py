"""A corpus, the model fitted to it, the corpus that the model writes, and so on."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from os import PathLike
from typing import Any

import numpy as np

from textassay import _backend
from textassay.anchor.ngrams import END
from textassay.collapse import Limits
from textassay.cpus import usable_cpus
from textassay.errors import UsageError
from textassay.scanning import Progress, ScanResult
from textassay.simulate.corpus import Corpus, Vocabulary, joined, read_corpus
from textassay.simulate.forecast import Forecast, forecast
from textassay.simulate.measuring import Reference, document_means, measure_generation, reference_of
from textassay.simulate.model import MAX_ORDER, Sharpening, build_sampler, count_ngrams
from textassay.simulate.sampling import Filter, sample_corpus, stream_seed
from textassay.tail_retention import TAIL_MASS

TOKENS = 10_000_000
SCHEMA = "textassay.simulation/1"
_MOST_GENERATIONS = 10_000


@dataclass(frozen=True)
class Settings:
    """What a simulation does; docs/simulation.md explains each. Raises `UsageError` on what makes no sense."""

    generations: int = 8
    tokens: int = TOKENS
    anchor_fraction: float = 0.0
    synthetic_ratio: float | None = None
    accumulate: bool = False
    order: int = MAX_ORDER
    temperature: float = 1.0
    top_p: float = 1.0
    filters: tuple[str, ...] = ()
    seed: int = 0
    tail_mass: float = TAIL_MASS
    entropy_floor: float | None = None
    tail_floor: float | None = None
    horizon: int = 100
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        synthetic = self.synthetic
        wanted = (
            ("generations", 1 <= self.generations <= _MOST_GENERATIONS, f"1 to {_MOST_GENERATIONS}"),
            ("tokens", 1 <= self.tokens < 1 << 31, "1 to 2^31 - 1"),
            ("anchor_fraction", 0 <= self.anchor_fraction <= 1, "a share from 0 to 1"),
            ("synthetic_ratio", 0 <= synthetic <= 1, "a share from 0 to 1"),
            ("synthetic_ratio", synthetic + self.anchor_fraction <= 1 + 1e-9, "at most 1 - anchor_fraction"),
            ("order", self.order in range(1, MAX_ORDER + 1), f"1 to {MAX_ORDER}"),
            ("temperature", 0.05 <= self.temperature <= 20, "0.05 to 20"),
            ("top_p", 0 < self.top_p <= 1, "above 0, up to 1"),
            ("seed", 0 <= self.seed < 1 << 64, "0 to 2^64 - 1"),
            ("tail_mass", 0 < self.tail_mass < 1, "a share between 0 and 1"),
            ("entropy_floor", self.entropy_floor is None or self.entropy_floor >= 0, "bits, from 0"),
            ("tail_floor", self.tail_floor is None or 0 <= self.tail_floor <= 1, "a share from 0 to 1"),
            ("horizon", 1 <= self.horizon <= 1_000_000, "1 to 1,000,000"),
        )
        for name, is_fine, what in wanted:
            if not is_fine:
                raise UsageError(f"{name}={getattr(self, name)}: wanted {what}")
        for text in self.filters:
            Filter.parse(text)

    @property
    def synthetic(self) -> float:
        """Share of generated text in a generation."""
        return 1 - self.anchor_fraction if self.synthetic_ratio is None else self.synthetic_ratio


@dataclass(frozen=True)
class Simulation:
    """What came out. `generations` begins with 0, the real text; each has the figures of `measuring.measure_generation`,
    and `n_generated`, `n_drawn`: documents of it that the model wrote, and had to write for that.
    """

    settings: Settings
    corpus: dict[str, Any]
    generations: list[dict[str, Any]]
    forecasts: list[Forecast]
    performance: dict[str, Any]

    def report(self) -> dict[str, Any]:
        """simulation.json; without `performance` equal for equal input, whatever the threads, the backend or the machine."""
        settings = asdict(self.settings) | {"synthetic_ratio": self.settings.synthetic}
        return {
            "schema": SCHEMA,
            "settings": settings,
            "corpus": self.corpus,
            "generations": self.generations,
            "forecasts": [one.report() for one in self.forecasts],
            "performance": self.performance,
        }


Observer = Callable[[int, Corpus, Vocabulary], None]


def simulate_corpus(
    inputs: str | PathLike[str] | Iterable[str | PathLike[str]],
    settings: Settings | None = None,
    *,
    text_fields: str | Sequence[str] = "text",
    threads: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_generation: Callable[[dict[str, Any]], None] | None = None,
    on_corpus: Observer | None = None,
) -> Simulation:
    """Fits an n-gram model to a corpus, draws a corpus from it, fits the next model to that, and so on.

    `on_progress` is told how far reading is, `on_generation` the figures of each generation when they are there, `on_corpus`
    its number, its documents and the words by number. Memory: about 70 bytes for each of `settings.tokens`
    (docs/simulation.md). Raises `UsageError` on text without words and inputs that can be read only once.
    """
    used = settings or Settings()
    n_threads = usable_cpus() if threads is None else threads
    if not 1 <= n_threads <= 4096:
        raise UsageError(f"threads={n_threads}: wanted 1 to 4096")
    fields = [text_fields] if isinstance(text_fields, str) else list(text_fields)
    fresh = round(used.tokens * used.anchor_fraction)
    pool_tokens = used.tokens + fresh * used.generations
    pool, vocabulary, read = read_corpus(
        inputs, pool_tokens, used.seed, text_fields=fields, threads=n_threads, on_progress=on_progress
    )
    generations = []
    started = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(n_threads) as executor:
        run = _Run(used, pool, len(vocabulary), executor, n_threads)
        for number, (corpus, figures) in enumerate(run.generations()):
            generations.append({"generation": number} | figures)
            if on_generation is not None:
                on_generation(generations[-1])
            if on_corpus is not None:
                on_corpus(number, corpus, vocabulary)
    return Simulation(
        used, _described(read, pool), generations, _forecasts(used, generations), _performance(generations, started, n_threads)
    )


class _Run:
    """One simulation. What is real text comes from `pool`, whose documents are in random order."""

    def __init__(self, settings: Settings, pool: Corpus, n_words: int, executor: ThreadPoolExecutor, threads: int) -> None:
        self.settings, self.pool, self.n_words = settings, pool, n_words
        self.executor, self.threads = executor, threads
        self.first = pool.up_to(settings.tokens)
        self.longest = _longest_sentence(self.first)
        self.filters = [Filter.parse(text) for text in settings.filters]
        self.place = self.first.n_documents  # in the pool, of the next fresh document

    def generations(self) -> Iterator[tuple[Corpus, dict[str, Any]]]:
        """The corpus of each generation and its figures."""
        settings = self.settings
        corpus, made = self.first, {"n_generated": 0, "n_drawn": 0}
        reference: Reference | None = None
        for number in range(settings.generations + 1):
            ngrams = count_ngrams(corpus, self.n_words, self.executor, self.threads)
            means = document_means(corpus, self.n_words, self.executor)
            if reference is None:
                reference = reference_of(corpus, self.n_words, settings.tail_mass, means)
            yield corpus, made | measure_generation(corpus, ngrams, means, reference, settings.limits)
            if number < settings.generations:
                sharpening = Sharpening(settings.temperature, settings.top_p)
                sampler = build_sampler(ngrams, corpus, settings.order, sharpening, self.longest, self.executor)
                del ngrams
                following, made = self._next(sampler, corpus, number + 1)
                corpus = joined([corpus, following]) if settings.accumulate else following

    def _next(self, sampler: Any, corpus: Corpus, number: int) -> tuple[Corpus, dict[str, Any]]:
        """Generated text, the part of the first generation that stays, and fresh real text."""
        settings = self.settings
        wanted = round(settings.tokens * settings.synthetic)
        fresh = round(settings.tokens * settings.anchor_fraction)
        generated, n_drawn = joined([]), 0
        if wanted:
            seed = stream_seed(settings.seed, number)
            generated, n_drawn = sample_corpus(
                sampler, corpus, wanted, self.n_words, seed, self.filters, self.executor, self.threads
            )
        parts = [generated, self.first.up_to(settings.tokens - wanted - fresh), *self._fresh(fresh)]
        return joined(parts), {"n_generated": generated.n_documents, "n_drawn": n_drawn}

    def _fresh(self, tokens: int) -> Iterator[Corpus]:
        """The next documents of the pool; behind the last one comes the first one."""
        while tokens > 0:
            if self.place == self.pool.n_documents:
                self.place = 0
            part = self.pool.slice(self.place, self.pool.n_documents).up_to(tokens)
            self.place += part.n_documents
            tokens -= part.n_tokens
            yield part


def _longest_sentence(corpus: Corpus) -> int:
    ends = np.flatnonzero(corpus.words == END)
    return int(np.diff(ends, prepend=-1).max()) - 1


def _described(read: ScanResult, pool: Corpus) -> dict[str, Any]:
    totals = read.profile.totals()
    inputs = read.summary["inputs"]
    return {
        "files": inputs["files"],
        "files_damaged": inputs["files_damaged"],
        "malformed": inputs["malformed"],
        "n_documents": totals["n_documents"],
        "n_tokens": totals["n_tokens"],
        "n_documents_held": pool.n_documents,
        "n_tokens_held": pool.n_tokens,
    }


def _forecasts(settings: Settings, generations: Sequence[dict[str, Any]]) -> list[Forecast]:
    floors = {"entropy_bits": settings.entropy_floor, "tail_retention": settings.tail_floor}
    return [
        forecast(name, [one[name] for one in generations], floor, settings.horizon)
        for name, floor in floors.items()
        if floor is not None
    ]


def _performance(generations: Sequence[dict[str, Any]], started: tuple[float, float], threads: int) -> dict[str, Any]:
    """Generation 0 is measured and modelled, too, but not drawn."""
    seconds, cpu_seconds = time.perf_counter() - started[0], time.process_time() - started[1]
    tokens = sum(one["n_tokens"] for one in generations[1:])
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "tokens_per_cpu_minute": 60 * tokens / cpu_seconds if cpu_seconds else None,
        "threads": threads,
        "backend": _backend.get().backend_info(),
    }
