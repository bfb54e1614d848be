"""A plan of a mix as a configuration of dolma's mixer, and the attributes that it asks for (docs/mix.md)."""

import json
from collections.abc import Iterator, Sequence
from os import PathLike, fspath
from pathlib import Path, PurePosixPath
from typing import Any

from textassay.atomic import replacing
from textassay.documents import JsonLines
from textassay.dolma_attributes import lines_into
from textassay.errors import InputError, OutputError, UsageError
from textassay.mixing import MixPlan, MixPolicy
from textassay.scan_folder import ScanFolder, ScannedInput
from textassay.strata import line_hashes

ATTRIBUTES = "textassay"
LABEL, DRAW = f"{ATTRIBUTES}__label", f"{ATTRIBUTES}__draw"
MOST_STREAMS = 10_000
_LEAST_SHARE = 1e-9


def mixer_configuration(
    plan: MixPlan, policy: MixPolicy, mixed: str | PathLike[str], source_field: Sequence[str] = ("source",)
) -> dict[str, Any]:
    """What `dolma -c FILE mix` reads: for every scan, source that the policy names, and label a stream for each whole epoch, and one that draws the
    rest of an epoch by the attribute `textassay__draw`. `mixed` is where dolma puts its documents; filters are jq.

    Raises `UsageError` on a plan that is not feasible or needs more than MOST_STREAMS.
    """
    if not plan.is_feasible:
        raise UsageError("a policy that cannot be met has no mix")
    groups: dict[tuple[str, str | None, str | None], float] = {}
    for row in plan.report["weights"]:
        named = row["source"] if row["source"] in policy.sources else None
        groups[row["scan"], named, row["label"]] = row["epochs"]
    streams: list[dict[str, Any]] = []
    for (scan, source, label), epochs in groups.items():
        folder = ScanFolder(scan)
        condition = _condition(source, label, policy, source_field, folder.path.resolve().name)
        for below in _draws(epochs):
            include = condition if below is None else f"{condition} and .attributes.{DRAW} < {below!r}"
            streams.append(_stream(len(streams), label, folder, include, mixed))
            if len(streams) > MOST_STREAMS:
                raise UsageError(f"more than {MOST_STREAMS} streams: wanted fewer epochs")
    return {"streams": streams, "processes": 1}


def _draws(epochs: float) -> Iterator[float | None]:
    """None for a whole epoch, then the share of the last."""
    for _ in range(int(epochs + _LEAST_SHARE)):
        yield None
    rest = epochs - int(epochs + _LEAST_SHARE)
    if rest > _LEAST_SHARE:
        yield float(f"{rest:.9g}")


def _condition(source: str | None, label: str | None, policy: MixPolicy, field: Sequence[str], folder: str) -> str:
    """A jq filter that is true for the documents of a group. A document without a source has its scan's name for one."""
    path = "." + "".join(f"[{json.dumps(part)}]" for part in field)
    of_document = f"({path} // {json.dumps(folder)})"
    parts = [f".attributes.{LABEL} == {json.dumps(label)}"]
    if source is not None:
        parts.append(f"{of_document} == {json.dumps(source, ensure_ascii=False)}")
    else:
        parts += [f"{of_document} != {json.dumps(name, ensure_ascii=False)}" for name in policy.sources]
    return " and ".join(parts)


def _stream(
    number: int, label: str | None, folder: ScanFolder, include: str, mixed: str | PathLike[str]
) -> dict[str, Any]:
    return {
        "name": f"{number:04d}-{label or 'unlabelled'}",
        "documents": [one.name for one in folder.inputs],
        "attributes": [ATTRIBUTES],
        "filter": {"include": [include], "exclude": [], "syntax": "jq"},
        "output": {"path": fspath(mixed)},
    }


def write_attributes(scans: Sequence[str | PathLike[str]], seed: int = 0) -> list[Path]:
    """Writes beside the inputs of scans what the configuration asks for: of each document its label, and a number from 0 to 1 by a hash of its
    file's digest and its line (`strata.line_hashes`). Returns the files.

    dolma finds the attributes of .../documents/NAME in .../attributes/textassay/NAME, line by line. Raises `InputError` on inputs that lie elsewhere, or
    hold lines that are no document.
    """
    written = []
    for scan in scans:
        folder = ScanFolder(scan)
        targets = [(scanned, _attribute_path(scanned)) for scanned in folder.inputs]
        for scanned, path in targets:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with replacing(path) as stream:
                    lines = lines_into(stream, path.suffix)
                    _write_rows(folder, scanned, lines, seed)
                    lines.close()
            except OSError as error:
                raise OutputError(f"cannot write to {path}: {error.strerror or error}") from error
            written.append(path)
    return written


def _attribute_path(scanned: ScannedInput) -> Path:
    before, found, after = scanned.name.rpartition("/documents/")
    # The name stands in the manifest, which may be a stranger's: nothing is written but beside an input that is there.
    if ".." in PurePosixPath(after).parts or not Path(scanned.name).is_file():
        raise InputError(f"{scanned.name}: wanted an input that is there, in a folder documents/")
    if not found:
        raise InputError(f"{scanned.name}: dolma wants documents in a folder documents/")
    if scanned.outcome["lines"] != scanned.outcome["documents"]:
        raise InputError(f"{scanned.name}: some lines are no document, and dolma counts lines: filter them out first")
    return Path(before) / "attributes" / ATTRIBUTES / after


def _write_rows(folder: ScanFolder, scanned: ScannedInput, lines: JsonLines, seed: int) -> None:
    labelled = "provenance" in folder.column_kinds()
    for chunk in folder.chunks(scanned, ["id", "line", *(["provenance"] if labelled else [])]):
        draws = (line_hashes(scanned.digest or "", chunk["line"], seed) / 2.0**64).tolist()
        labels = chunk["provenance"].tolist() if labelled else [None] * len(draws)
        for identity, label, draw in zip(chunk["id"].tolist(), labels, draws, strict=True):
            lines.write({"id": identity, "attributes": {LABEL: label, DRAW: draw}})
