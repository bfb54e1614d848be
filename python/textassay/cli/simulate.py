"""`textassay simulate`."""

import sys
from typing import Annotated, Any

import typer

from textassay.cli.errors import DAMAGED, say
from textassay.cli.options import (
    Json,
    MalformedBudget,
    Out,
    Quiet,
    TextFields,
    Threads,
    option,
    parse_budget,
    parse_size,
    split_list,
)
from textassay.cli.progress import ProgressLine


def simulate(
    corpus: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CORPUS",
            help="Real text: files, folders, globs, @list; or an anchor. Without it: the published simulation of one Gaussian.",
        ),
    ] = None,
    out: Out = None,
    generations: Annotated[int, option("generations", "Generations behind the real text.", min=1)] = 8,
    tokens: Annotated[str, option("generation-tokens", "Tokens of each generation.")] = "10M",
    anchor_fraction: Annotated[float, option("anchor-fraction", "Share of fresh real text in each generation.")] = 0.0,
    synthetic_ratio: Annotated[
        float | None,
        option(
            "synthetic-ratio",
            "Share of generated text; what is left is the same real text each time.",
            show_default=False,
        ),
    ] = None,
    accumulate: Annotated[
        bool, typer.Option("--accumulate/--replace", help="Train on all generations so far, or on the last one only.")
    ] = False,
    order: Annotated[int, option("order", "Of the n-gram model: 1 to 3.", min=1, max=3)] = 3,
    temperature: Annotated[float, option("temperature", "Below 1 prefers likely words.")] = 1.0,
    top_p: Annotated[
        float, option("top-p", "Of each choice only the likeliest options, up to this probability.")
    ] = 1.0,
    filters: Annotated[
        list[str], option("filter", "Generated documents to keep, such as mattr>=0.7; may be given several times.")
    ] = [],  # noqa: B006 (typer copies it)
    seed: Annotated[int, option("seed", "Another seed, another run.", min=0)] = 0,
    tail_mass: Annotated[float, option("tail-mass", "Share of all tokens that the rare words make up.")] = 0.05,
    entropy_floor: Annotated[
        float | None,
        option("entropy-floor", "Bits a token: forecasts when a gate with it would trip.", show_default=False),
    ] = None,
    tail_floor: Annotated[
        float | None,
        option("tail-floor", "Tail retention: forecasts when a gate with it would trip.", show_default=False),
    ] = None,
    horizon: Annotated[int, option("horizon", "Generations that a forecast looks ahead.", min=1)] = 100,
    limits: Annotated[
        list[str], option("stage-limit", "A limit of the stages, NAME=SHARE; may be given several times.")
    ] = [],  # noqa: B006
    write_text: Annotated[bool, typer.Option("--write-text", help="Write every generation as JSONL, too.")] = False,
    text_field: TextFields = ["text"],  # noqa: B006
    threads: Threads = None,
    malformed_budget: MalformedBudget = "0",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Watch collapse happen: fit a model to a corpus, draw the next corpus from it, and so on."""
    from textassay.collapse import Limits
    from textassay.folder import json_text
    from textassay.simulate import Settings, minimal_report, simulate_corpus

    budget = parse_budget(malformed_budget)
    settings = Settings(
        generations=generations,
        tokens=parse_size("generation-tokens", tokens),
        anchor_fraction=anchor_fraction,
        synthetic_ratio=synthetic_ratio,
        accumulate=accumulate,
        order=order,
        temperature=temperature,
        top_p=top_p,
        filters=tuple(split_list(filters)),
        seed=seed,
        tail_mass=tail_mass,
        entropy_floor=entropy_floor,
        tail_floor=tail_floor,
        horizon=horizon,
        limits=Limits.parse(split_list(limits)),
    )
    if not corpus:
        report = minimal_report(settings, out, write_text)
        damaged = False
    else:
        with ProgressLine(quiet or as_json) as progress:
            result = simulate_corpus(
                corpus,
                out,
                settings=settings,
                text_fields=split_list(text_field),
                threads=threads,
                write_text=write_text,
                on_progress=progress,
                on_generation=None if quiet or as_json or not sys.stderr.isatty() else _tell,
            )
        report, damaged = result.report(), result.is_damaged(budget)
    if as_json:
        sys.stdout.write(json_text(report))
    else:
        from textassay.cli.simulation_view import print_simulation

        print_simulation(report)
    if out is not None:
        say(f"written to {out}")
    if damaged:
        say("damaged files or malformed records are not in it")
        raise typer.Exit(DAMAGED)


def _tell(figures: dict[str, Any]) -> None:
    say(f"generation {figures['generation']}: {figures['entropy_bits']:.3f} bits, {figures['n_types']:,} types")
