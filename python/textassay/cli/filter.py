"""`textassay filter`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from textassay.cli.errors import DAMAGED, say
from textassay.cli.options import (
    AnchorFile,
    BatchTokens,
    DetectorOption,
    FalsePositiveRate,
    IdField,
    Json,
    MalformedBudget,
    MaxRecordBytes,
    MaxWindow,
    ProvenanceFile,
    Quiet,
    Scanned,
    TextFields,
    Threads,
    option,
    parse_budget,
    scan_options,
)
from textassay.cli.progress import ProgressLine

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
    scanned: Scanned = None,
    level: Annotated[int, option("level", "Level of zstd, 1 to 22.")] = 3,
    text_field: TextFields = ["text"],  # noqa: B006 (typer copies it)
    id_field: IdField = "id",
    anchor: AnchorFile = None,
    provenance: ProvenanceFile = None,
    detector: DetectorOption = "default",
    fpr: FalsePositiveRate = None,
    batch_tokens: BatchTokens = "1M",
    max_record_bytes: MaxRecordBytes = "64M",
    max_window: MaxWindow = "27",
    threads: Threads = None,
    malformed_budget: MalformedBudget = "0",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Split shards into kept and held ones: every line in exactly one, unchanged, in order. Without --scan the inputs are scanned first."""
    from textassay.filtering import filter_shards

    budget = parse_budget(malformed_budget)
    given = (text_field, id_field, anchor, provenance, detector, fpr, batch_tokens, max_record_bytes, max_window)
    measuring = {} if scanned is not None else scan_options(*given)
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
