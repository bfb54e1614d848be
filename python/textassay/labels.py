"""Takes the labels of a sample back: what they say of the corpus, and a labelled set to calibrate with (docs/sample.md)."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay.atomic import replacing
from textassay.errors import InputError, UsageError, reason_of
from textassay.predicates import Predicate, parse_predicate
from textassay.sampling import MAX_SAMPLE, SCHEMA
from textassay.stratified import Agreement, Estimate, LabelledStratum, agreement, estimate_ratio
from textassay.untrusted import MOST_DIGITS, parse_json
from textassay.versions import unlike

REPORT_SCHEMA = "textassay.labels/1"
HUMAN, SYNTHETIC = "human", "synthetic"
UNDECIDED = ("", "unsure")
PREDICTED = "synthetic_probability >= 0.5"
LONGEST_CELL = 1 << 28

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class LabelResult:
    """`report` says what the labels say; `labelled` are the records that `calibrate` reads: `id`, `text`, `label`, `group`, `source`, and `weight`,
    for how many documents of the corpus each stands.
    """

    report: dict[str, Any]
    labelled: list[dict[str, Any]]


def take_labels(
    reviewed: str | PathLike[str],
    out: str | PathLike[str] | None = None,
    *,
    sheet: str | PathLike[str] | None = None,
    label_field: str = "label",
    second_field: str | None = None,
    predicted: str | None = None,
) -> LabelResult:
    """Reads a file of `sample_documents` in which the labels are filled in ("human", "synthetic"; "" or "unsure" for none).

    `sheet` is the CSV file, if the labels are there, found by `item`. `label_field` names another field with labels, as those of
    an LLM that judges; `second_field` one to compare them with. `predicted` is a predicate over the figures in the file, of which precision
    and recall are estimated: `synthetic_probability >= 0.5` where there is that. `out`: where to write the labelled records.

    Raises `InputError` on a file that is no such sample or holds other labels, `UsageError` where nothing is labelled.
    """
    items = _read_items(reviewed)
    if sheet is not None:
        _fill_in(items, label_field, sheet)
    labels = [_label_of(item, label_field, reviewed) for item in items]
    if not any(label is not None for label in labels):
        place = fspath(reviewed) if sheet is None else fspath(sheet)
        raise UsageError(f"{place}: no item has a label in {label_field!r}: fill in human, synthetic or unsure")
    text = predicted if predicted is not None else _default_predicate(items)
    marks = _marked(items, None if text is None else parse_predicate(text))
    second = [_label_of(item, second_field, reviewed) if second_field else None for item in items]
    report = {
        "schema": REPORT_SCHEMA,
        "items": len(items),
        "labelled": sum(label is not None for label in labels),
        "predicted": text,
        **_estimates(items, labels, marks if text is not None else None),
    }
    if second_field is not None:
        report["second"] = {"field": second_field} | _second(items, labels, second)
    result = LabelResult(report, _labelled(items, labels))
    if out is not None:
        _write(out, result.labelled)
    return result


# --- what the labels say


def _estimates(
    items: Sequence[Mapping[str, Any]], labels: Sequence[bool | None], predicted: Mask | None
) -> dict[str, Any]:
    marks = np.zeros(len(items), np.bool_) if predicted is None else predicted
    strata, rows = _strata(items, labels, marks)
    n_documents = sum(row["documents"] for row in rows)
    covered = sum(stratum.documents for stratum in strata)
    found: dict[str, Any] = {
        "documents": n_documents,
        "covered": covered / n_documents,
        "synthetic_share": _figures(estimate_ratio(strata, lambda y, p: y, lambda y, p: np.ones_like(y))),
    }
    if predicted is not None:
        found |= _quality(strata)
    return found | {"strata": rows}


def _quality(strata: Sequence[LabelledStratum]) -> dict[str, Any]:
    return {
        "precision": _figures(estimate_ratio(strata, lambda y, p: y & p, lambda y, p: p)),
        "recall": _figures(estimate_ratio(strata, lambda y, p: y & p, lambda y, p: y)),
        "false_positive_rate": _figures(estimate_ratio(strata, lambda y, p: ~y & p, lambda y, p: ~y)),
    }


def _strata(
    items: Sequence[Mapping[str, Any]], labels: Sequence[bool | None], predicted: Mask
) -> tuple[list[LabelledStratum], list[dict[str, Any]]]:
    """Those with a label, and of all of them how many documents, labels and synthetic ones there are."""
    places: dict[str, list[int]] = {}
    for place, item in enumerate(items):
        places.setdefault(item["sampling"]["stratum"], []).append(place)
    strata, rows = [], []
    for name, own in sorted(places.items()):
        documents = items[own[0]]["sampling"]["documents"]
        decided = [place for place in own if labels[place] is not None]
        synthetic = np.array([labels[place] for place in decided], np.bool_)
        if decided:
            strata.append(LabelledStratum(documents, synthetic, predicted[decided]))
        rows.append(
            {"stratum": name, "documents": documents, "labelled": len(decided), "synthetic": int(synthetic.sum())}
        )
    return strata, rows


def _second(
    items: Sequence[Mapping[str, Any]], labels: Sequence[bool | None], second: Sequence[bool | None]
) -> dict[str, Any]:
    """How far the second's labels agree with the first's, and how well they would find what the first say."""
    both = [i for i, pair in enumerate(zip(labels, second, strict=True)) if None not in pair]
    if not both:
        raise UsageError("no item has both labels")
    first_labels, second_labels = (np.array([one[i] for i in both], np.bool_) for one in (labels, second))
    found: Agreement = agreement(first_labels, second_labels)
    strata, _ = _strata([items[i] for i in both], [labels[i] for i in both], second_labels)
    return asdict(found) | _quality(strata)


def _figures(estimate: Estimate | None) -> dict[str, float | None] | None:
    if estimate is None:
        return None
    figures = asdict(estimate)
    return figures | {"n_effective": None if np.isinf(estimate.n_effective) else estimate.n_effective}


def _default_predicate(items: Sequence[Mapping[str, Any]]) -> str | None:
    return PREDICTED if all("synthetic_probability" in item["sampling"]["figures"] for item in items) else None


def _marked(items: Sequence[Mapping[str, Any]], predicate: Predicate | None) -> Mask:
    """For which items the predicate holds."""
    if predicate is None:
        return np.zeros(len(items), np.bool_)
    columns = {}
    for column, kind in predicate.columns().items():
        try:
            values = [item["sampling"]["figures"][column] for item in items]
        except KeyError:
            known = ", ".join(items[0]["sampling"]["figures"])
            raise UsageError(f"the sample does not hold {column!r}; it holds {known}") from None
        is_text = any(isinstance(value, str) for value in values)
        if kind != "any" and is_text != (kind == "text") and any(value is not None for value in values):
            raise UsageError(f"{column!r} cannot be compared with a {kind}")
        columns[column] = np.array(values, object if is_text or kind == "text" else np.float64)
    return predicate.holds(columns)


# --- from and to files


def _read_items(path: str | PathLike[str]) -> list[dict[str, Any]]:
    items = []
    try:
        with Path(path).open("rb") as stream:
            for number, line in enumerate(iter(lambda: stream.readline(LONGEST_CELL + 1), b""), 1):
                if len(line) > LONGEST_CELL:
                    raise InputError(f"{fspath(path)}: line {number}: wanted at most {LONGEST_CELL:,} bytes")
                if line.strip():
                    items.append(_item(line, f"{fspath(path)}: line {number}"))
                if len(items) > MAX_SAMPLE:
                    raise InputError(f"{fspath(path)}: wanted at most {MAX_SAMPLE} items")
    except OSError as error:
        raise InputError(f"cannot read {fspath(path)}: {error.strerror or error}") from error
    if not items:
        raise InputError(f"{fspath(path)}: wanted the items of a sample, found none")
    _check_items(items, fspath(path))
    return items


def _item(line: bytes, where: str) -> dict[str, Any]:
    try:
        item = parse_json(line)
        sampling = item["sampling"]
        if sampling["schema"] != SCHEMA:
            raise ValueError(unlike(sampling["schema"], SCHEMA))
        numbers = (item["item"], sampling["documents"], sampling["sampled"])
        is_whole = all(type(number) is int and number > 0 for number in numbers)
        if not (is_whole and isinstance(sampling["stratum"], str) and isinstance(item["text"], str)):
            raise ValueError("wanted item, text, and of its stratum name, documents, sampled")
        if not all(isinstance(v, str | int | float | None) for v in sampling["figures"].values()):
            raise ValueError("wanted figures that are numbers or texts")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{where}: wanted an item of a sample: {error!r}") from error
    return item


def _check_items(items: Sequence[Mapping[str, Any]], path: str) -> None:
    """Each is there once, and those of a stratum say the same of it."""
    seen: set[int] = set()
    strata: dict[str, tuple[int, int]] = {}
    numbers: dict[str, int] = {}
    for item in items:
        sampling = item["sampling"]
        about = sampling["documents"], sampling["sampled"]
        if item["item"] in seen or strata.setdefault(sampling["stratum"], about) != about:
            raise InputError(f"{path}: item {item['item']} is there twice, or differs from others of its stratum")
        seen.add(item["item"])
        numbers[sampling["stratum"]] = numbers.get(sampling["stratum"], 0) + 1
    for name, number in numbers.items():
        documents, sampled = strata[name]
        if not number <= sampled <= documents:
            raise InputError(f"{path}: {number} items of {name!r}: wanted at most {sampled}, of {documents} documents")


def _label_of(item: Mapping[str, Any], field: str, path: str | PathLike[str]) -> bool | None:
    """Whether an item is synthetic; None where it has no label."""
    label = item.get(field)
    known = {HUMAN: False, SYNTHETIC: True, **dict.fromkeys(UNDECIDED)}
    word = "" if label is None else label.strip().lower() if isinstance(label, str) else repr(label)
    if word not in known:
        wanted = f"{HUMAN}, {SYNTHETIC}, unsure or nothing"
        raise InputError(f"{fspath(path)}: item {item['item']}: {field} is {label!r}; wanted {wanted}")
    return known[word]


def _fill_in(items: Sequence[dict[str, Any]], field: str, path: str | PathLike[str]) -> None:
    """Labels from a CSV file."""
    by_number = {item["item"]: item for item in items}
    seen = set()
    limit_before = csv.field_size_limit(LONGEST_CELL)  # of the whole process
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream)
            if not {"item", field} <= set(rows.fieldnames or ()):
                raise InputError(f"{fspath(path)}: wanted the columns item and {field}")
            for row in rows:
                number = _number_of(row["item"] or "")
                if number not in by_number or number in seen:
                    raise InputError(f"{fspath(path)}: item {row['item']!r} is not in the sample, or there twice")
                seen.add(number)
                by_number[number][field] = row[field]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read {fspath(path)}: {reason_of(error)}") from error
    finally:
        csv.field_size_limit(limit_before)


def _number_of(text: str) -> int:
    """Of an item; 0 is none's."""
    return int(text) if text.strip().isdecimal() and len(text) < MOST_DIGITS else 0


def _labelled(items: Sequence[Mapping[str, Any]], labels: Sequence[bool | None]) -> list[dict[str, Any]]:
    decided = [(item, label) for item, label in zip(items, labels, strict=True) if label is not None]
    numbers: dict[str, int] = {}
    for item, _ in decided:
        stratum = item["sampling"]["stratum"]
        numbers[stratum] = numbers.get(stratum, 0) + 1
    return [
        {
            "id": item.get("id"),
            "text": item["text"],
            "label": SYNTHETIC if label else HUMAN,
            "group": item.get("group"),
            "source": item.get("source"),
            "weight": item["sampling"]["documents"] / numbers[item["sampling"]["stratum"]],
        }
        for item, label in decided
    ]


def _write(out: str | PathLike[str], rows: Sequence[Mapping[str, Any]]) -> None:
    with replacing(out) as stream:
        for row in rows:
            stream.write(json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n")
