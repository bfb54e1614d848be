"""Every command that writes, with calls that fail, and what has to hold then: for the tests and for `bench/fail_calls.py`."""

import errno
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zstandard

from faulted import Ended, Fault, FaultyMachine
from killed_scans import WORDS, frames_of, lines_of
from textassay import scan
from textassay.anchor.anchor import load_anchor
from textassay.anchor.arpa import export_arpa
from textassay.anchor.build import build_anchor
from textassay.sampling import sample_documents

WORK, TEMPORARY = "work", "tmp"
"""Where faults are: the folder of all outputs, and in it that of temporary files."""

CALLS = {"write": errno.ENOSPC, "sync": errno.EIO, "rename": errno.EIO, "open": errno.EACCES, "mkdir": errno.ENOSPC}
CALLS |= {"unlink": errno.EIO, "link": errno.EIO, "truncate": errno.EIO}

RULES = """
[[rule]]
label = "human_verified"
name = "even"
field = "id"
matches = '[02468]$'

[[rule]]
label = "synthetic_known"
name = "ones"
field = "id"
matches = '1$'
"""
SCAN = ("--no-report", "--checkpoint-seconds", "0", "--batch-tokens", "2000", "--detector", "none", "-j", "1", "-q")


@dataclass(frozen=True)
class Case:
    """A command line; `{inputs}` and `{work}` in it are folders. `before`: what makes the results that it takes the place of."""

    command: tuple[str, ...]
    before: tuple[str, ...] = ()


def case(*command: str, before: Sequence[str] = ()) -> Case:
    return Case(command, tuple(before))


_ONE, _ALL = ("{inputs}/documents/a.jsonl.zst",), ("{inputs}/documents",)
_OUT = ("-o", "{work}/out")


def _scan(form: str, *more: str) -> Case:
    choices = (*_OUT, "--documents", form, *SCAN, *more)
    return case("scan", *_ALL, *choices, before=("scan", *_ONE, *choices))


def _again(*command: str, at: int = 1) -> Case:
    """What was there before is of another input: the first one alone."""
    before = list(command)
    before[at : at + 1] = _ONE
    return case(*command, before=before)


CASES = {
    "scan, parquet": _scan("parquet"),
    "scan, jsonl": _scan("jsonl"),
    "scan, dolma": _scan("dolma"),
    "scan, no rows": _scan("none", "--provenance", "{inputs}/rules.toml"),
    "scan, bigrams": _scan("none", "--bigrams"),
    "scan, report": case(
        "scan",
        *_ALL,
        *_OUT,
        *(one for one in SCAN if one != "--no-report"),
        "--metrics-textfile",
        "{work}/figures.prom",
        before=("scan", *_ONE, *_OUT, *SCAN),
    ),
    "scan, a shard": case("scan", *_ALL, *_OUT, "--shard", "1/2", *SCAN),
    "merge": case(
        "merge", "{inputs}/scan/profile.tap", "{inputs}/other/profile.tap", *_OUT, before=("scan", *_ONE, *_OUT, *SCAN)
    ),
    "merge, one file": case("merge", "{inputs}/scan/profile.tap", "{inputs}/other/profile.tap", "-o", "{work}/sum.tap"),
    "compare": case(
        "compare",
        "{inputs}/scan",
        "{inputs}/other",
        *_OUT,
        before=("compare", "{inputs}/other", "{inputs}/scan", *_OUT),
    ),
    "gate": case(
        "gate",
        "{inputs}/scan",
        "-o",
        "{work}/report.json",
        "--junit",
        "{work}/junit.xml",
        "--page",
        "{work}/page.html",
        "--no-read-documents",
    ),
    "filter": _again("filter", *_ALL, *_OUT, "--hold", "n_tokens < 20", "--detector", "none", "-j", "1", "-q"),
    "filter, by a scan": case(
        "filter", *_ALL, *_OUT, "--scan", "{inputs}/scan", "--hold", "n_tokens < 20", "-j", "1", "-q"
    ),
    "sample": _again(
        "sample",
        *_ALL,
        "-n",
        "7",
        "-o",
        "{work}/review.jsonl",
        "--csv",
        "{work}/review.csv",
        "--detector",
        "none",
        "-j",
        "1",
        "-q",
    ),
    "labels": case("labels", "{inputs}/reviewed.jsonl", "-o", "{work}/labelled.jsonl"),
    "mix": case(
        "mix",
        "{inputs}/scan",
        "--policy",
        "{inputs}/policy.toml",
        "-o",
        "{work}/weights.json",
        "--dolma",
        "{work}/mixer.json",
    ),
    "simulate": _again(
        "simulate",
        *_ALL,
        *_OUT,
        "--generations",
        "2",
        "--generation-tokens",
        "2000",
        "--write-text",
        "-j",
        "1",
        "-q",
        "--tail-mass",
        "0.2",
    ),
    "audit": case("audit", "{inputs}/tokens.npy", "-o", "{work}/batches.parquet", "--batch-tokens", "1000", "-q"),
    "audit, jsonl": case("audit", "{inputs}/tokens.npy", "-o", "{work}/batches.jsonl.zst", "--batch-tokens", "1000"),
    "report": case("report", "{inputs}/scan", "-o", "{work}/report.html"),
    "calibrate": case(
        "calibrate", "{inputs}/labelled.jsonl", "-o", "{work}/my.calibration", "--fpr", "0.05", "-j", "1", "-q"
    ),
    "anchor build": _again("anchor", "build", *_ALL, "-o", "{work}/my.anchor", "-j", "1", "-q", at=2),
    "anchor check": case(
        "anchor", "check", "{inputs}/human.anchor", "{inputs}/documents", "-o", "{work}/overlap.json", "-j", "1", "-q"
    ),
    "anchor import": case("anchor", "import", "{inputs}/model.arpa", "-o", "{work}/imported.anchor"),
    "anchor export": case("anchor", "export", "{inputs}/human.anchor", "--arpa", "{work}/model.arpa"),
    "tail weights": case(
        "tail", "weights", "{inputs}/anchored", "--anchor", "{inputs}/human.anchor", "-o", "{work}/weights"
    ),
    "tail probes": case(
        "tail",
        "probes",
        "{inputs}/documents",
        "--anchor",
        "{inputs}/human.anchor",
        "-o",
        "{work}/probes.jsonl",
        "--key",
        "{work}/key.jsonl",
    ),
}


