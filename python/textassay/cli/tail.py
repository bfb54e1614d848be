"""`textassay tail`: weights, probes, score."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from textassay.cli.errors import reported, say
from textassay.cli.options import Json, option, split_list

tail = typer.Typer(
    help="Rare, but real: sampling weights that raise it, and a test of who still knows it.", no_args_is_help=True
)

AnchorFile = Annotated[Path, typer.Option("--anchor", help="The anchor file whose rare words are meant.")]


def weights(
    scanned: Annotated[Path, typer.Argument(metavar="OUT", help="The folder of a scan with this anchor.")],
    anchor: AnchorFile,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the weights.")],
    human: Annotated[
        Path | None,
        option(
            "human",
            "Folder or profile of a scan of other human text: the quality guards lie at its quantiles.",
            show_default=False,
        ),
    ] = None,
    cap: Annotated[float, option("cap", "No document is drawn more than this often as another.")] = 3.0,
    strength: Annotated[float, option("strength", "How far a document's rarity raises it; 0 not at all.")] = 1.0,
    quantile: Annotated[float, option("guard-quantile", "Where the quality guards lie, as a share.")] = 0.99,
    no_raise: Annotated[
        list[str], option("no-raise", "Provenance labels whose documents are not raised; none for all alike.")
    ] = ["synthetic_known", "synthetic_suspected"],  # noqa: B006 (typer copies it)
    as_json: Json = False,
) -> None:
    """Sampling weights of documents and shards that raise rare, but real text; from a scan's rows, not its texts."""
    from textassay.tail_weights import weigh_documents

    labels = [label for label in split_list(no_raise) if label != "none"]
    found = weigh_documents(
        scanned, anchor, out, human=human, cap=cap, strength=strength, quantile=quantile, no_raise=labels
    )
    if as_json:
        from textassay.folder import json_text

        sys.stdout.write(json_text(found.summary | {"shards": found.shards}))
    else:
        from textassay.cli.render import print_tail_weights

        print_tail_weights(found.summary, found.shards)
    say(f"written to {out}")


tail.command()(reported(weights))
