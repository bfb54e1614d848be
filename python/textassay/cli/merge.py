"""`textassay merge`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from textassay.cli.errors import say
from textassay.cli.options import Json, Out


def merge(
    profiles: Annotated[list[Path], typer.Argument(metavar="PROFILE", help=".tap files, or folders that scan wrote.")],
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Add up profiles of parts of a corpus. With -o NAME.tap writes the profile, with -o FOLDER also its summary."""
    from textassay.folder import json_text
    from textassay.merging import merge_profiles, write_merged

    profile, summary = merge_profiles(profiles)
    if out is not None and out.suffix == ".tap":
        profile.save(out)
    elif out is not None:
        write_merged(out, profile, summary, profiles)
    if as_json:
        sys.stdout.write(json_text(summary))
    else:
        from textassay.cli.render import print_summary

        print_summary(summary, profile)
    if out is not None:
        say(f"written to {out}")
