"""`textassay sample` and `textassay labels`: documents for people to label, and their labels back."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from textassay.cli.errors import DAMAGED, say
from textassay.cli.options import (
    AnchorFile,
    BatchTokens,
    DetectorOption,
    FalsePositiveRate,
    IdField,
    Json,
    MaxRecordBytes,
    MaxWindow,
    ProvenanceFile,
    Quiet,
    Scanned,
    TextFields,
    Threads,
    option,
    scan_options,
)
from textassay.cli.progress import ProgressLine


def sample(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT", help="Files, folders, globs, @list (one a line).")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The JSONL file to write.")],
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="Documents to draw.")] = 500,
    by: Annotated[
        list[str],
        typer.Option(
            "--by",
            help="What strata are made by: provenance, input, or a signal, with the edges of its bands: perplexity:50,200. "
            "By default synthetic_probability, provenance and n_tokens, where they are measured.",
            show_default=False,
        ),
    ] = [],  # noqa: B006 (typer copies it)
    allocation: Annotated[str, option("allocation", "Documents of each stratum: equal or proportional.")] = "equal",
    seed: Annotated[int, option("seed", "Another seed draws other documents.")] = 0,
    sheet: Annotated[
        Path | None,
        typer.Option("--csv", help="Also a CSV file of item, label and text, for a spreadsheet.", show_default=False),
    ] = None,
    source_field: Annotated[str, option("source-field", "Field of the document's source.")] = "source",
    group_field: Annotated[
        str | None, option("group-field", "Field of what documents share that must not be split; default: the id.")
    ] = None,
    scanned: Scanned = None,
    text_field: TextFields = ["text"],  # noqa: B006 (typer copies it)
    id_field: IdField = "id",
    anchor: AnchorFile = None,
    provenance: ProvenanceFile = None,
    detector: DetectorOption = "default",
    fpr: FalsePositiveRate = None,
    batch_tokens: BatchTokens = "1M",
    max_record_bytes: MaxRecordBytes = "64M",
    max_window: MaxWindow = "27",
    threads: Threads = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw documents for people to label, some of every stratum. Without --scan the inputs are scanned first."""
    from textassay.sampling import sample_documents

    given = (text_field, id_field, anchor, provenance, detector, fpr, batch_tokens, max_record_bytes, max_window)
    with ProgressLine(quiet or as_json) as progress:
        result = sample_documents(
            inputs,
            out,
            number,
            by=by,
            allocation=allocation,
            seed=seed,
            sheet=sheet,
            source_field=source_field,
            group_field=group_field,
            scanned=scanned,
            threads=threads,
            on_progress=progress,
            **({} if scanned is not None else scan_options(*given)),
        )
    if as_json:
        from textassay.folder import json_text

        sys.stdout.write(json_text({"strata": result.strata, "damaged": result.damaged}))
    else:
        from textassay.cli.render_curation import print_sample

        print_sample(result.strata)
    say(f"{len(result.items)} items written to {out}")
    if result.damaged:
        say(f"damaged, so known in part only: {', '.join(result.damaged[:10])}")
        raise typer.Exit(DAMAGED)


def labels(
    reviewed: Annotated[Path, typer.Argument(metavar="REVIEWED", help="What sample wrote, with labels filled in.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="A JSONL file for `textassay calibrate`.", show_default=False)
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option("--csv", help="The CSV file, where the labels are filled in there.", show_default=False),
    ] = None,
    label_field: Annotated[str, option("label-field", "Field of the labels: human, synthetic, unsure.")] = "label",
    second_field: Annotated[
        str | None, option("second-field", "Field of other labels to compare with, as those of an LLM that judges.")
    ] = None,
    predicted: Annotated[
        str | None,
        typer.Option(
            "--predicted",
            help="What takes a document for synthetic: its precision and recall are estimated.  [default: synthetic_probability >= 0.5]",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Take the labels of a sample back: what they say of the whole corpus."""
    from textassay.labels import take_labels

    result = take_labels(
        reviewed, out, sheet=sheet, label_field=label_field, second_field=second_field, predicted=predicted
    )
    if as_json:
        from textassay.folder import json_text

        sys.stdout.write(json_text(result.report))
    else:
        from textassay.cli.render_curation import print_labels

        print_labels(result.report)
    if out is not None:
        say(f"{len(result.labelled)} labelled documents written to {out}")
