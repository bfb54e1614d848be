"""`textassay bench`."""

import sys
from typing import Annotated

import typer

from textassay.cli.options import Json, Signals, TextFields, split_list


def bench(
    inputs: Annotated[list[str], typer.Argument(metavar="FILE", help="Files to scan, best in the page cache.")],
    text_field: TextFields = ["text"],  # noqa: B006 (typer copies it)
    signals: Signals = "default",
    runs: Annotated[int, typer.Option("--runs", min=1, help="Runs of each stage; medians are shown.")] = 3,
    threads: Annotated[int, typer.Option("--threads", "-j", min=1, help="Threads.")] = 1,
    as_json: Json = False,
) -> None:
    """Time each stage of a scan on your own files: decompress, + JSON, + words, + document signals, + histogram."""
    from textassay.folder import json_text
    from textassay.stages import time_stages

    found = time_stages(inputs, signals=signals, text_fields=split_list(text_field), runs=runs, threads=threads)
    if as_json:
        sys.stdout.write(json_text(found))
    else:
        from textassay.cli.render import print_stages

        print_stages(found)
