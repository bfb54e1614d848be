"""What a scan is to do, checked: everything but its inputs and where its results go."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

from textassay.anchor.anchor import Anchor, as_anchor
from textassay.configuration import BATCH_TOKENS, MAX_TYPES, Configuration, check_limits, configure, verdicts_of
from textassay.cpus import usable_cpus
from textassay.detector import Detector, DetectorChoice, as_detector
from textassay.errors import UsageError
from textassay.fields import parse_field
from textassay.inputs import Input
from textassay.lexicon import Lexicon
from textassay.provenance import ProvenanceRules, labelled_by
from textassay.tokenizer import Tokenizer, TokenizerChoice, as_tokenizer, counted_tokens

MAX_RECORD_BYTES = 64 << 20
MAX_WINDOW_LOG = 27
MAX_TEXT_FIELDS = 63


@dataclass(frozen=True)
class ScanSettings:
    configuration: Configuration
    lexicon: Lexicon
    anchor: Anchor | None
    detector: Detector | None
    tokenizer: Tokenizer | None
    rules: ProvenanceRules | None
    text_fields: tuple[tuple[str, ...], ...]
    id_field: tuple[str, ...]
    entropy_floor: float | None
    max_record_bytes: int
    max_window_log: int
    documents: str
    """In which form rows of documents are kept."""
    threads: int
    bigrams: bool = False
    report: bool = False

    @property
    def verdicts(self) -> Detector | None:
        """The detector, where documents get its verdict."""
        return verdicts_of(self.detector, self.configuration.signals)

    def for_backend(self, files: Sequence[Input]) -> dict[str, Any]:
        """The options of a backend's Scan of these files."""
        return {
            "signals": list(self.configuration.signals),
            **counted_tokens(self.configuration.tokens, self.tokenizer),
            "text_fields": self.text_fields,
            "id_field": self.id_field,
            "markers": self.lexicon.phrases,
            "anchor": None if self.anchor is None else self.anchor.for_backend,
            "detector": None if self.detector is None else self.detector.for_backend(),
            "batch_tokens": self.configuration.batch_tokens,
            "max_types": self.configuration.max_types,
            "max_record_bytes": self.max_record_bytes,
            "max_window_log": self.max_window_log,
            "threads": self.threads,
            "provenance": self._labelling(files),
            "documents": self.documents != "none",
        }

    def _labelling(self, files: Sequence[Input]) -> dict[str, Any] | None:
        if self.rules is None and self.verdicts is None:
            return None
        suspicion = "" if self.verdicts is None else self.verdicts.suspicion
        return (self.rules or ProvenanceRules([])).for_inputs([file.name for file in files], suspicion)

    def described(self) -> dict[str, Any]:
        """All that the results depend on beside the inputs, fit for JSON: not the number of threads, and digests in place
        of lexicon, anchor, detector and rules.
        """
        made_with = self.configuration
        return {
            "signals": list(made_with.signals),
            "tokens": made_with.tokens,
            "tokenizer": made_with.tokenizer,
            "text_fields": [list(field) for field in self.text_fields],
            "id_field": list(self.id_field),
            "batch_tokens": made_with.batch_tokens,
            "max_types": made_with.max_types,
            "max_record_bytes": self.max_record_bytes,
            "max_window_log": self.max_window_log,
            "markers": made_with.markers,
            "anchor": made_with.anchor,
            "detector": made_with.detector,
            "provenance": made_with.provenance,
            "entropy_floor": self.entropy_floor,
            "documents": self.documents,
            "bigrams": self.bigrams,
        }


def check_settings(
    *,
    signals: str | Iterable[str] = "default",
    tokens: str = "word",
    text_fields: str | Sequence[str] = "text",
    id_field: str = "id",
    lexicon: Lexicon | None = None,
    anchor: Anchor | str | PathLike[str] | None = None,
    detector: DetectorChoice = "default",
    tokenizer: TokenizerChoice = None,
    provenance: ProvenanceRules | str | PathLike[str] | None = None,
    batch_tokens: int = BATCH_TOKENS,
    entropy_floor: float | None = None,
    max_types: int = MAX_TYPES,
    max_record_bytes: int = MAX_RECORD_BYTES,
    max_window_log: int = MAX_WINDOW_LOG,
    threads: int | None = None,
    documents: str = "none",
    bigrams: bool = False,
    report: bool = False,
) -> ScanSettings:
    """`scanning.scan` says what these are; `documents` is a form here, not "auto". Raises `UsageError`."""
    used_anchor = as_anchor(anchor)
    looking = as_detector(detector, tokens, lexicon)
    using = as_tokenizer(tokenizer, tokens)
    configuration, used = configure(signals, tokens, batch_tokens, max_types, lexicon, used_anchor, looking, using)
    fields = tuple(parse_field(path) for path in ([text_fields] if isinstance(text_fields, str) else text_fields))
    if not 1 <= len(fields) <= MAX_TEXT_FIELDS:
        raise UsageError(f"{len(fields)} text fields: wanted 1 to {MAX_TEXT_FIELDS}")
    rules = ProvenanceRules.load(provenance) if isinstance(provenance, (str, PathLike)) else provenance
    if rules is not None:
        labelled = labelled_by(rules, verdicts_of(looking, configuration.signals))
        configuration = replace(configuration, provenance=labelled)
        if len(fields) + len(rules.fields) > MAX_TEXT_FIELDS:
            raise UsageError(f"{len(fields)} text fields and {len(rules.fields)} of rules: wanted {MAX_TEXT_FIELDS}")
    if entropy_floor is not None and not entropy_floor >= 0:
        raise UsageError(f"entropy_floor={entropy_floor}: wanted bits, from 0")
    if bigrams and tokens != "word":
        raise UsageError("2-grams are counted in a second pass over words: wanted tokens=word, and files, not a pipe")
    if documents == "dolma" and "n_chars" not in configuration.signals:
        raise UsageError("documents='dolma': its spans end with the text: wanted n_chars among the signals")
    used_threads = usable_cpus() if threads is None else threads
    check_limits(tokens, max_record_bytes=max_record_bytes, max_window_log=max_window_log, threads=used_threads)
    return ScanSettings(
        configuration,
        used,
        used_anchor,
        looking,
        using,
        rules,
        fields,
        parse_field(id_field),
        entropy_floor,
        max_record_bytes,
        max_window_log,
        documents,
        used_threads,
        bigrams,
        report,
    )
