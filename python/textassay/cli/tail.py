"""`textassay tail`: weights, probes, score."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from textassay.cli.errors import DAMAGED, reported, say
from textassay.cli.options import Json, MalformedBudget, TextFields, example, option, parse_budget, split_list

tail = typer.Typer(
    help="Rare, but real: sampling weights that raise it, and a test of who still knows it.", no_args_is_help=True
)

AnchorFile = Annotated[Path, option("anchor", "The anchor file whose rare words are meant.")]


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
        from textassay.cli.render_tail import print_tail_weights

        print_tail_weights(found.summary, found.shards)
    say(f"written to {out}")


def probes(
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT", help="Text to make items of, as for scan.")],
    anchor: AnchorFile,
    out: Annotated[Path, typer.Option("--out", "-o", help="A JSONL file for the items.")],
    key: Annotated[
        Path | None,
        typer.Option(
            "--key", help="A JSONL file for the answers, which are left out of the items then.", show_default=False
        ),
    ] = None,
    per_decade: Annotated[
        int, option("per-decade", "Items of each kind and decade of frequency, at most.", min=1)
    ] = 100,
    options: Annotated[int, option("options", "Words to choose from, in each item.", min=2)] = 4,
    documents: Annotated[int, option("sample-documents", "Documents that items are made of.", min=1)] = 5000,
    text_field: TextFields = ["text"],  # noqa: B006 (typer copies it)
    malformed_budget: MalformedBudget = "0",
    as_json: Json = False,
) -> None:
    """Make a test of the tail: sentences with a gap, by how rare the missing word or pair of words is in the anchor."""
    from textassay.summary import is_damaged
    from textassay.tail_probes import make_probes, strata_of, write_probes

    budget = parse_budget(malformed_budget)
    fields = split_list(text_field)
    items, account = make_probes(
        inputs, anchor, per_decade=per_decade, options=options, documents=documents, text_fields=fields
    )
    write_probes(items, out, key)
    rows = strata_of(items)
    if as_json:
        from textassay.folder import json_text

        sys.stdout.write(json_text({"n_items": len(items), "inputs": account, "strata": rows}))
    else:
        from textassay.cli.render_tail import print_probes

        print_probes(rows, account)
    say(f"written to {out}" + (f", the answers to {key}" if key else ""))
    found = {
        "malformed": account["n_malformed"],
        "files_damaged": account["n_damaged"],
        "documents": account["n_documents"],
    }
    if is_damaged(found, budget):
        say(f"{account['n_malformed']} malformed records, {account['n_damaged']} damaged files: not all was looked at")
        raise typer.Exit(DAMAGED)


def score(
    items: Annotated[Path, typer.Argument(metavar="PROBES", help="The items, as tail probes wrote them.")],
    answers: Annotated[
        Path | None,
        typer.Argument(metavar="ANSWERS", help='JSONL: {"id": ..., "answer": an option or its number from 0}.'),
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", help="The answers, where the items lack them.", show_default=False)
    ] = None,
    model: Annotated[
        Path | None, typer.Option("--model", help="Let the model of this anchor answer instead.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Score answers: how much of each decade of frequency is still known."""
    from textassay.errors import UsageError
    from textassay.tail_probes import answer_with_model, read_answers, read_probes, score_probes

    if (answers is None) == (model is None):
        raise UsageError("wanted a file of answers, or --model to answer")
    known = read_probes(items, key)
    given = read_answers(answers) if answers is not None else answer_with_model(str(model), known)
    found = score_probes(known, given)
    if as_json:
        from textassay.folder import json_text

        sys.stdout.write(json_text(found))
    else:
        from textassay.cli.render_tail import print_score

        print_score(found)


tail.command(epilog=example("tail weights audit/ --anchor human.anchor -o weights/"))(reported(weights))
tail.command(epilog=example("tail probes shards/ --anchor human.anchor -o probes.jsonl --key key.jsonl"))(
    reported(probes)
)
tail.command(epilog=example("tail score probes.jsonl answers.jsonl --key key.jsonl"))(reported(score))
