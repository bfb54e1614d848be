"""Figures of a summary for who watches many of them: a flat dictionary for MLflow or W&B, a text file for Prometheus."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from textassay.atomic import replacing
from textassay.errors import OutputError, UsageError
from textassay.version import __version__

_NO_FIGURES = ("configuration", "spectrum", "bin_widths")
"""Parts of a summary that hold settings, or more numbers than a chart can show."""

_LABEL = re.compile(r"(?!__)[A-Za-z_][A-Za-z0-9_]*")
_OWN_LABELS = ("account", "label", "quantile", "reason", "signal", "version")
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def flat_metrics(summary: Mapping[str, Any]) -> dict[str, float]:
    """The figures of a summary (of `scan`, `merge` or `audit`) by their dotted paths, as `documents.mattr.quantiles.0.5`.

    A policy's `figures` names them in the same way (docs/gate.md). Nulls, texts, lists, settings, the frequency spectrum
    and the widths of bins are left out; all values are finite.
    """
    return dict(_flat(summary, ""))


def _flat(part: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, float]]:
    for name, value in part.items():
        if isinstance(value, Mapping):
            if name not in _NO_FIGURES:
                yield from _flat(value, f"{prefix}{name}.")
        elif _is_figure(value):
            yield prefix + name, float(value)


def _is_figure(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def write_metrics(
    path: str | PathLike[str], summary: Mapping[str, Any], labels: Mapping[str, str] | None = None
) -> None:
    """Writes the figures of a summary as gauges in Prometheus' text format (version 0.0.4) into a file, whole or not at all.

    The textfile collector of node_exporter reads such files (*.prom). `labels` are added to every sample: with several
    corpora on one machine a label has to tell them apart, since the collector refuses equal samples of two files.

    Raises `UsageError` on a label that Prometheus does not allow, `OutputError` where the file cannot be written.
    """
    text = "".join(_text_of(_families(summary), checked_labels(labels or {})))
    with replacing(path) as stream:
        stream.write(text.encode())


def check_place(path: str | PathLike[str]) -> None:
    """Raises `OutputError` where no file can be written: better before hours of work than behind them."""
    folder = Path(path).parent
    if not folder.is_dir():
        raise OutputError(f"cannot write {path}: {folder} is no folder")
    if Path(path).is_dir():
        raise OutputError(f"cannot write {path}: it is a folder")


def checked_labels(labels: Mapping[str, str]) -> Mapping[str, str]:
    """Raises `UsageError` on a name that Prometheus does not allow or that our own samples have, and on a value that is no text."""
    for name, value in labels.items():
        if not _LABEL.fullmatch(name):
            raise UsageError(f"label {name!r}: wanted letters, digits and _, no digit first, nor two _")
        if name in _OWN_LABELS:
            raise UsageError(f"label {name!r}: samples have one of this name already")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise UsageError(f"label {name!r}: wanted a value in UTF-8") from error
    return labels


class _Family(NamedTuple):
    """Samples of one name: their own labels, and a value; null is no sample."""

    name: str
    help: str
    samples: Iterable[tuple[Mapping[str, str], Any]]


_CORPUS = (
    ("n_documents", "documents", "Documents."),
    ("n_tokens", "tokens", "Tokens."),
    ("n_types", "types", "Distinct tokens."),
    ("hapaxes", "hapaxes", "Types seen once."),
    ("entropy_bits", "entropy_bits", "Plug-in entropy, bits a token."),
    ("entropy_mm_bits", "entropy_mm_bits", "Entropy by Miller and Madow, bits a token."),
    ("entropy_chao_shen_bits", "entropy_chao_shen_bits", "Entropy by Chao and Shen, bits a token."),
    ("type_token_ratio", "type_token_ratio", "Types by tokens."),
    ("good_turing_unseen", "good_turing_unseen", "Probability that the next token is a new type."),
    ("chao1", "chao1", "Types that there are at least, seen or not."),
    ("zipf_exponent", "zipf_exponent", "Exponent of frequency by rank."),
    ("heaps_beta", "heaps_beta", "Exponent of types by tokens."),
)
_INPUTS = (
    ("files", "files", "Input files."),
    ("files_damaged", "files_damaged", "Input files that ended early or could not be read."),
    ("malformed", "malformed_records", "Records that could not be read."),
    ("outside", "outside_ids", "Token ids outside the vocabulary."),
    ("bytes_compressed", "compressed_bytes", "Bytes of the input files as they lie on the disk."),
)
_BATCHES = (
    ("n_batches", "batches", "Batches."),
    ("below_floor", "batches_below_floor", "Batches below the entropy floor."),
)
_PERFORMANCE = (
    ("seconds", "duration_seconds", "Time that the run took."),
    ("cpu_seconds", "cpu_seconds", "Processor time that the run took."),
    ("bytes_per_second", "bytes_per_second", "Uncompressed bytes a second."),
    ("peak_memory_bytes", "peak_memory_bytes", "Peak memory of the process."),
)
_SHARE = (
    ("fraction", "synthetic_fraction", "Share of documents that is synthetic by the scores of all."),
    ("low", "synthetic_fraction_low", "Lower end of its 95 % interval."),
    ("high", "synthetic_fraction_high", "Upper end of its 95 % interval."),
)


def _families(summary: Mapping[str, Any]) -> Iterator[_Family]:
    inputs, provenance = summary["inputs"], summary.get("provenance") or {}
    yield _Family("version_info", "What wrote this; the value is 1.", [({"version": __version__}, 1)])
    yield from _plain(inputs, _INPUTS)
    accounts = {name.removeprefix("bytes_"): value for name, value in inputs["accounted"].items()}
    text = "Where the input's bytes went; uncompressed, but those lost behind a damage."
    yield _Family("bytes", text, [({"account": name}, value) for name, value in accounts.items()])
    reasons = inputs.get("malformed_by_reason", {})
    text = "Records that could not be read, by reason."
    yield _Family("malformed_records_by_reason", text, [({"reason": name}, value) for name, value in reasons.items()])
    yield from _plain(summary.get("corpus") or {}, _CORPUS)
    yield from _distributions("document_signal", "Documents", summary.get("documents") or {})
    yield from _plain(summary["batches"], _BATCHES)
    yield from _distributions("batch_signal", "Batches", summary["batches"]["distributions"])
    labels = provenance.get("corpus", {}).get("labels", {})
    for unit in ("documents", "tokens"):
        samples = [({"label": name}, found[unit]) for name, found in labels.items()]
        yield _Family(f"provenance_{unit}", f"{unit.title()} by what labels them.", samples)
    yield from _plain(provenance.get("synthetic_fraction") or {}, _SHARE)
    yield from _plain(summary.get("performance") or {}, _PERFORMANCE)


def _plain(part: Mapping[str, Any], names: Iterable[tuple[str, str, str]]) -> Iterator[_Family]:
    for key, name, text in names:
        yield _Family(name, text, [({}, part.get(key))])


def _distributions(name: str, what: str, signals: Mapping[str, Any]) -> Iterator[_Family]:
    found = {signal.removeprefix("batch_"): figures for signal, figures in signals.items()}
    quantiles = [
        ({"signal": signal, "quantile": quantile}, value)
        for signal, figures in found.items()
        for quantile, value in figures["quantiles"].items()
    ]
    yield _Family(name, f"{what}: quantiles of a signal.", quantiles)
    means = [({"signal": signal}, figures["mean"]) for signal, figures in found.items()]
    yield _Family(f"{name}_mean", f"{what}: mean of a signal.", means)


def _text_of(families: Iterable[_Family], labels: Mapping[str, str]) -> Iterator[str]:
    for family in families:
        samples = [(own, value) for own, value in family.samples if value is not None and _is_figure(value)]
        if not samples:
            continue
        name = f"textassay_{family.name}"
        yield f"# HELP {name} {family.help}\n# TYPE {name} gauge\n"
        for own, value in samples:
            pairs = ",".join(f'{key}="{text.translate(_ESCAPES)}"' for key, text in {**labels, **own}.items())
            yield f"{name}{{{pairs}}} {value!r}\n" if pairs else f"{name} {value!r}\n"
