"""The profile of a corpus: all that was counted, mergeable, and what is read off it."""

from collections.abc import Iterable
from io import BytesIO
from os import PathLike, fspath
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from textassay import _backend
from textassay.atomic import replacing
from textassay.configuration import BATCH_TOKENS, MAX_TYPES, Configuration, configure
from textassay.detector import DetectorChoice, as_detector
from textassay.distribution import describe
from textassay.errors import UsageError
from textassay.lexicon import Lexicon
from textassay.provenance_tables import describe_provenance
from textassay.report import has_report
from textassay.sampled import estimated_spectrum, sketched, tokens_of
from textassay.spectrum import Figure, Spectrum, figures, rarefaction_sizes, rarefied_types, spectrum_table
from textassay.tap_format import sum_beyond_limit
from textassay.tap_reader import read_profile
from textassay.tap_writer import state_digest, write_profile
from textassay.tokenizer import Tokenizer, TokenizerChoice, as_tokenizer


class Profile:
    """Counts of a corpus under one configuration. Integers only, so merging is exact and knows no order.

    >>> profile = Profile.load("audit/profile.tap")
    >>> both = profile | Profile.load("other/profile.tap")
    >>> both.summary()["entropy_bits"], both.top(10)
    """

    def __init__(
        self,
        signals: str | Iterable[str] = "default",
        *,
        tokens: str = "word",
        batch_tokens: int = BATCH_TOKENS,
        max_types: int = MAX_TYPES,
        lexicon: Lexicon | None = None,
        detector: DetectorChoice = "default",
        tokenizer: TokenizerChoice = None,
    ) -> None:
        """An empty profile. Raises `UsageError` on an unknown signal or kind of token and on numbers out of range."""
        looking = as_detector(detector, tokens, lexicon)
        using = as_tokenizer(tokenizer, tokens)
        self.configuration, _ = configure(
            signals, tokens, batch_tokens, max_types, lexicon, detector=looking, tokenizer=using
        )
        self._state = _backend.get().ProfileState(list(self.configuration.signals), max_types)

    @property
    def state(self) -> Any:
        """The backend's ProfileState."""
        return self._state

    @classmethod
    def from_state(cls, configuration: Configuration, state: Any) -> "Profile":
        """Wraps a backend's ProfileState, without copying it."""
        profile = cls.__new__(cls)
        profile.configuration = configuration
        profile._state = state
        return profile

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "Profile":
        """Reads a `.tap` file. Raises `ProfileError` (path, byte offset, what was wanted) on one that is damaged or
        hostile.
        """
        with Path(path).open("rb") as stream:
            return cls.from_state(*read_profile(stream, fspath(path)))

    @classmethod
    def deserialize(cls, data: bytes) -> "Profile":
        """What `serialize` gave. Raises `ProfileError`."""
        return cls.from_state(*read_profile(BytesIO(data), "<bytes>"))

    def serialize(self) -> bytes:
        """The content of a `.tap` file. Equal counts give equal bytes."""
        stream = BytesIO()
        write_profile(stream, self.configuration, self._state)
        return stream.getvalue()

    def save(self, path: str | PathLike[str]) -> str:
        """Writes a `.tap` file, chunk by chunk; it takes the place of an older one in the end, whole. Returns
        `digest()`.
        """
        with replacing(path) as stream:
            return write_profile(stream, self.configuration, self._state)

    def digest(self) -> str:
        """Names the state: equal counts under an equal configuration have equal digests, and no others."""
        return state_digest(self.configuration, self._state)

    def update(
        self,
        texts: Any,
        *,
        lexicon: Lexicon | None = None,
        detector: DetectorChoice = "default",
        tokenizer: TokenizerChoice = None,
        threads: int | None = None,
    ) -> None:
        """Counts texts (as `measure` takes them) as the documents of one file, so the last batch ends with them.

        A profile needs the lexicon, the detector and the tokenizer that it began with. Raises `UsageError` for others.
        """
        from textassay.measuring import Scanner

        mine = self.configuration
        scanner = Scanner(
            mine.signals,
            tokens=mine.tokens,
            batch_tokens=mine.batch_tokens,
            max_types=mine.max_types,
            lexicon=lexicon,
            detector=detector if mine.detector else None,
            tokenizer=tokenizer,
            threads=threads,
        )
        scanner.update(texts)
        self.merge(scanner.profile)

    def merge(self, other: "Profile") -> None:
        """Adds the counts of `other`, which is unchanged. Raises `UsageError` where the configurations differ, or a sum would be
        more than 2^63 - 1.
        """
        self.configuration.check_same(other.configuration)
        if beyond := sum_beyond_limit(self.totals(), other.totals()):
            raise UsageError(f"profiles that add up to {beyond}: wanted less than 2^63")
        self._state.merge(other._state)

    def merge_file(self, path: str | PathLike[str]) -> None:
        """Adds the counts of a `.tap` file chunk by chunk, without holding them all.

        Raises `UsageError` where the configurations differ, and `ProfileError` on a damaged file, after which this
        profile holds a part of it and must be thrown away.
        """
        with Path(path).open("rb") as stream:
            read_profile(stream, fspath(path), (self.configuration, self._state))

    def __or__(self, other: "Profile") -> "Profile":
        """The profile of both corpora together."""
        if not isinstance(other, Profile):
            return NotImplemented
        merged = Profile.from_state(self.configuration, self._state.copy())
        merged.merge(other)
        return merged

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Profile is not pickled: send profile.serialize(), and Profile.deserialize() it there")

    def __repr__(self) -> str:
        totals = self.totals()
        tokens = f"{totals['n_tokens']} {self.configuration.tokens} tokens"
        return f"<Profile of {totals['n_documents']} documents, {tokens}, {'exact' if self.is_exact else 'bounded'}>"

    def _repr_html_(self) -> str | None:
        """For notebooks; None without jinja2 and matplotlib, and then `repr` is shown."""
        if not has_report():
            return None
        from textassay.report.notebook import profile_html

        return profile_html(self)

    def totals(self) -> dict[str, int]:
        """`n_documents`, `n_tokens`, `n_bytes`, `n_chars`, `n_sentences`, `n_replaced`, `n_batches`."""
        return {name: int(value) for name, value in self._state.totals().items()}

    @property
    def is_exact(self) -> bool:
        """False past the type limit, where all figures of the histogram are estimates."""
        return bool(self._state.level == 0)

    def frequencies(self) -> Spectrum:
        """The counts of types, exact or estimated, from which every figure of `summary` is computed."""
        n_tokens = self.totals()["n_tokens"]
        bounded = self._state.bounded()
        if bounded is not None:
            return estimated_spectrum(self._state, bounded, n_tokens)
        counts, numbers = self._state.count_of_counts()
        return Spectrum(n_tokens, counts.astype(np.int64), numbers.astype(np.int64))

    def spectrum(self) -> dict[str, float]:
        """Types seen m times, for m from 1 to 100, then in ranges "101-127", "128-255", ..."""
        return spectrum_table(self.frequencies())

    def rarefied_types(self, n: int) -> float:
        """Expected types in n tokens drawn without replacement. Raises `ValueError` unless 0 <= n <= the number of
        tokens.
        """
        frequencies = self.frequencies()
        if not 0 <= n <= frequencies.n_tokens:
            raise ValueError(f"n={n}: wanted a number from 0 to {frequencies.n_tokens}")
        return rarefied_types(frequencies, n).value or 0.0

    def top(self, k: int = 50, tokenizer: Tokenizer | None = None) -> list[dict[str, Any]]:
        """The k most frequent tokens: `token`, `count`, `documents`; by count descending, then by the token's bytes.

        A token of tokens="bpe" is an id in decimal; with the `tokenizer` rows have its `piece` of the vocabulary, too.
        Past the type limit some counts come from a sketch: those have `"estimate": True` and are never too low.
        """
        exact = self._state.top(k)
        columns = (exact["counts"].tolist(), exact["document_frequencies"].tolist())
        rows = [
            (-count, token, documents, False)
            for token, count, documents in zip(tokens_of(exact), *columns, strict=True)
        ]
        bounded = self._state.bounded()
        if bounded is not None:
            tokens = tokens_of(bounded["frequent"])
            counts = sketched(bounded["count_sketch"], tokens).tolist()
            documents = sketched(bounded["document_sketch"], tokens).tolist()
            rows += [(-count, token, seen, True) for token, count, seen in zip(tokens, counts, documents, strict=True)]
        found = [_top_row(*row) for row in sorted(rows)[:k]]
        return found if tokenizer is None else [row | {"piece": tokenizer.piece(int(row["token"]))} for row in found]

    def count(self, token: str | bytes) -> int:
        """How often a token was seen. Past the type limit the count of a type that is not kept by name is read from
        the sketch.
        """
        key = token.encode() if isinstance(token, str) else token
        if not key:
            return 0
        types = self._state.types(_just_before(key), 1)
        if tokens_of(types) == [key]:
            return int(types["counts"][0])
        bounded = self._state.bounded()
        return 0 if bounded is None else int(sketched(bounded["count_sketch"], [key])[0])

    def distributions(self) -> dict[str, dict[str, Any]]:
        """Of every document signal: `n`, `null`, `mean`, `sd`, `quantiles`, `bin_widths`; see `distribution.describe`."""
        return {name: describe(name, self._state.signal(name)) for name in self.configuration.signals}

    def batch_distributions(self) -> dict[str, dict[str, Any]]:
        """The same of every batch signal."""
        return {name: describe(name, self._state.signal(name)) for name in _backend.get().BATCH_SIGNALS}

    def histogram(self, signal: str) -> np.ndarray:
        """Bins (uint64) of a document or batch signal; `signals.bins_of(signal)` says what they hold."""
        return self._state.signal(signal)["bins"]

    def provenance(self) -> dict[str, Any] | None:
        """Documents, tokens and bytes by label: of the corpus, its sources, months and reasons; see
        `provenance_tables.describe_provenance`. None where nothing gave labels.
        """
        labelled_by = self.configuration.provenance
        return describe_provenance(labelled_by, self._state.provenance()) if labelled_by else None

    def summary(self, tokenizer: Tokenizer | None = None) -> dict[str, Any]:
        """The figures of METRICS section 3. None where a figure has no value. `tokenizer`: see `top`.

        `estimate` says whether the type limit was passed. If so, `standard_errors` holds those of the scalar
        figures and of `rarefied_types`, and counts of types are real numbers.
        """
        frequencies = self.frequencies()
        scalars = figures(frequencies)
        sizes = rarefaction_sizes(frequencies.n_tokens)
        rarefied = {str(n): rarefied_types(frequencies, n) for n in sizes}
        summary: dict[str, Any] = {"estimate": frequencies.is_estimate} | self.totals() | _values(scalars)
        if frequencies.is_estimate:
            summary["standard_errors"] = _errors(scalars) | {"rarefied_types": _errors(rarefied)}
        summary["rarefied_types"] = _values(rarefied)
        summary["spectrum"] = spectrum_table(frequencies)
        summary["top"] = self.top(50, tokenizer)
        return summary


def _values(named: dict[str, Figure]) -> dict[str, float | None]:
    return {name: figure.value for name, figure in named.items()}


def _errors(named: dict[str, Figure]) -> dict[str, float | None]:
    return {name: figure.error for name, figure in named.items()}


def _top_row(negative_count: int, token: bytes, documents: int, sketched_count: bool) -> dict[str, Any]:
    # Single bytes (`tokens="byte"`) need not be UTF-8: those are shown as \xNN.
    row = {"token": token.decode("utf-8", "backslashreplace"), "count": -negative_count, "documents": documents}
    return row | {"estimate": True} if sketched_count else row


def _just_before(key: bytes) -> bytes:
    """A key that sorts before `key` with no token in between: no token holds the byte FF, except the one-byte token FF
    itself.
    """
    if key[-1] == 0:
        return key[:-1]
    return key[:-1] + bytes([key[-1] - 1]) + b"\xff"
