"""`textassay compare`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from textassay.cli.errors import say
from textassay.cli.options import Json, TextFields, option, split_list


def compare(
    reference: Annotated[
        Path, typer.Argument(metavar="REFERENCE", help="A .tap file, a folder that scan wrote, or an anchor.")
    ],
    currents: Annotated[
        list[Path], typer.Argument(metavar="CURRENT...", help="The same, one or more; several are a time line.")
    ],
    labels: Annotated[
        list[str] | None, option("labels", "Names for the current corpora, with commas between them.")
    ] = None,
    tail_mass: Annotated[float, option("tail-mass", "Share of the reference's tokens that its tail makes up.")] = 0.05,
    reference_text: Annotated[
        list[str] | None, option("reference-text", "The reference's documents, as for scan: features get passages.")
    ] = None,
    current_text: Annotated[list[str] | None, option("current-text", "The current corpus's documents.")] = None,
    text_field: TextFields = ["text"],  # noqa: B006 (typer copies it)
    features: Annotated[
        bool, typer.Option("--features", help="Learn themes from a sample of both texts; needs scikit-learn.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for comparison.json and movers.parquet.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """How far a corpus has moved from a reference, and in what: from profiles alone, no text is read again."""
    from textassay.comparison import Timeline, compare_timeline
    from textassay.comparison_files import write_timeline
    from textassay.errors import ProfileError, UsageError
    from textassay.folder import json_text

    wants_texts = bool(reference_text or current_text or features)
    if wants_texts and not (reference_text and current_text and len(currents) == 1):
        raise UsageError("passages and themes need --reference-text and --current-text, and a single CURRENT")
    try:
        found = compare_timeline(reference, currents, split_list(labels) if labels else None, tail_mass=tail_mass)
    except ProfileError as error:
        # A scan that meets damage has a result nevertheless; here there is none.
        raise UsageError(str(error)) from error
    if reference_text and current_text:
        from textassay.illustration import illustrate
        from textassay.themes import THEMES

        n_themes = THEMES if features else 0
        fields = split_list(text_field)
        with_texts = illustrate(found.comparisons[0], reference_text, current_text, text_fields=fields, themes=n_themes)
        found = Timeline([with_texts])
    if out is not None:
        write_timeline(found, out)
    if as_json:
        sys.stdout.write(json_text(found.to_dict()))
    else:
        from textassay.cli.render_comparison import print_timeline

        print_timeline(found)
    if out is not None:
        say(f"written to {out}")
