"""Draws documents for people to label, so that their labels speak for the whole corpus (docs/sample.md)."""

import csv
import io
import json
import math
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from textassay.atomic import replacing
from textassay.configuration import check_limits
from textassay.cpus import usable_cpus
from textassay.errors import InputError, OutputError, UsageError
from textassay.fields import parse_field
from textassay.first_record import nothing_found
from textassay.inputs import Input, resolve_inputs
from textassay.prescan import check_options, check_readable_twice, scan_of
from textassay.records import field_of, name_of, parse_record, read_lines, text_of
from textassay.scan_folder import PLACES, Columns, ScanFolder, ScannedInput
from textassay.scanning import Progress
from textassay.strata import INPUT, Dimension, StratifiedSample, line_hashes, parse_dimension

SCHEMA = "textassay.sample/1"
MAX_SAMPLE = 100_000
DEFAULT_DIMENSIONS = ("synthetic_probability", "provenance", "n_tokens")
SHEET_COLUMNS = ("item", "label", "text")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")

Matched = Sequence[tuple[Input, ScannedInput]]


@dataclass(frozen=True)
class SampleResult:
    """`items` are the lines of the file of the sample; `strata`: of each `documents` it has and how many were `sampled`."""

    items: list[dict[str, Any]]
    strata: dict[str, dict[str, int]]
    damaged: list[str]
    """Inputs of which only a part could be read."""


def sample_documents(
    inputs: str | PathLike[str] | Iterable[str | PathLike[str]],
    out: str | PathLike[str],
    n: int,
    *,
    by: Sequence[str] = (),
    allocation: str = "equal",
    seed: int = 0,
    sheet: str | PathLike[str] | None = None,
    source_field: str = "source",
    group_field: str | None = None,
    scanned: str | PathLike[str] | None = None,
    threads: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    **scan_options: Any,
) -> SampleResult:
    """Draws n documents and writes them to `out` (JSONL), a record each with an empty `label`, in random order.

    `by` says what strata are made by: `provenance`, `input`, `n_tokens`, `perplexity:50,200` (bands between edges); without it
    synthetic_probability, provenance and n_tokens, as far as the scan has them. `allocation` says how many of each stratum
    (`strata.allocate`); within a stratum every document is as likely as another, decided by a hash of the seed, its file's digest and its line. `sheet`: a
    CSV file of item, label and text alone, for reviewers who are not to see more. `scanned` is the folder of a scan of these inputs; without one they are scanned
    first, with `scan_options` (those of `scan`).

    Raises `UsageError` on what was asked for, `InputError` on inputs that are not as the scan found them.
    """
    if not isinstance(n, int) or not 1 <= n <= MAX_SAMPLE:
        raise UsageError(f"n={n}: wanted a whole number from 1 to {MAX_SAMPLE}")
    used_threads = usable_cpus() if threads is None else threads
    check_limits("word", threads=used_threads)
    dimensions = [parse_dimension(one) for one in by]
    named = {one.column: "any" for one in dimensions if one.column != INPUT}
    source_path = parse_field(source_field)
    group_path = None if group_field is None else parse_field(group_field)
    options = check_options(scanned, named or _default_columns(scan_options), scan_options)
    files = resolve_inputs(inputs)
    check_readable_twice(files)
    if not Path(out).resolve().parent.is_dir():
        raise OutputError(f"cannot write to {fspath(out)}: there is no such folder")
    with (
        tempfile.TemporaryDirectory(prefix=".textassay-", dir=Path(out).resolve().parent) as place,
        scan_of(files, scanned, Path(place), options, used_threads, on_progress) as (results, matched),
    ):
        outcomes = [part.outcome for _, part in matched]
        if any(one["malformed"] for one in outcomes) and not any(one["documents"] for one in outcomes):
            fields = scan_options.get("text_fields", ("text",))
            raise nothing_found("a sample needs documents: all records are malformed", files, fields)
        dimensions = dimensions or [
            parse_dimension(name) for name in DEFAULT_DIMENSIONS if name in results.column_kinds()
        ]
        results.check_columns(named)
        _check_edges(dimensions, results.column_kinds())
        sample = _drawn(results, matched, dimensions, n, seed)
        drawn = sample.drawn(n, allocation) if sample.sizes else {}
        items = _items(results, matched, drawn, sample.sizes, (source_path, group_path))
    _write(out, items, sheet)
    strata = {
        name: {"documents": sample.sizes[name], "sampled": len(rows["line"])} for name, rows in sorted(drawn.items())
    }
    damaged = [file.name for file, scanned_input in matched if scanned_input.outcome["status"] != "ok"]
    return SampleResult(items, strata, damaged)


def _default_columns(scan_options: Mapping[str, Any]) -> dict[str, str]:
    found = {"n_tokens": "number"}
    return found | ({"synthetic_probability": "number"} if scan_options.get("detector", "default") is not None else {})


