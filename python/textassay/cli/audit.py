"""`textassay audit`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from textassay.cli.errors import DAMAGED, GATE_FAILED, say
from textassay.cli.metrics import MetricsLabels, MetricsTextfile, metrics_writer
from textassay.cli.options import Json, MalformedBudget, Quiet, Threads, option, parse_budget, parse_size
from textassay.cli.progress import ProgressLine


def audit(
    tokens: Annotated[
        list[str], typer.Argument(metavar="TOKENS", help="Files of token ids: .npy, .bin; folders, globs, @list.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="A row per batch: .parquet, .jsonl, .jsonl.zst.", show_default=False),
    ] = None,
    dtype: Annotated[
        str | None,
        option("dtype", "Type of the ids in raw files: uint16 (the default), uint32, ...", show_default=False),
    ] = None,
    vocab_size: Annotated[
        int | None,
        option("vocab-size", "Ids not below are malformed. Also gives figures of all ids.", min=1, show_default=False),
    ] = None,
    batch_tokens: Annotated[str, option("batch-tokens", "Tokens that close a batch.")] = "1M",
    floor: Annotated[
        float | None, option("floor", "Bits per token; batches below it are held for review.", show_default=False)
    ] = None,
    enforce: Annotated[
        bool, option("enforce", "Exit code 1 where a full batch is below the floor, or none is full.")
    ] = False,
    threads: Threads = None,
    malformed_budget: MalformedBudget = "0",
    metrics_textfile: MetricsTextfile = None,
    metrics_label: MetricsLabels = [],  # noqa: B006 (typer copies it)
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Audit batches of token ids: entropy and type-token ratio of each, at the speed of memory."""
    from textassay.audit import audit_tokens
    from textassay.errors import UsageError

    if enforce and floor is None:
        raise UsageError("--enforce: wanted --floor with it")
    budget = parse_budget(malformed_budget)
    write_metrics = metrics_writer(metrics_textfile, metrics_label)
    with ProgressLine(quiet or as_json, "batches") as progress:
        found = audit_tokens(
            tokens,
            out,
            dtype=dtype,
            vocab_size=vocab_size,
            batch_tokens=parse_size("batch-tokens", batch_tokens),
            floor=floor,
            threads=threads,
            on_progress=progress,
        )
    write_metrics(found.summary)
    if as_json:
        from textassay.folder import json_text

        sys.stdout.write(json_text(found.summary))
    else:
        from textassay.cli.render_audit import print_audit

        print_audit(found.summary)
    if out is not None:
        say(f"written to {out}")
    if enforce and found.breaks_floor():
        if not found.summary["batches"]["n_full"]:
            say("no batch is full, so the floor judged none: lower --batch-tokens")
        raise typer.Exit(GATE_FAILED)
    if found.is_damaged(budget):
        from textassay.cli.render import counted

        inputs = found.summary["inputs"]
        say(f"{counted(inputs['outside'], 'id')} outside, {counted(inputs['files_damaged'], 'damaged file')}")
        raise typer.Exit(DAMAGED)
