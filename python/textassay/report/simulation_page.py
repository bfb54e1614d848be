"""The page of a simulated collapse, from the JSON document that `textassay simulate` writes."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from textassay.formatting import clean, counted, decimal, number
from textassay.report.answer import percent
from textassay.report.chart import drawing_style
from textassay.report.figures import Axis, Change, series
from textassay.report.page import ROWS_SHOWN, TEXT_LIMIT, Card, Column, Grid, Picture, Section, sectioned_page
from textassay.report.retention import retention_picture

SCHEMA = "textassay.simulation/1"

_PANELS = {
    "Entropy": ("entropy_bits", "bits a token"),
    "Different words": ("n_types", "words"),
    "Seen once": ("hapaxes", "words"),
    "Rare words kept": ("tail_retention", "share of generation 0's rare words"),
    "Repetition": ("distinct_3", "distinct ones of all"),
}


def simulation_page(found: Mapping[str, Any]) -> bytes:
    """The HTML file. Equal documents give equal bytes, but for their `performance`."""
    generations = found["generations"]
    last, settings = generations[-1], found["settings"]
    worst = last["stage"]
    headline = f"After {counted(last['generation'], 'generation')}: {'no collapse' if worst == 'healthy' else f'{worst} collapse'}."
    lead = f"{number(settings['tokens'])} tokens a generation, {percent(settings['synthetic_ratio'])} of them written by a model of the generation before."
    cards = [
        Card("What happened", _what_happened(generations)),
        Card("What changed", _lost(generations[0], last)),
        Card("Forecast", _forecasts(found["forecasts"])),
    ]
    with drawing_style():
        figures = _figures(generations, found["forecasts"])
        figures += retention_picture(last["tail"], "generation 0")
    sections = [
        Section("generations", "Generations", figures=figures, tables=[_table(generations)]),
        Section("settings", "Settings", tables=[_settings(settings)]),
    ]
    return sectioned_page(
        "simulated collapse",
        "textassay simulate",
        headline,
        lead,
        cards,
        sections,
        _performance(found.get("performance")),
    )


def _what_happened(generations: Sequence[Mapping[str, Any]]) -> list[str]:
    sentences = [
        f"Generation {now['generation']} is {now['stage']}: {_reasons(now)}."
        for before, now in pairwise(generations)
        if now["stage"] != before["stage"]
    ]
    return sentences[:8] or ["All generations stayed healthy."]


def _reasons(generation: Mapping[str, Any]) -> str:
    found = [
        f"{one['figure'].replace('_', ' ')} {decimal(one['value'], 2)}, below {decimal(one['limit'], 2)}"
        for one in generation["reasons"]
    ]
    return "; ".join(found) or "no figure is below its limit"


def _lost(first: Mapping[str, Any], last: Mapping[str, Any]) -> list[str]:
    sentences = [
        f"Different words: {number(first['n_types'])} at first, {number(last['n_types'])} at last.",
        f"Entropy: {decimal(first['entropy_bits'], 2)} bits at first, {decimal(last['entropy_bits'], 2)} at last.",
    ]
    if last["tail_retention"] is not None:
        sentences.append(f"Rare words kept: {percent(last['tail_retention'])}.")
    return sentences


def _forecasts(forecasts: Sequence[Mapping[str, Any]]) -> list[str]:
    sentences = []
    for one in forecasts:
        limit = f"{one['figure'].replace('_', ' ')} below {one['limit']:g}"
        if one["generation"] is None:
            sentences.append(f"{limit}: not within {number(one['horizon'])} generations.")
        else:
            sentences.append(
                f"{limit}: generation {one['generation']}, {'as simulated' if one['observed'] else 'by extrapolation'}."
            )
    return sentences or ["None was asked for (--entropy-floor, --tail-floor)."]


def _figures(generations: Sequence[Mapping[str, Any]], forecasts: Sequence[Mapping[str, Any]]) -> list[Picture]:
    labels = [str(one["generation"]) for one in generations]
    stages = [one["stage"] for one in generations]
    changes = [Change(place, stages[place]) for place in range(1, len(stages)) if stages[place] != stages[place - 1]]
    limits = {one["figure"]: one["limit"] for one in forecasts}
    return [picture for title in _PANELS for picture in _panel(title, labels, generations, changes, limits)]


def _panel(
    title: str,
    labels: Sequence[str],
    generations: Sequence[Mapping[str, Any]],
    changes: Sequence[Change],
    limits: Mapping[str, float],
) -> list[Picture]:
    name, unit = _PANELS[title]
    known = [place for place, one in enumerate(generations) if one[name] is not None]
    if not known:
        return []
    values = np.array([generations[place][name] for place in known], np.float64)
    line = (np.array(known, np.float64), values)
    description = f"{title}: {values[0]:.4g} at first, {values[-1]:.4g} at last."
    return [
        Picture(
            title,
            "",
            series(
                f"panel-{name.replace('_', '-')}",
                description,
                labels,
                line,
                "generation",
                Axis(unit),
                changes,
                limits.get(name),
            ),
        )
    ]


def _table(generations: Sequence[Mapping[str, Any]]) -> Grid:
    rows = [
        (
            f"{one['generation']}",
            one["stage"],
            f"{one['n_tokens']:,}",
            f"{one['n_types']:,}",
            f"{one['hapaxes']:,}",
            decimal(one["entropy_bits"]),
            decimal(one["documents"]["mattr"]),
            percent(one["distinct_3"]),
            percent(one["tail_retention"]),
        )
        for one in generations[: 2 * ROWS_SHOWN]
    ]
    heads = ("tokens", "types", "hapaxes", "entropy", "MATTR", "distinct 3-grams", "tail kept")
    columns = (Column("generation", "number"), Column("stage", "word"), *(Column(head, "number") for head in heads))
    return Grid("Generations", "Generation 0 is real text.", columns, rows)


def _settings(settings: Mapping[str, Any]) -> Grid:
    rows = [
        (name.replace("_", " "), _setting(value))
        for name, value in list(settings.items())[:ROWS_SHOWN]
        if not isinstance(value, Mapping)
    ]
    return Grid("Settings", "docs/simulation.md explains each.", (Column("setting"), Column("value")), rows)


def _setting(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        value = ", ".join(map(str, value))
    return clean("none" if value in (None, "") else str(value), TEXT_LIMIT)


def _performance(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    return f"This run: {found['seconds']:.1f} s with {counted(found['threads'], 'thread')}, {number(found['tokens_per_cpu_minute'])} tokens a generation, minute and core."
