"""`textassay calibrate`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from textassay.cli.errors import DAMAGED, say
from textassay.cli.options import (
    Json,
    MalformedBudget,
    Quiet,
    TextFields,
    Threads,
    option,
    parse_budget,
    split_list,
)
from textassay.cli.progress import ProgressLine

if TYPE_CHECKING:
    from textassay.calibration import Calibration


def calibrate(
    inputs: Annotated[
        list[str], typer.Argument(metavar="LABELLED", help="Labelled documents: files, folders, globs, @list.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The calibration file to write.", show_default=False)
    ] = None,
    text_field: TextFields = ["text"],  # noqa: B006 (typer copies it)
    label_field: Annotated[str, option("label-field", "Field that says human or synthetic.")] = "label",
    human_label: Annotated[list[str], option("human-label", "Labels that mean human.", show_default="human, 0")] = [],  # noqa: B006
    synthetic_label: Annotated[
        list[str], option("synthetic-label", "Labels that mean synthetic.", show_default="synthetic, 1")
    ] = [],  # noqa: B006
    group_field: Annotated[
        str | None, option("group-field", "Documents with the same value are never parted, as a text and its rewrite.")
    ] = None,
    group_pattern: Annotated[
        str | None, option("group-pattern", "Regular expression: what it matches of the group field is the group.")
    ] = None,
    source_field: Annotated[str | None, option("source-field", "Field for the table of sources.")] = None,
    domain_field: Annotated[str | None, option("domain-field", "Field for the table of domains.")] = None,
    fpr: Annotated[
        list[float], option("fpr", "Share of human documents that may be suspected; several times for several.")
    ] = [0.01, 0.05],  # noqa: B006
    floor_fpr: Annotated[
        float, option("floor-fpr", "Share of human batches that may lie below an entropy floor.")
    ] = 0.05,
    folds: Annotated[int, option("folds", "Parts, each judged by a model of the others.")] = 5,
    shortest: Annotated[int, option("shortest", "Words; shorter documents are not judged.")] = 100,
    train: Annotated[
        bool, typer.Option("--train", help="Train new weights, too, instead of the shipped ones.")
    ] = False,
    anchor: Annotated[Path | None, option("anchor", "Anchor file: gives the published rule its perplexity.")] = None,
    name: Annotated[str | None, option("name", "Name of the detector, up to 40 characters.")] = None,
    threads: Threads = None,
    malformed_budget: MalformedBudget = "0",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fit the detector to your own labelled documents, and see what it is worth on them. With -o writes a file for scan --detector."""
    from textassay.calibration.build import calibrate as fit
    from textassay.errors import UsageError

    budget = parse_budget(malformed_budget)
    if out is not None and (out.is_dir() or not out.parent.is_dir()):
        raise UsageError(f"--out {out}: wanted a file in a folder that is there")
    with ProgressLine(quiet or as_json) as progress:
        found = fit(
            inputs,
            text_fields=split_list(text_field),
            label_field=label_field,
            human_labels=split_list(human_label),
            synthetic_labels=split_list(synthetic_label),
            group_field=group_field,
            group_pattern=group_pattern,
            source_field=source_field,
            domain_field=domain_field,
            fpr=fpr,
            floor_fpr=floor_fpr,
            folds=folds,
            shortest=shortest,
            train=train,
            anchor=anchor,
            name=name,
            threads=threads,
            on_progress=progress,
        )
    if out is not None:
        found.save(out)
    _print(found, as_json)
    if out is not None:
        say(f"written to {out}")
    if found.is_damaged(budget):
        say("not every record took part: " + ", ".join(f"{k} {n:,}" for k, n in found.left_out.items()))
        raise typer.Exit(DAMAGED)


def _print(found: "Calibration", as_json: bool) -> None:
    if as_json:
        from textassay.folder import json_text

        errors, inputs = list(found.errors), dict(found.inputs)
        sys.stdout.write(
            json_text({"digest": found.detector.digest, **found.report, "errors": errors, "inputs": inputs})
        )
    else:
        from textassay.cli.render import print_calibration

        print_calibration(found)
