"""Options that several commands share, and how their values are read."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textassay.cli.settings import variable_of
from textassay.errors import UsageError

if TYPE_CHECKING:
    from textassay.detector import DetectorChoice

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)
_FACTORS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def example(command: str) -> str:
    """The last line of a command's help."""
    return f"For example: textassay {command}"


def option(name: str, help: str, *short: str, **more: Any) -> Any:
    """An option `--name` that TEXTASSAY_NAME sets, too."""
    return typer.Option(f"--{name}", *short, help=help, envvar=variable_of(name), show_envvar=False, **more)


def parse_size(name: str, value: str) -> int:
    """`64M` is 64 * 2^20. K, M, G, T, with or without a B."""
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise UsageError(f"--{name} {value}: wanted a number, with K, M, G or T behind it if it is large")
    return int(float(match[1]) * _FACTORS[match[2].upper()])


def parse_window(value: str) -> int:
    """The logarithm of a zstd window: given as such, up to 31, or as a size."""
    size = parse_size("max-window", value)
    log = size if size <= 31 else (size - 1).bit_length()
    if not 10 <= log <= 31:
        raise UsageError(f"--max-window {value}: wanted a logarithm from 10 to 31, or a size from 1K to 2G")
    return log


def parse_budget(value: str) -> float:
    """`100` records, `0.01` or `1%` of all records."""
    try:
        budget = float(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
    except ValueError:
        budget = -1.0
    if not 0 <= budget < float("inf") or (value.endswith("%") and budget >= 1):
        raise UsageError(f"--malformed-budget {value}: wanted a number of records, a share below 1, or a percentage")
    return budget


def chosen_detector(choice: str, fpr: float | None) -> "DetectorChoice":
    """What `--detector` and `--fpr` mean."""
    if choice == "none" or (choice == "default" and fpr is None):
        return None if choice == "none" else choice
    from textassay.detector import Detector

    found = Detector.default() if choice == "default" else Detector.load(choice)
    return found if fpr is None else found.at(fpr)


def split_list(values: list[str]) -> list[str]:
    """An option that is given several times, or with commas, or both."""
    return [part.strip() for value in values for part in value.split(",") if part.strip()]


TextFields = Annotated[
    list[str],
    option("text-field", "Field of the text: dotted path or JSON pointer. Several are joined by a blank line."),
]
IdField = Annotated[str, option("id-field", "Field of the document's id.")]
Signals = Annotated[str, option("signals", "Document signals: default, all, names, -name to leave one out.")]
Tokens = Annotated[
    str, option("tokens", "What is counted: word, byte, char, bigram (two words), or bpe, the ids of a tokenizer.")
]
Threads = Annotated[
    int | None, option("threads", "Threads; the default is what this process may use.", "-j", min=1, show_default=False)
]
DetectorOption = Annotated[
    str,
    option(
        "detector",
        "What says how much a document resembles synthetic text: default, none, a calibration, or a detector's folder.",
    ),
]
FalsePositiveRate = Annotated[
    float | None,
    option(
        "fpr",
        "Share of human documents that its verdicts may suspect, by the text that it was calibrated on.",
        show_default="the least it knows, 0.01",
    ),
]
Json = Annotated[bool, option("json", "Print one JSON document instead.")]
Quiet = Annotated[bool, option("quiet", "No progress.", "-q")]
Out = Annotated[Path | None, option("out", "Folder for the results.", "-o", show_default=False)]
NoReport = Annotated[bool, option("no-report", "Write no report.html.")]
MalformedBudget = Annotated[
    str,
    option("malformed-budget", "Malformed records allowed before the exit code is 3: number, share or percentage."),
]

# For commands that decide by a scan: by one that was made, or by one that they make.

Scanned = Annotated[
    Path | None,
    typer.Option("--scan", help="What `scan -o` wrote of these inputs: nothing is measured again.", show_default=False),
]
AnchorFile = Annotated[Path | None, option("anchor", "Anchor file, for perplexity, oov_rate and tail_share.")]
ProvenanceFile = Annotated[Path | None, option("provenance", "Rules (TOML) that label each document.")]
BatchTokens = Annotated[str, option("batch-tokens", "Tokens that close a batch.")]
MaxRecordBytes = Annotated[str, option("max-record-bytes", "Longer records are malformed.")]
MaxWindow = Annotated[str, option("max-window", "Largest zstd window: its logarithm, or a size.")]


def scan_options(
    text_field: list[str],
    id_field: str,
    anchor: Path | None,
    provenance: Path | None,
    detector: str,
    fpr: float | None,
    batch_tokens: str,
    max_record_bytes: str,
    max_window: str,
) -> dict[str, Any]:
    """Of `scanning.scan`."""
    return {
        "text_fields": split_list(text_field),
        "id_field": id_field,
        "anchor": anchor,
        "provenance": provenance,
        "detector": chosen_detector(detector, fpr),
        "batch_tokens": parse_size("batch-tokens", batch_tokens),
        "max_record_bytes": parse_size("max-record-bytes", max_record_bytes),
        "max_window_log": parse_window(max_window),
    }
