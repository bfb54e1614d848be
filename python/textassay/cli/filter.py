"""`textassay filter`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from textassay.cli.errors import DAMAGED, say
from textassay.cli.options import (
    IdField,
    Json,
    MalformedBudget,
    Quiet,
    TextFields,
    Threads,
    option,
    parse_budget,
    parse_size,
    parse_window,
    split_list,
)
from textassay.cli.progress import ProgressLine

if TYPE_CHECKING:
    from textassay.detector import Detector

PREDICATE = "for which a predicate holds, as 'perplexity > 1000 and provenance != human_verified'"


def filter_(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT", help="Files, folders, globs, @list (one a line).")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the shards: kept/, held/, rejected/.")],
    hold: Annotated[list[str], typer.Option("--hold", help=f"Hold documents {PREDICATE}.", show_default=False)] = [],  # noqa: B006
    keep: Annotated[
        list[str],
        typer.Option("--keep", help="Hold documents for which this predicate does not hold.", show_default=False),
    ] = [],  # noqa: B006
    entropy_floor: Annotated[
        float | None, option("entropy-floor", "Bits per token; documents of batches below it are held.")
    ] = None,
    scanned: Annotated[
        Path | None,
        typer.Option(
            "--scan", help="What `scan -o` wrote of these inputs: nothing is measured again.", show_default=False
        ),
    ] = None,
    level: Annotated[int, option("level", "Level of zstd, 1 to 22.")] = 3,
    text_field: TextFields = ["text"],  # noqa: B006 (typer copies it)
    id_field: IdField = "id",
    anchor: Annotated[Path | None, option("anchor", "Anchor file, for perplexity, oov_rate and tail_share.")] = None,
    provenance: Annotated[Path | None, option("provenance", "Rules (TOML) that label each document.")] = None,
    detector: Annotated[str | None, option("detector", "A detector's folder, or default.")] = None,
    batch_tokens: Annotated[str, option("batch-tokens", "Tokens that close a batch.")] = "1M",
    max_record_bytes: Annotated[str, option("max-record-bytes", "Longer records are malformed.")] = "64M",
    max_window: Annotated[str, option("max-window", "Largest zstd window: its logarithm, or a size.")] = "27",
    threads: Threads = None,
    malformed_budget: MalformedBudget = "0",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Split shards into kept and held ones: every line in exactly one, unchanged, in order. Without --scan the inputs are scanned first."""
    from textassay.filtering import filter_shards

    budget = parse_budget(malformed_budget)
    measuring: dict[str, Any] = {}
    if scanned is None:
        measuring = {
            "text_fields": split_list(text_field),
            "id_field": id_field,
            "anchor": anchor,
            "provenance": provenance,
            "detector": _detector(detector),
            "batch_tokens": parse_size("batch-tokens", batch_tokens),
            "max_record_bytes": parse_size("max-record-bytes", max_record_bytes),
            "max_window_log": parse_window(max_window),
        }
    with ProgressLine(quiet or as_json) as progress:
        result = filter_shards(
            inputs,
            out,
            hold=hold,
            keep=keep,
            entropy_floor=entropy_floor,
            scanned=scanned,
            level=level,
            threads=threads,
            on_progress=progress,
            **measuring,
        )
    if as_json:
        from textassay.folder import json_text

        sys.stdout.write(json_text(result.report))
    else:
        from textassay.cli.render_curation import print_filter

        print_filter(result.report)
    say(f"written to {out}")
    if result.is_damaged(budget):
        from textassay.cli.render import counted

        found = result.report["inputs"]
        say(f"{counted(found['malformed'], 'malformed record')}, {counted(found['files_damaged'], 'damaged file')}")
        raise typer.Exit(DAMAGED)


def _detector(choice: str | None) -> "Detector | None":
    if choice is None:
        return None
    from textassay.detector import Detector

    return Detector.default() if choice == "default" else Detector.load(choice)