def write_inputs(place: Path) -> None:
    """All that the commands read."""
    documents = place / "documents"
    documents.mkdir(parents=True)
    for number, name in enumerate(("a.jsonl.zst", "b.jsonl.zst")):
        (documents / name).write_bytes(
            frames_of([line for line in lines_of(number, 120) if line.startswith(b'{"id')], 40)
        )
    (place / "rules.toml").write_text(RULES)
    (place / "policy.toml").write_text("[mix]\nmax_synthetic = 0.9\n")
    options = {"threads": 1, "report": False, "detector": None, "batch_tokens": 2000}
    scan(documents, place / "scan", provenance=place / "rules.toml", **options)
    scan(documents / "a.jsonl.zst", place / "other", provenance=place / "rules.toml", **options)
    np.save(place / "tokens.npy", np.arange(30_000, dtype=np.uint16) % 977)
    build_anchor(documents, place / "human.anchor", tail_mass=0.5, threads=1, detector=None)
    scan(documents, place / "anchored", anchor=place / "human.anchor", **options)
    _write_labelled(place)
    sample_documents(documents, place / "review.jsonl", 10, threads=1, detector=None)
    items = [json.loads(line) for line in (place / "review.jsonl").read_bytes().splitlines()]
    for number, item in enumerate(items):
        item["label"] = ("human", "synthetic")[number % 2]
    (place / "reviewed.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    with (place / "model.arpa").open("w", encoding="utf-8") as stream:
        export_arpa(load_anchor(place / "human.anchor"), stream)


def _write_labelled(place: Path) -> None:
    random = np.random.default_rng(1)
    with (place / "labelled.jsonl").open("w", encoding="utf-8") as stream:
        for number in range(120):
            words = random.choice([*WORDS, ("delve", "said")[number % 2], "river"], 150).tolist()
            row = {"text": " ".join(words) + ".", "label": ("synthetic", "human")[number % 2], "group": number // 2}
            stream.write(json.dumps(row) + "\n")


@dataclass(frozen=True)
class Tree:
    """Files by their names, with what they hold but for figures of speed."""

    files: dict[str, bytes]

    @classmethod
    def of(cls, place: Path) -> "Tree":
        own = place / TEMPORARY
        paths = (path for path in sorted(place.rglob("*")) if path.is_file() and own not in path.parents)
        return cls({str(path.relative_to(place)): _without_speed(path) for path in paths})

    def results(self) -> dict[str, bytes]:
        """Of what lies under final names."""
        return {name: content for name, content in self.files.items() if not name.startswith(".") and "/." not in name}


_SPEED = re.compile(rb"<!-- performance: .*?<!-- end of performance -->", re.DOTALL)


def _without_speed(path: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix == ".html":
        return _SPEED.sub(b"", content)
    if path.suffix == ".prom":
        return b"\n".join(line for line in content.splitlines() if b"second" not in line and b"peak_memory" not in line)
    if path.suffix == ".json" and not any(part.startswith(".") for part in path.parts):
        found = json.loads(content)
        return json.dumps({key: value for key, value in found.items() if key != "performance"}).encode()
    return content


class Trial:
    """One command with faults in its calls, and what has to hold."""

    def __init__(self, machine: FaultyMachine, inputs: Path, place: Path, one: Case, over: bool, backend: str) -> None:
        """`over`: earlier results lie there already."""
        self._machine, self._inputs, self._case, self._backend = machine, inputs, one, backend
        self._work = place / WORK
        self._before = place / "before"
        shutil.rmtree(self._before, ignore_errors=True)
        self._reset()
        if over:
            done = self._run(one.before or one.command)
            assert done.code in (0, 1, 3), done
        shutil.copytree(self._work, self._before, symlinks=True)
        self.earlier = Tree.of(self._work)
        self.plain = self._run(one.command)
        assert self.plain.code in (0, 1, 3), self.plain
        self.wanted = Tree.of(self._work)

    def _reset(self) -> None:
        shutil.rmtree(self._work, ignore_errors=True)
        if self._before.exists():
            shutil.copytree(self._before, self._work, symlinks=True)
        (self._work / TEMPORARY).mkdir(parents=True, exist_ok=True)

    def _run(self, command: Sequence[str], fault: Fault | None = None) -> Ended:
        filled = [one.format(inputs=self._inputs, work=self._work) for one in command]
        return self._machine.run(*filled, below=self._work, fault=fault, backend=self._backend)

    def _names(self, line: str, fault: Fault) -> bool:
        if fault.kind == "allocate":
            return line.startswith("textassay: not enough memory")
        return os.strerror(fault.error) in line and str(self._work) in line

    def calls(self, kind: str) -> int:
        self._reset()
        return self._run(self._case.command, Fault(kind)).calls

    def wrong(self, fault: Fault) -> Iterator[str]:
        """What does not hold with this fault."""
        self._reset()
        done = self._run(self._case.command, fault)
        found = Tree.of(self._work)
        complaints = [line for line in done.stderr.splitlines() if not line.startswith("textassay: note: ")]
        if found.results() == self.wanted.results():  # what failed came behind them, or did not matter
            if "Traceback" in done.stderr or "ignored" in done.stderr:
                yield f"fine, but it says {done.stderr!r}"
        else:
            if done.code != 4:
                yield f"wanted exit code 4, found {done.code}: {done.stderr[-300:]!r}"
            if "Traceback" in done.stderr or "ignored" in done.stderr or "terminate" in done.stderr:
                yield f"a traceback: {done.stderr[-1500:]}"
            elif not any(self._names(line, fault) for line in complaints):
                yield f"wanted a line that names path and reason, found {done.stderr[-500:]!r}"
        for name, content in found.results().items():
            if content not in (self.earlier.files.get(name), self.wanted.files.get(name)):
                yield f"{name} is neither what it was nor what it should be"
        if lost := [name for name in self.earlier.results() if name in self.wanted.files and name not in found.files]:
            yield f"lost: {lost[0]}"
        again = self._run(self._case.command)
        if again.code != self.plain.code:
            yield f"the second time: wanted exit code {self.plain.code}, found {again.code}: {again.stderr[-500:]!r}"
        elif differing := unlike(Tree.of(self._work).files, self.wanted.files):
            yield f"the second time: differs in {differing[:3]}"


def unlike(found: dict[str, bytes], wanted: dict[str, bytes]) -> list[str]:
    return sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))


def sampled(calls: int, most: int) -> list[int]:
    """At most so many of 1 to `calls`, the first and the last among them."""
    return sorted({round(1 + at * (calls - 1) / max(1, most - 1)) for at in range(min(calls, most))})


def packed(lines: Sequence[bytes]) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(b"".join(lines))
