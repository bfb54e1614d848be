"""The page of a gate, from the JSON document that `textassay gate` writes."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from textassay.formatting import clean, clean_path, counted
from textassay.gate_reports import amount
from textassay.report.page import TEXT_LIMIT, Card, Column, Grid, Section, Step, sectioned_page

STEPS_SHOWN, OUTS_SHOWN, CHECKS_SHOWN, PLACES_SHOWN = 12, 12, 40, 20
NAME_LIMIT = 100
"""With what a page may hold at most, so that it stays small whatever it shows."""


def gate_page(found: Mapping[str, Any]) -> bytes:
    """The HTML file. Equal documents give equal bytes."""
    outs = found["outs"]
    missed = [(out, check) for out in outs for check in out["checks"] if check["outcome"] != "passed"]
    enforced = [pair for pair in missed if pair[1]["mode"] == "enforce"]
    subject = clean_path(outs[0]["out"], 60) if len(outs) == 1 else counted(len(outs), "corpus", "corpora")
    cards = [Card("What to do", [], _steps(enforced, missed)), Card("Held against", _policy(found["policy"]))]
    sections = [
        _section(place, out) for place, out in enumerate(sorted(outs, key=lambda out: out["passed"])[:OUTS_SHOWN])
    ]
    headline = (
        "Every enforced limit is met."
        if found["passed"]
        else f"{counted(len(enforced), 'enforced limit')} {'is' if len(enforced) == 1 else 'are'} missed."
    )
    lead = f"{sum(out['passed'] for out in outs)} of {counted(len(outs), 'corpus', 'corpora')} may pass."
    if len(outs) > OUTS_SHOWN:
        lead += f" {OUTS_SHOWN} are shown, those that may not first."
    return sectioned_page("gate", subject, headline, lead, cards, sections)


def _steps(enforced: Sequence[tuple[Any, Any]], missed: Sequence[tuple[Any, Any]]) -> list[Step]:
    steps = [Step("act" if pair in enforced else "look", _sentence(*pair)) for pair in missed[:STEPS_SHOWN]]
    if len(missed) > STEPS_SHOWN:
        steps.append(Step("look", f"And {counted(len(missed) - STEPS_SHOWN, 'more')}, below."))
    return steps or [Step("fine", "Nothing: the data may go on.")]


def _sentence(out: Mapping[str, Any], check: Mapping[str, Any]) -> str:
    said = f"{clean(check['name'], NAME_LIMIT)} is {_value(check)}, wanted {_wanted(check)}"
    return f"{clean_path(out['out'], 40)}: {said} ({clean(check['message'], TEXT_LIMIT)})."


def _value(check: Mapping[str, Any]) -> str:
    return "not known" if check["value"] is None else amount(check["value"], check["unit"])


def _wanted(check: Mapping[str, Any]) -> str:
    ends = [(word, check[key]) for word, key in (("at least", "min"), ("at most", "max")) if check[key] is not None]
    return " and ".join(f"{word} {amount(value, check['unit'])}" for word, value in ends) or "a value"


def _policy(policy: Mapping[str, Any]) -> list[str]:
    sentences = [
        f"The policy: {clean(str(policy['origin']), TEXT_LIMIT)}, with {counted(len(policy['limits']), 'limit')}."
    ]
    if policy.get("reference"):
        sentences.append(f"Drift and tail are measured against {clean_path(str(policy['reference']), TEXT_LIMIT)}.")
    return sentences


def _section(place: int, out: Mapping[str, Any]) -> Section:
    rows = [
        (clean(check["name"], NAME_LIMIT), check["outcome"], check["mode"], _value(check), _wanted(check), clean(check["message"], TEXT_LIMIT))
        for check in out["checks"][:CHECKS_SHOWN]
    ]  # fmt: skip
    columns = (
        Column("limit"),
        Column("outcome", "word"),
        Column("mode", "word"),
        Column("value", "number"),
        Column("wanted", "word"),
        Column("what it is of"),
    )
    places = (
        (
            clean(check["name"], NAME_LIMIT),
            one["kind"],
            clean_path(one["name"], NAME_LIMIT),
            "" if one.get("value") is None else amount(one["value"], check["unit"]),
            clean(one.get("note") or "", NAME_LIMIT),
        )
        for check in out["checks"]
        for one in check["places"]
    )
    places_columns = (
        Column("limit"),
        Column("kind", "word"),
        Column("where"),
        Column("value", "number"),
        Column("note"),
    )
    tables = [
        Grid("Limits", "The limits, in the order of the policy.", columns, rows),
        Grid(
            "Where to look",
            "Where to look, for limits that are missed.",
            places_columns,
            list(islice(places, PLACES_SHOWN)),
        ),
    ]
    return Section(
        f"out-{place}", clean_path(out["out"], 40), "Passed." if out["passed"] else "Not passed.", tables=tables
    )
