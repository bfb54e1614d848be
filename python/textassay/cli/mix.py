"""`textassay mix`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from textassay.cli.errors import GATE_FAILED, say
from textassay.cli.options import Json, option


def mix(
    scans: Annotated[list[Path], typer.Argument(metavar="OUT", help="Folders that scan wrote.")],
    policy: Annotated[Path, typer.Option("--policy", help="A TOML file with a table [mix].")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="A JSON file for the weights.", show_default=False)
    ] = None,
    dolma: Annotated[
        Path | None, typer.Option("--dolma", help="Also a configuration of dolma's mixer.", show_default=False)
    ] = None,
    mixed: Annotated[
        str, typer.Option("--mixed", help="With --dolma: where dolma shall put the mixed documents.")
    ] = "mixed/documents",
    attributes: Annotated[
        bool,
        typer.Option("--attributes", help="With --dolma: write the attributes that it asks for beside the inputs."),
    ] = False,
    source_field: Annotated[str, option("source-field", "With --dolma: field of the document's source.")] = "source",
    as_json: Json = False,
) -> None:
    """Plan how much of which source and label to train on. Exit code 1 if the policy cannot be met."""
    from textassay.atomic import replacing
    from textassay.dolma import mixer_configuration, write_attributes
    from textassay.errors import UsageError
    from textassay.fields import parse_field
    from textassay.folder import json_text
    from textassay.mixing import MixPolicy, plan_mix

    if attributes and dolma is None:
        raise UsageError("--attributes are for --dolma")
    read = MixPolicy.load(policy)
    plan = plan_mix(scans, read)
    if as_json:
        sys.stdout.write(json_text(plan.report))
    else:
        from textassay.cli.render_curation import print_mix

        print_mix(plan.report)
    if not plan.is_feasible:
        raise typer.Exit(GATE_FAILED)
    files = {out: plan.report}
    if dolma is not None:
        files[dolma] = mixer_configuration(plan, read, mixed, parse_field(source_field))
    if attributes:
        say(f"attributes of {len(write_attributes(scans))} files written")
    for path, content in files.items():
        if path is not None:
            with replacing(path) as stream:
                stream.write(json_text(content).encode())
            say(f"written to {path}")
