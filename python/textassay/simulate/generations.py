"""A corpus, the model fitted to it, the corpus that the model writes, and so on."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from os import PathLike
from typing import Any

from textassay import _backend
from textassay.cpus import usable_cpus
from textassay.errors import UsageError
from textassay.scanning import Progress, ScanResult
from textassay.simulate.corpus import Corpus, joined, read_corpus
from textassay.simulate.forecast import Forecast, forecast
from textassay.simulate.frozen import FrozenModel, is_anchor
from textassay.simulate.measuring import Reference, document_means, measure_generation, reference_of
from textassay.simulate.model import Sharpening, build_sampler, count_ngrams
from textassay.simulate.output import SimulationFolder
from textassay.simulate.sampling import REAL, Filter, sample_corpus, stream_seed
from textassay.simulate.settings import Settings, Simulation

MAX_THREADS = 4096


def simulate_corpus(
    inputs: str | PathLike[str] | Iterable[str | PathLike[str]],
    out: str | PathLike[str] | None = None,
    *,
    settings: Settings | None = None,
    text_fields: str | Sequence[str] = "text",
    threads: int | None = None,
    write_text: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
    on_generation: Callable[[dict[str, Any]], None] | None = None,
) -> Simulation:
    """Fits an n-gram model to a corpus, draws a corpus from it, fits the next model to that, and so on.

    `inputs` as `scan` takes them, or one anchor, whose model then writes what stands for real text. With `out`,
    simulation.json, generations.parquet (or .jsonl) and simulation.svg are written there, whole or not at all; with
    `write_text` also every generation's documents, as JSONL. `on_progress` is told how far reading is, `on_generation` the
    figures of each generation when they are there. Memory: docs/simulation.md. Raises `UsageError` on text without words and
    inputs that can be read only once, `FolderError` and `OutputError` as a scan does.
    """
    used = settings or Settings()
    n_threads = usable_cpus() if threads is None else threads
    if not 1 <= n_threads <= MAX_THREADS:
        raise UsageError(f"threads={n_threads}: wanted 1 to {MAX_THREADS}")
    if write_text and out is None:
        raise UsageError("write_text needs a folder to write to")
    fields = [text_fields] if isinstance(text_fields, str) else list(text_fields)
    folder = None if out is None else SimulationFolder(out, write_text)
    with nullcontext() if folder is None else folder:
        generations: list[dict[str, Any]] = []
        with ThreadPoolExecutor(n_threads) as executor:
            anchor = _anchor_among(inputs)
            if anchor is None:
                pool, vocabulary, read = read_corpus(
                    inputs, used.pool_tokens, used.seed, text_fields=fields, threads=n_threads, on_progress=on_progress
                )
                about = _about_corpus(read)
            else:
                frozen = FrozenModel(anchor)
                pool, vocabulary, about = (
                    _written_by(frozen, used, executor, n_threads),
                    frozen.vocabulary,
                    frozen.about,
                )
            clock = _Clock()
            run = _Run(used, pool, len(vocabulary), executor, n_threads)
            for corpus, figures in run.generations():
                clock.stop()
                generations.append({"generation": len(generations)} | figures)
                if on_generation is not None:
                    on_generation(generations[-1])
                if folder is not None:
                    folder.take_corpus(len(generations) - 1, corpus, vocabulary)
                clock.start()
        performance = _performance(generations, clock, n_threads)
        result = Simulation(used, _described(about, pool), generations, _forecasts(used, generations), performance)
        if folder is not None:
            folder.commit(result)
    return result


class _Run:
    """One simulation. What is real text comes from `pool`, whose documents are in random order."""

    def __init__(
        self, settings: Settings, pool: Corpus, n_words: int, executor: ThreadPoolExecutor, threads: int
    ) -> None:
        self.settings, self.pool, self.n_words = settings, pool, n_words
        self.executor, self.threads = executor, threads
        self.first = pool.up_to(settings.tokens)
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
                sampler = build_sampler(ngrams, corpus, settings.order, sharpening, self.executor)
                del ngrams
                following, made = self._next(sampler, corpus, number + 1)
                corpus = joined([corpus, following]) if settings.accumulate else following

    def _next(self, sampler: Any, corpus: Corpus, number: int) -> tuple[Corpus, dict[str, Any]]:
        """Generated text, the part of the first generation that stays, and fresh real text."""
        settings = self.settings
        wanted, fresh = round(settings.tokens * settings.synthetic), settings.fresh_tokens
        generated, n_drawn = joined([]), 0
        if wanted:
            seed = stream_seed(settings.seed, number)
            mean = corpus.n_tokens // corpus.n_documents
            generated, n_drawn = sample_corpus(
                sampler, mean, wanted, self.n_words, seed, self.filters, self.executor, self.threads
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


def _anchor_among(inputs: str | PathLike[str] | Iterable[str | PathLike[str]]) -> str | PathLike[str] | None:
    given = [inputs] if isinstance(inputs, (str, PathLike)) else list(inputs)
    anchors = [one for one in given if is_anchor(one)]
    if anchors and len(given) > 1:
        raise UsageError(f"{anchors[0]}: an anchor takes the place of a corpus; wanted nothing beside it")
    return anchors[0] if anchors else None


def _written_by(frozen: FrozenModel, settings: Settings, executor: ThreadPoolExecutor, threads: int) -> Corpus:
    seed = stream_seed(settings.seed, REAL)
    wanted, mean = settings.pool_tokens, frozen.mean_tokens
    return sample_corpus(frozen.sampler, mean, wanted, frozen.n_words, seed, (), executor, threads)[0]


def _about_corpus(read: ScanResult) -> dict[str, Any]:
    totals = read.profile.totals()
    inputs = read.summary["inputs"]
    return {
        "anchor": None,
        "inputs": {name: inputs[name] for name in ("files", "files_damaged", "documents", "malformed")},
        "n_documents": totals["n_documents"],
        "n_tokens": totals["n_tokens"],
    }


def _described(about: dict[str, Any], pool: Corpus) -> dict[str, Any]:
    return about | {"n_documents_held": pool.n_documents, "n_tokens_held": pool.n_tokens}


def _forecasts(settings: Settings, generations: Sequence[dict[str, Any]]) -> list[Forecast]:
    floors = {"entropy_bits": settings.entropy_floor, "tail_retention": settings.tail_floor}
    return [
        forecast(name, [one[name] for one in generations], floor, settings.horizon)
        for name, floor in floors.items()
        if floor is not None
    ]


class _Clock:
    """What the generations cost; not what is done with them."""

    def __init__(self) -> None:
        self.seconds = self.cpu_seconds = 0.0
        self.start()

    def start(self) -> None:
        self._since = time.perf_counter(), time.process_time()

    def stop(self) -> None:
        self.seconds += time.perf_counter() - self._since[0]
        self.cpu_seconds += time.process_time() - self._since[1]


def _performance(generations: Sequence[dict[str, Any]], clock: _Clock, threads: int) -> dict[str, Any]:
    """Generation 0 is measured and modelled, too, but not drawn; its time counts."""
    tokens = sum(one["n_tokens"] for one in generations[1:])
    return {
        "seconds": clock.seconds,
        "cpu_seconds": clock.cpu_seconds,
        "tokens_per_cpu_minute": 60 * tokens / clock.cpu_seconds if clock.cpu_seconds else None,
        "threads": threads,
        "backend": _backend.get().backend_info(),
    }
