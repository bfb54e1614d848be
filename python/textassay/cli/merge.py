"""`textassay merge`."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from textassay.cli.errors import DAMAGED, say
from textassay.cli.options import Json, Out, option

SHOWN = 10


def merge(
    profiles: Annotated[
        list[Path], typer.Argument(metavar="PROFILE", help=".tap files, or folders that scan wrote, also with --shard.")
    ],
    out: Out = None,
    fan_in: Annotated[
        int | None,
        option("fan-in", "Profiles added up at a time, into a temporary file; these files then likewise.", min=2),
    ] = None,
    threads: Annotated[int, option("threads", "Threads, each of which holds a profile in memory.", "-j", min=1)] = 1,
    as_json: Json = False,
) -> None:
    """Add up profiles of parts of a corpus. With -o NAME.tap writes the profile, with -o FOLDER also its summary."""
    from textassay.folder import json_text
    from textassay.merging import merge_profiles, write_merged

    profile, summary = merge_profiles(profiles, fan_in=fan_in, threads=threads)
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
    exit_if_incomplete(summary)


def exit_if_incomplete(summary: Mapping[str, Any]) -> None:
    """Names the shards that a sum lacks, and exits with 3."""
    missing = summary["inputs"].get("shards", {"missing": []})["missing"]
    if missing:
        named = ", ".join(f"{one['shard']} ({one['name']})" for one in missing[:SHOWN])
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        say(f"{len(missing)} of {summary['inputs']['shards']['planned']} shards are missing: {named}{more}")
        raise typer.Exit(DAMAGED)
