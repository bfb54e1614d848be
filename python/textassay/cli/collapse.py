"""`textassay collapse`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from textassay.cli.options import Json, option, split_list


def collapse(
    reference: Annotated[
        Path, typer.Argument(metavar="REFERENCE", help="Profile (.tap, or a scan's folder) of real text.")
    ],
    profiles: Annotated[
        list[Path], typer.Argument(metavar="GENERATION", help="Profiles to judge, one after the other.")
    ],
    tail_mass: Annotated[float, option("tail-mass", "Share of all tokens that the rare words make up.")] = 0.05,
    limits: Annotated[
        list[str], option("stage-limit", "A limit of the stages, NAME=SHARE; may be given several times.")
    ] = [],  # noqa: B006 (typer copies it)
    as_json: Json = False,
) -> None:
    """How far each of a sequence of corpora has collapsed: healthy, early (tails lost), late (variance lost), total."""
    from textassay.collapse import Limits, report_on
    from textassay.folder import json_text

    report = report_on(reference, profiles, Limits.parse(split_list(limits)), tail_mass)
    if as_json:
        sys.stdout.write(json_text(report))
    else:
        from textassay.cli.simulation_view import print_collapse

        print_collapse(report)
