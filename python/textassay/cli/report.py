"""`textassay report`."""

from pathlib import Path
from typing import Annotated

import typer

from textassay.cli.errors import say
from textassay.cli.options import option


def report(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder that scan, merge, compare or simulate wrote.")],
    path: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The page to write, instead of OUT/report.html.", show_default=False),
    ] = None,
    anchor: Annotated[
        Path | None, option("anchor", "The scan's anchor, or any other if it had none: the page compares with it.")
    ] = None,
) -> None:
    """Make report.html anew from what a folder of results holds: one page that needs nothing else."""
    from textassay.report.writing import write_report

    say(f"written to {write_report(out, path, anchor=anchor)}")
