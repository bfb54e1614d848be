"""`textassay mix`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from textassay.cli.errors import GATE_FAILED, say
from textassay.cli.options import Json, option


def mix(
    scans: Annotated[list[Path], typer.Argument(metavar="OUT", help="Folders that scan wrote.")],
    policy: Annotated[
        Path | None, typer.Option("--policy", help="A TOML file whose table mix is the policy.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="A JSON file for the weights; with --preserve a folder.", show_default=False),
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
    preserve: Annotated[
        str | None,
        typer.Option("--preserve", help="In place of a policy: clusters, as a reference has them.", show_default=False),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option("--reference", help="With --preserve: what scan wrote of human text.", show_default=False),
    ] = None,
    clusters: Annotated[int, option("clusters", "With --preserve: how many.")] = 64,
    max_weight: Annotated[float, option("max-weight", "With --preserve: the most that a cluster may weigh.")] = 4.0,
    as_json: Json = False,
) -> None:
    """Plan how much of which source and label, or of which cluster, to train on. Exit code 1 if the policy cannot be met."""
    from textassay.errors import UsageError

    if (policy is None) == (preserve is None) or (preserve is None) != (reference is None):
        raise UsageError("wanted --policy, or --preserve clusters with --reference")
    if policy is not None:
        _mix_by_policy(scans, policy, out, (dolma, mixed, attributes, source_field), as_json)
    elif preserve != "clusters" or dolma is not None:
        raise UsageError(f"--preserve {preserve}: wanted clusters, and no --dolma")
    elif reference is not None:
        _mix_by_clusters(scans, reference, out, clusters, max_weight, as_json)


def _mix_by_clusters(
    scans: list[Path], reference: Path, out: Path | None, clusters: int, max_weight: float, as_json: bool
) -> None:
    from textassay.clusters import preserve_clusters

    report = preserve_clusters(reference, scans, out, clusters=clusters, max_weight=max_weight)
    if as_json:
        from textassay.folder import json_text

        sys.stdout.write(json_text(report))
    else:
        from textassay.cli.render_curation import print_clusters

        print_clusters(report)
    if out is not None:
        say(f"written to {out}")


def _mix_by_policy(
    scans: list[Path], policy: Path, out: Path | None, for_dolma: tuple[Path | None, str, bool, str], as_json: bool
) -> None:
    from textassay.atomic import replacing
    from textassay.dolma import mixer_configuration, write_attributes
    from textassay.errors import UsageError
    from textassay.fields import parse_field
    from textassay.folder import json_text
    from textassay.mixing import MixPolicy, plan_mix

    dolma, mixed, attributes, source_field = for_dolma
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