def _check_edges(dimensions: Sequence[Dimension], kinds: Mapping[str, str]) -> None:
    for dimension in dimensions:
        if dimension.column == INPUT:
            continue
        is_number = kinds[dimension.column] == "number"
        if is_number != bool(dimension.edges):
            wanted = "edges behind it, as in n_tokens:100,1000" if is_number else "no edges: it holds texts"
            raise UsageError(f"{dimension.column}: wanted {wanted}")


def _drawn(
    results: ScanFolder, matched: Matched, dimensions: Sequence[Dimension], n: int, seed: int
) -> StratifiedSample:
    sample = StratifiedSample(dimensions, n)
    kinds = results.column_kinds()
    kept = [name for name in (*DEFAULT_DIMENSIONS, *(one.column for one in dimensions)) if name in kinds]
    columns = list(dict.fromkeys((*PLACES, "id", *kept)))
    for number, (file, scanned) in enumerate(matched):
        for chunk in results.chunks(scanned, columns):
            chunk["hash"] = line_hashes(scanned.digest or "", chunk["line"], seed)
            chunk["file"] = np.full(len(chunk["line"]), number)
            sample.add(chunk, file.name)
    return sample


def _items(
    results: ScanFolder,
    matched: Matched,
    drawn: Mapping[str, Columns],
    sizes: Mapping[str, int],
    fields: tuple[Sequence[str], Sequence[str] | None],
) -> list[dict[str, Any]]:
    """The records of the file, in the order of hashes, so that strata do not follow one another."""
    rows = [
        (columns, row, stratum, sizes[stratum] / len(columns["line"]))
        for stratum, columns in drawn.items()
        for row in range(len(columns["line"]))
    ]
    rows.sort(key=lambda one: tuple(int(one[0][key][one[1]]) for key in ("hash", "file", "line")))
    lines = _lines_of(results, matched, drawn)
    items = []
    for item, (columns, row, stratum, weight) in enumerate(rows, 1):
        file, line = int(columns["file"][row]), int(columns["line"][row])
        scanned = matched[file][1]
        try:
            record = parse_record(lines[file, int(columns["byte_offset"][row])])
        except InputError as error:
            raise InputError(f"{matched[file][0].name}: line {line}: {error}; scan it again") from error
        identity = columns["id"][row]
        group = None if fields[1] is None else name_of(field_of(record, fields[1]))
        figures = {key: _plain(columns[key][row]) for key in columns if key not in ("hash", "file", "id", *PLACES)}
        items.append(
            {
                "item": item,
                "label": "",
                "text": text_of(record, results.text_fields),
                "id": identity,
                "source": name_of(field_of(record, fields[0])) or scanned.name,
                "group": group or identity or f"{scanned.name}:{line}",
                "sampling": {
                    "schema": SCHEMA,
                    "stratum": stratum,
                    "documents": sizes[stratum],
                    "sampled": len(columns["line"]),
                    "weight": weight,
                    "input": scanned.name,
                    "line": line,
                    "figures": figures,
                },
            }
        )
    return items


def _lines_of(results: ScanFolder, matched: Matched, drawn: Mapping[str, Columns]) -> dict[tuple[int, int], bytes]:
    """The records of the sample, by file and byte offset."""
    places: dict[int, list[int]] = {}
    for columns in drawn.values():
        for file, offset in zip(columns["file"].tolist(), columns["byte_offset"].tolist(), strict=True):
            places.setdefault(file, []).append(offset)
    found = {}
    for file, offsets in sorted(places.items()):
        offsets.sort()
        source = matched[file][0].source
        assert isinstance(source, bytes)
        try:
            for offset, line in zip(offsets, read_lines(source, offsets, results.max_window_log), strict=True):
                found[file, offset] = line
        except InputError as error:
            raise InputError(f"{matched[file][0].name}: {error}; scan it again") from error
    return found


def _plain(value: Any) -> Any:
    """As JSON has it; NaN is null."""
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and math.isnan(plain) else plain


def _write(out: str | PathLike[str], items: Sequence[Mapping[str, Any]], sheet: str | PathLike[str] | None) -> None:
    if sheet is not None:
        with replacing(sheet) as stream:
            stream.write(_sheet_of(items))
    with replacing(out) as stream:
        for item in items:
            stream.write(json.dumps(item, ensure_ascii=False, allow_nan=False).encode() + b"\n")


def _sheet_of(items: Sequence[Mapping[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(SHEET_COLUMNS)
    for item in items:
        # A spreadsheet would run a text that begins so as a formula.
        shown = f"'{item['text']}" if item["text"].startswith(_FORMULA_STARTS) else item["text"]
        writer.writerow((item["item"], item["label"], shown))
    return text.getvalue().encode()
