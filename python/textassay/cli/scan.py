"""`textassay scan`."""

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textassay.cli.errors import DAMAGED, INTERRUPTED, StopRequest, say
from textassay.cli.merge import exit_if_incomplete
from textassay.cli.metrics import MetricsLabels, MetricsTextfile, metrics_writer
from textassay.cli.options import (
    DetectorOption,
    FalsePositiveRate,
    IdField,
    Json,
    MalformedBudget,
    NoReport,
    Out,
    Quiet,
    Signals,
    TextFields,
    Threads,
    Tokens,
    chosen_detector,
    option,
    parse_budget,
    parse_size,
    parse_window,
    split_list,
)
from textassay.cli.progress import ProgressLine

if TYPE_CHECKING:
    from textassay.cli.division import Scanned


def scan(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT", help="Files, folders, globs, @list (one a line), - for stdin.")
    ],
    out: Out = None,
    text_field: TextFields = ["text"],  # noqa: B006 (typer copies it)
    id_field: IdField = "id",
    signals: Signals = "default",
    markers: Annotated[
        Path | None,
        option("markers", "Marker lexicon instead of the package's own; no verdicts then, unless a detector is named."),
    ] = None,
    anchor: Annotated[
        Path | None, option("anchor", "Anchor file: adds perplexity, oov_rate and tail_share to the default signals.")
    ] = None,
    provenance: Annotated[
        Path | None, option("provenance", "Rules (TOML) that label each document human or synthetic.")
    ] = None,
    detector: DetectorOption = "default",
    fpr: FalsePositiveRate = None,
    tokens: Tokens = "word",
    tokenizer: Annotated[
        Path | None, option("tokenizer", "tokenizer.json, of which --tokens bpe counts the ids; needs the extra bpe.")
    ] = None,
    batch_tokens: Annotated[str, option("batch-tokens", "Tokens that close a batch.")] = "1M",
    entropy_floor: Annotated[
        float | None, option("entropy-floor", "Bits per token; batches below it are held for review.")
    ] = None,
    max_types: Annotated[str, option("max-types", "Types counted exactly; beyond, figures are estimates.")] = "16M",
    max_record_bytes: Annotated[str, option("max-record-bytes", "Longer records are malformed.")] = "64M",
    max_window: Annotated[str, option("max-window", "Largest zstd window: its logarithm, or a size.")] = "27",
    threads: Threads = None,
    documents: Annotated[str, option("documents", "Rows of documents: auto, parquet, jsonl, dolma or none.")] = "auto",
    bigrams: Annotated[
        bool, typer.Option("--bigrams", help="Count 2-grams, too, in a second pass: for compare, into bigrams.tap.")
    ] = False,
    no_report: NoReport = False,
    shard: Annotated[
        str | None,
        option(
            "shard", "Scan one of n parts of the inputs, i/n from 0/n, or slurm in a job array; merge adds them up."
        ),
    ] = None,
    engine: Annotated[
        str, option("engine", "Who runs the parts: local (this process, with --shards) or ray.")
    ] = "local",
    shards: Annotated[
        int | None, option("shards", "Number of parts for an engine; finished ones are not scanned again.", min=1)
    ] = None,
    address: Annotated[
        str | None, option("address", "Of a Ray cluster, as `auto`; without one, Ray is started here.")
    ] = None,
    memory: Annotated[str | None, option("memory", "Memory of a Ray worker; the default is estimated.")] = None,
    malformed_budget: MalformedBudget = "0",
    resume: Annotated[
        bool,
        typer.Option(
            "--resume/--restart", help="Go on with a scan that OUT holds and that has not ended, or begin anew."
        ),
    ] = True,
    checkpoint_seconds: Annotated[
        float, option("checkpoint-seconds", "Commit the state of the scan so often, besides every 64 files.")
    ] = 60,
    metrics_textfile: MetricsTextfile = None,
    metrics_label: MetricsLabels = [],  # noqa: B006
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure a corpus. Prints a summary; with -o also writes profile, document rows, batches, errors and a report there."""
    from textassay.cli.division import Division
    from textassay.errors import UsageError
    from textassay.lexicon import load_lexicon

    if documents not in ("auto", "parquet", "jsonl", "dolma", "none"):
        raise UsageError(f"--documents {documents}: wanted auto, parquet, jsonl, dolma or none")
    budget = parse_budget(malformed_budget)
    write_metrics = metrics_writer(metrics_textfile, metrics_label)
    options = {
        "signals": signals,
        "tokens": tokens,
        "text_fields": split_list(text_field),
        "id_field": id_field,
        "anchor": anchor,
        "detector": chosen_detector(detector, fpr),
        "lexicon": None if markers is None else load_lexicon(markers),
        "provenance": provenance,
        "batch_tokens": parse_size("batch-tokens", batch_tokens),
        "entropy_floor": entropy_floor,
        "max_types": parse_size("max-types", max_types),
        "max_record_bytes": parse_size("max-record-bytes", max_record_bytes),
        "max_window_log": parse_window(max_window),
        "threads": threads,
        "tokenizer": tokenizer,
        "documents": documents,
        "bigrams": bigrams,
        "report": not no_report,
        "restart": not resume,
        "checkpoint_seconds": checkpoint_seconds,
    }
    division = Division(shard, engine, shards, address, None if memory is None else parse_size("memory", memory))
    with ProgressLine(quiet or as_json) as progress, StopRequest() as stop, _told(stop):
        done = division.scan(inputs, out, options | {"on_progress": progress, "should_stop": stop})
    if done is None:
        sys.stdout.write("null\n" if as_json else "")
    else:
        write_metrics(done.summary)
        _print(done, as_json)
        exit_if_incomplete(done.summary)
        _exit_if_damaged(done.summary["inputs"], budget, partial(_advice, inputs, options["text_fields"]))


@contextmanager
def _told(stop: StopRequest) -> Iterator[None]:
    """What became of a scan that was stopped, in a line and an exit code."""
    from textassay.errors import ScanInterrupted

    try:
        yield
    except ScanInterrupted as error:
        what = "interrupted" if stop.exit_code == INTERRUPTED else "terminated"
        kept = f"{error.out} holds the state, the same command goes on with it"
        say(f"{what}; {'nothing was written' if error.out is None else kept}")
        raise typer.Exit(stop.exit_code) from None


def _print(done: "Scanned", as_json: bool) -> None:
    if as_json:
        from textassay.folder import json_text

        sys.stdout.write(json_text(done.summary))
    else:
        from textassay.cli.render import print_summary

        print_summary(done.summary, done.profile)
    if done.out is not None:
        say(f"written to {done.out}")


def _advice(inputs: list[str], text_fields: list[str]) -> str:
    from textassay.errors import UsageError
    from textassay.first_record import advice
    from textassay.inputs import resolve_inputs

    with warnings.catch_warnings(action="ignore"):  # the scan has given them
        try:
            return advice(resolve_inputs(inputs), text_fields)
        except UsageError:  # one of them is a URL, or has gone
            return ""


def _exit_if_damaged(found: Mapping[str, Any], budget: float, advise: Callable[[], str]) -> None:
    from textassay.summary import is_damaged

    if is_damaged(found, budget):
        from textassay.cli.render import counted

        say(f"{counted(found['malformed'], 'malformed record')}, {counted(found['files_damaged'], 'damaged file')}")
        if found["malformed"] > found["documents"] and (advice := advise()):
            say(advice)
        raise typer.Exit(DAMAGED)
