"""Labels by rules of provenance, as docs/semantics.md has them, by the standard library: `re`, `fnmatch`, and no automaton."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import naive_records


class Found(NamedTuple):
    label: str
    reason: str
    source: str
    month: str


def value_of(record: Any, field: str) -> str | None:
    """A field as text; None where it is absent, null or a container. `record` is what naive_records parses."""
    path = field.split(".") if field[0] != "/" else field[1:].split("/")
    try:
        value = naive_records.look_up(record, path)
    except naive_records.Absent:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, naive_records.Number):
        return "0" if value == "-0" else str(value)
    return naive_records.without_surrogates(value)[0] if isinstance(value, str) else None


def cut(name: str) -> str:
    return name.encode()[:256].decode(errors="ignore")


def days(value: str) -> tuple[int, int] | None:
    """The first and the last day that a date, a month or a year can mean."""
    match = re.fullmatch(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})([^0-9].*)?)?)?", value, re.DOTALL)
    if match is None or match[2] and not 1 <= int(match[2]) <= 12 or match[3] and not 1 <= int(match[3]) <= 31:
        return None
    year, month, day = int(match[1]), match[2], match[3]
    return year * 10000 + int(month or 1) * 100 + int(day or 1), year * 10000 + int(month or 12) * 100 + int(day or 31)


def holds(condition: Mapping[str, Any], record: Any) -> bool:
    value = value_of(record, condition["field"])
    if "present" in condition and condition["present"] != (value is not None):
        return False
    for name in ("equals", "matches", "before", "from"):
        if name not in condition:
            continue
        wanted = condition[name]
        if value is None:
            return False
        if name == "equals":
            literals = wanted if isinstance(wanted, list) else [wanted]
            if value not in [str(one).lower() if isinstance(one, bool) else str(one) for one in literals]:
                return False
        elif name == "matches":
            if not re.search(wanted, value, re.ASCII):
                return False
        else:
            known, bound = days(value), days(wanted)[0]
            if known is None or not (known[1] < bound if name == "before" else known[0] >= bound):
                return False
    return True


def label(rules: Mapping[str, Any], record: Any, path: str) -> Found:
    """`rules` as tomllib reads them; `record` as naive_records.parse does."""
    source = value_of(record, rules["source"]) if "source" in rules else None
    date = value_of(record, rules["date"]) if "date" in rules else None
    month = date[:7] if date is not None and days(date) else ""
    for number, rule in enumerate(rules.get("rule", []), 1):
        conditions = list(rule.get("all", []))
        conditions += [rule] if "field" in rule else []
        if "path" in rule and not fnmatchcase(path, rule["path"]):
            continue
        generator = value_of(record, rule["generator"]) if "generator" in rule else None
        if "generator" in rule and not generator:
            continue
        if all(holds(condition, record) for condition in conditions):
            reason = rule.get("name", f"rule {number}") if generator is None else cut(generator)
            return Found(rule["label"], reason, cut(source or ""), month)
    return Found(rules.get("default", "human_unverified"), "", cut(source or ""), month)


def tables(rows: Iterable[tuple[Found, int, int]]) -> dict[str, dict[str, dict[str, Counter]]]:
    """Rows are (found, tokens, bytes). Table -> name -> label -> documents, tokens, bytes."""
    counted: dict = {kind: defaultdict(lambda: defaultdict(Counter)) for kind in ("sources", "months", "reasons")}
    for found, tokens, size in rows:
        for kind, name in (("sources", found.source), ("months", found.month), ("reasons", found.reason)):
            counted[kind][name][found.label].update(documents=1, tokens=tokens, bytes=size)
    return counted
