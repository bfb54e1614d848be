"""Texts in memory: `measure` gives a row per text, `Scanner` also keeps a profile, for use inside another pipeline."""

from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay import _backend
from textassay.anchor.anchor import Anchor, as_anchor
from textassay.configuration import BATCH_TOKENS, MAX_TYPES, Configuration, check_limits, configure, verdicts_of
from textassay.cpus import usable_cpus
from textassay.detector import Detector, DetectorChoice, as_detector
from textassay.lexicon import Lexicon
from textassay.profile import Profile
from textassay.provenance import LABELS
from textassay.provenance_tables import VerdictCounts
from textassay.table import Table
from textassay.texts import Texts, chunks_of
from textassay.tokenizer import Tokenizer, TokenizerChoice, as_tokenizer, counted_tokens


def measure(
    texts: Any,
    signals: str | Iterable[str] = "default",
    *,
    tokens: str = "word",
    lexicon: Lexicon | None = None,
    anchor: Anchor | str | PathLike[str] | None = None,
    detector: DetectorChoice = "default",
    tokenizer: TokenizerChoice = None,
    threads: int | None = None,
) -> Table:
    """One row per text, a column per signal, and `n_replaced` (lone surrogates that became U+FFFD).

    `texts` is a list or iterable of str, a numpy array of strings, or anything with `__arrow_c_stream__` or
    `__arrow_c_array__`, of strings or of tables of one column (pyarrow, pandas, Polars, DuckDB), or a column of a Hugging
    Face dataset. Arrow data needs pyarrow; string and large_string data are not copied, string views once. Columns are int64 or float64;
    NaN is null. tokens="bpe" counts the ids that the `tokenizer` (or the path of its tokenizer.json) makes of a text. With an `anchor` (or the path of its file) the default signals hold perplexity, oov_rate and tail_share.
    The `detector` (the package's own if not another one, its folder or None) adds synthetic_logit, synthetic_probability
    and `provenance`: the label "synthetic_suspected" or "human_unverified". Where a text is None or null its whole row
    is NaN or None, and all integer columns become float64.

    Raises `UsageError` on an unknown signal, `TypeError` on what is no text, `ValueError` on Arrow data that is not
    valid UTF-8.
    """
    used_anchor = as_anchor(anchor)
    looking = as_detector(detector, tokens, lexicon)
    using = as_tokenizer(tokenizer, tokens)
    configuration, used = configure(signals, tokens, BATCH_TOKENS, MAX_TYPES, lexicon, used_anchor, looking, using)
    measurer = make_measurer(configuration, used, used_anchor, looking, using, threads)
    verdicts = verdicts_of(looking, configuration.signals)
    parts = [_measured(measurer.measure, chunk, verdicts) for chunk in chunks_of(texts)]
    return Table.concatenated(parts or [_measured(measurer.measure, NO_TEXTS, verdicts)])


class Scanner:
    """Measures texts as they come by and counts them into a profile, as the documents of one file.

    >>> scanner = Scanner()
    >>> for texts in pipeline:
    ...     table = scanner.update(texts)
    >>> scanner.profile.summary()
    """

    def __init__(
        self,
        signals: str | Iterable[str] = "default",
        *,
        tokens: str = "word",
        batch_tokens: int = BATCH_TOKENS,
        max_types: int = MAX_TYPES,
        lexicon: Lexicon | None = None,
        anchor: Anchor | str | PathLike[str] | None = None,
        detector: DetectorChoice = "default",
        tokenizer: TokenizerChoice = None,
        threads: int | None = None,
    ) -> None:
        used_anchor = as_anchor(anchor)
        looking = as_detector(detector, tokens, lexicon)
        using = as_tokenizer(tokenizer, tokens)
        numbers = (batch_tokens, max_types)
        self._configuration, used = configure(signals, tokens, *numbers, lexicon, used_anchor, looking, using)
        self._measurer = make_measurer(self._configuration, used, used_anchor, looking, using, threads)
        self._verdicts = verdicts_of(looking, self._configuration.signals)
        self._counts = VerdictCounts()
        self._replaced = 0

    def update(self, texts: Any) -> Table:
        """Counts the texts and returns what `measure` returns. Null texts are rows of the table and are not counted."""
        parts = []
        for chunk in chunks_of(texts):
            parts.append(_measured(self._measurer.update, chunk, self._verdicts, self._counts))
            self._replaced += 0 if chunk.replaced is None else int(chunk.replaced.sum())
        return Table.concatenated(parts or [_measured(self._measurer.measure, NO_TEXTS, self._verdicts)])

    @property
    def profile(self) -> Profile:
        """A copy of the counts so far; the open batch counts as closed."""
        state = self._measurer.profile()
        state.add_totals(dict.fromkeys(state.totals(), 0) | {"n_replaced": self._replaced})
        if self._verdicts is not None:
            state.add_provenance(self._counts.tables(self._verdicts.suspicion))
        return Profile.from_state(self._configuration, state)

    @property
    def batches(self) -> Table:
        """A row per batch closed so far."""
        return Table(self._measurer.batches())


NO_TEXTS = Texts(np.zeros(0, np.uint8), np.zeros(1, np.int64), 0)


def make_measurer(
    configuration: Configuration,
    lexicon: Lexicon,
    anchor: Anchor | None = None,
    detector: Detector | None = None,
    tokenizer: Tokenizer | None = None,
    threads: int | None = None,
) -> Any:
    """A backend's Measurer. Raises `UsageError` on a number of threads out of range."""
    used = usable_cpus() if threads is None else threads
    check_limits(configuration.tokens, threads=used)
    return _backend.get().Measurer(
        list(configuration.signals),
        **counted_tokens(configuration.tokens, tokenizer),
        markers=lexicon.phrases,
        anchor=None if anchor is None else anchor.for_backend,
        detector=None if detector is None else detector.for_backend(),
        batch_tokens=configuration.batch_tokens,
        max_types=configuration.max_types,
        threads=used,
    )


def _measured(
    call: Any, texts: Texts, verdicts: Detector | None, counts: VerdictCounts | None = None
) -> Mapping[str, NDArray[Any]]:
    columns: dict[str, NDArray[Any]] = dict(call(texts.data, texts.offsets))
    if texts.replaced is not None:
        columns["n_replaced"] = columns["n_replaced"] + texts.replaced
    if verdicts is not None:
        is_suspected = verdicts.suspects(columns)
        columns["provenance"] = np.where(is_suspected, *_VERDICTS)
        if counts is not None:
            counts.add(is_suspected, columns["n_tokens"], np.diff(texts.offsets))
    if texts.present is None:
        return columns
    return {name: _spread(column, texts.present, texts.n_rows) for name, column in columns.items()}


_VERDICTS = np.array(LABELS[3], object), np.array(LABELS[1], object)


def _spread(column: NDArray[Any], present: NDArray[np.int64], n_rows: int) -> NDArray[Any]:
    rows = np.full(n_rows, None) if column.dtype == object else np.full(n_rows, np.nan)
    rows[present] = column
    return rows
