"""`textassay anchor`: build, info, check, export, import."""

import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer

from textassay.cli.errors import DAMAGED, GATE_FAILED, reported, say
from textassay.cli.options import (
    DetectorOption,
    FalsePositiveRate,
    IdField,
    Json,
    MalformedBudget,
    Quiet,
    TextFields,
    Threads,
    chosen_detector,
    example,
    option,
    parse_budget,
    parse_size,
    split_list,
)
from textassay.cli.progress import ProgressLine

anchor = typer.Typer(help="Verified human text, frozen: what documents are measured against.", no_args_is_help=True)

AnchorArgument = Annotated[Path, typer.Argument(metavar="ANCHOR", help="An anchor file.")]
AnchorOut = Annotated[Path, typer.Option("--out", "-o", help="The anchor file to write.")]
Note = Annotated[str, option("note", "Where the text comes from, and who verified that people wrote it.")]


def build(
    inputs: Annotated[
        list[str], typer.Argument(metavar="HUMAN", help="Verified human text: files, folders, globs, @list.")
    ],
    out: AnchorOut,
    note: Note = "",
    min_count: Annotated[int, option("min-count", "The model knows words seen so often.", min=1)] = 2,
    tail_mass: Annotated[float, option("tail-mass", "Share of all tokens that the rare words make up.")] = 0.05,
    text_field: TextFields = ["text"],  # noqa: B006 (typer copies it)
    id_field: IdField = "id",
    detector: DetectorOption = "default",
    fpr: FalsePositiveRate = None,
    memory: Annotated[str, option("memory", "Memory for counting 3-grams; the rest goes to disk.")] = "1G",
    max_types: Annotated[str, option("max-types", "Types that may be counted.")] = "16M",
    threads: Threads = None,
    malformed_budget: MalformedBudget = "0",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Freeze verified human text: its words, its rare words, and a model of its 3-grams."""
    from textassay.anchor import load_anchor
    from textassay.anchor.build import build_anchor

    budget = parse_budget(malformed_budget)
    with ProgressLine(quiet or as_json) as progress:
        result = build_anchor(
            inputs,
            out,
            note=note,
            min_count=min_count,
            tail_mass=tail_mass,
            text_fields=split_list(text_field),
            id_field=id_field,
            detector=chosen_detector(detector, fpr),
            memory=parse_size("memory", memory),
            max_types=parse_size("max-types", max_types),
            threads=threads,
            on_progress=progress,
        )
    _show(load_anchor(out).describe(), as_json)
    say(f"written to {out}")
    if result.is_damaged(budget):
        found = result.summary["inputs"]
        say(f"{found['malformed']} malformed records, {found['files_damaged']} damaged files are not in it")
        raise typer.Exit(DAMAGED)


def info(
    path: AnchorArgument,
    verify: Annotated[bool, typer.Option("--verify", help="Read all of it and compare the checksums.")] = False,
    as_json: Json = False,
) -> None:
    """What an anchor holds."""
    from textassay.anchor import load_anchor

    found = load_anchor(path)
    if verify:
        found.verify()
        say("every byte is what was written")
    _show(found.describe(), as_json)


def check(
    path: AnchorArgument,
    candidates: Annotated[
        list[str], typer.Argument(metavar="CANDIDATE", help="The corpus: files, folders, globs, @list, - for stdin.")
    ],
    limit: Annotated[float, option("limit", "How much of a document the other side may hold, as a share.")] = 0.1,
    allowed: Annotated[
        float, option("allowed", "Share of the corpus's, or of the anchor's, documents that may be over the limit.")
    ] = 0.0,
    allowed_suspects: Annotated[
        float,
        option("allowed-suspects", "Share of the anchor's own documents that may resemble synthetic text."),
    ] = 0.05,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="A JSON file for the report.", show_default=False)
    ] = None,
    text_field: TextFields = ["text"],  # noqa: B006 (typer copies it)
    id_field: IdField = "id",
    threads: Threads = None,
    malformed_budget: MalformedBudget = "0",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Look for the anchor's text in a corpus, for the corpus's in the anchor, and for synthetic text in the anchor.

    Copies may be near ones. Exit code 1 over a limit.
    """
    from textassay.anchor.check import check_anchor
    from textassay.atomic import replacing
    from textassay.folder import json_text
    from textassay.summary import is_damaged

    budget = parse_budget(malformed_budget)
    with ProgressLine(quiet or as_json) as progress:
        found = check_anchor(
            path,
            candidates,
            limit,
            allowed=allowed,
            allowed_suspects=allowed_suspects,
            text_fields=split_list(text_field),
            id_field=id_field,
            threads=threads,
            on_progress=progress,
        )
    report = json_text(found.report())
    if as_json:
        sys.stdout.write(report)
    else:
        from textassay.cli.render import print_check

        print_check(found.report())
    if out is not None:
        with replacing(out) as stream:
            stream.write(report.encode())
        say(f"written to {out}")
    if is_damaged(found.inputs, budget):
        say(
            f"{found.inputs['malformed']} malformed records, {found.inputs['files_damaged']} damaged files: not all was looked at"
        )
    if found.is_over:
        raise typer.Exit(GATE_FAILED)
    if is_damaged(found.inputs, budget):
        raise typer.Exit(DAMAGED)


def export(
    path: AnchorArgument,
    arpa: Annotated[Path, typer.Option("--arpa", help="The ARPA file to write; - for stdout.")],
) -> None:
    """Write the model as ARPA text, which KenLM and others read."""
    from textassay.anchor import load_anchor
    from textassay.anchor.arpa import export_arpa
    from textassay.atomic import replacing

    found = load_anchor(path)
    if str(arpa) == "-":
        export_arpa(found, sys.stdout)
        return
    with replacing(arpa) as out:
        text = TextIOWrapper(out, "utf-8")
        export_arpa(found, text)
        text.detach()
    say(f"written to {arpa}")


def import_(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="An ARPA file of order 2 to 5, plain or gzip.")],
    out: AnchorOut,
    note: Note = "",
    as_json: Json = False,
) -> None:
    """Make an anchor of a model that KenLM or another program has estimated."""
    from textassay.anchor import load_anchor
    from textassay.anchor.arpa import import_arpa

    import_arpa(model, out, note)
    _show(load_anchor(out).describe(), as_json)
    say(f"written to {out}")


def _show(description: dict[str, object], as_json: bool) -> None:
    if as_json:
        from textassay.folder import json_text

        sys.stdout.write(json_text(description))
    else:
        from textassay.cli.render import print_anchor

        print_anchor(description)


anchor.command(epilog=example("anchor build human/ -o human.anchor --note 'news before 2020, checked'"))(
    reported(build)
)
anchor.command(epilog=example("anchor info human.anchor"))(reported(info))
anchor.command(epilog=example("anchor check human.anchor shards/ --allowed 0.001"))(reported(check))
anchor.command(epilog=example("anchor export human.anchor --arpa human.arpa"))(reported(export))
anchor.command("import", epilog=example("anchor import human.arpa -o human.anchor"))(reported(import_))
