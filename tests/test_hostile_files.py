"""Files from strangers: every format that is read, and the same attacks on each. A new format is one line in FORMATS."""

import csv
import gzip
import io
import json
import os
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import tokenizers
import zstandard
from typer.testing import CliRunner

import textassay as ta
from test_calibrate import SETTINGS, records
from textassay.anchor import load_anchor
from textassay.anchor.arpa import export_arpa, import_arpa
from textassay.calibration import load_calibration
from textassay.calibration.build import calibrate
from textassay.calibration.file import digest_of, text_of
from textassay.cli.app import app
from textassay.cli.settings import load_settings
from textassay.detector import Detector
from textassay.dolma import write_attributes
from textassay.errors import ScanInterrupted, TextassayError
from textassay.filtering import filter_shards
from textassay.gate_policy import GatePolicy
from textassay.gating import gate
from textassay.labels import take_labels
from textassay.lexicon import load_lexicon
from textassay.merging import merge_profiles
from textassay.mixing import MixPolicy
from textassay.patterns import check_backtracking
from textassay.provenance import ProvenanceRules
from textassay.report.writing import write_report
from textassay.sampling import sample_documents
from textassay.shards import PlanRecord
from textassay.simulate.frozen import FrozenModel
from textassay.status import scan_status
from textassay.tail_probes import make_probes, read_answers, read_probes, write_probes
from textassay.untrusted import parse_json

ROOT = Path(__file__).parent.parent
MEMORY = 2 << 30
"""Address space of a child that reads a bomb: the interpreter, its libraries and a little."""


def made_up(n: int) -> list[str]:
    """Sentences of words of which few are frequent and many rare."""
    random = np.random.default_rng(0)
    syllables = [a + b for a in "bdfgklmnprst" for b in "aeiou"]
    words = ["".join(random.choice(syllables, 3)) for _ in range(400)]
    texts = []
    for _ in range(n):
        sentences = (
            " ".join(words[min(int(w), 399)] for w in random.zipf(1.3, 12)).capitalize() + "." for _ in range(4)
        )
        texts.append(" ".join(sentences))
    return texts


TEXTS = made_up(150)
RULES = """
source = "source"
[[rule]]
label = "synthetic_known"
name = "by model"
field = "model"
matches = "gpt|claude"
"""
POLICY = """
mode = "monitor"
[mattr]
min = 0.1
[batch_entropy_bits]
min = 1.0
allowed = 0.1
[malformed_share]
max = 0.5
[synthetic_ratio]
max = 0.9
by = "labels"
[[limit]]
figure = "corpus.n_tokens"
min = 1
[mix]
max_synthetic = 0.9
min_human_verified = 0.0
"""


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    """One of each format, as textassay writes it."""
    folder = tmp_path_factory.mktemp("good")
    (folder / "rules.toml").write_text(RULES)
    (folder / "policy.toml").write_text(POLICY)
    (folder / "textassay.toml").write_text('threads = 1\n[scan]\nsignals = "default"\n')
    (folder / "markers.txt").write_text("delve\nit's worth noting  # both apostrophes\n")
    lines = [
        {"id": f"d{i}", "text": text, "source": f"s{i % 2}", "model": "gpt" if i % 5 == 0 else None}
        for i, text in enumerate(TEXTS)
    ]
    corpus = folder / "corpus.jsonl"
    corpus.write_bytes(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    ta.build_anchor(corpus, folder / "a.anchor", threads=1)
    with (folder / "model.arpa").open("w", encoding="utf-8") as stream:
        export_arpa(load_anchor(folder / "a.anchor"), stream)
    options = {"provenance": folder / "rules.toml", "batch_tokens": 100, "threads": 1}
    ta.scan(corpus, folder / "out", **options)
    (folder / "documents").mkdir()
    ta.scan(shutil.copy2(corpus, folder / "documents"), folder / "lines", documents="jsonl", **options)
    ta.scan(corpus, folder / "bounded", max_types=8, threads=1)
    ta.scan_shard(corpus, folder / "shards", "0/1", threads=1)
    (folder / "bad.jsonl").write_bytes(b'{"text": 1}\n{"text"\n' + corpus.read_bytes())
    ta.scan(folder / "bad.jsonl", folder / "bad", threads=1)
    (folder / "origin").write_text(str(corpus))
    with pytest.raises(ScanInterrupted):
        ta.scan(corpus, folder / "stopped", threads=1, should_stop=lambda: True)
    _write_tokenizer(folder / "tokenizer.json")
    items, _ = make_probes(corpus, folder / "a.anchor")
    write_probes(items, folder / "probes.jsonl")
    write_probes(items, folder / "hidden.jsonl", folder / "answers.jsonl")
    sample_documents(corpus, folder / "sample.jsonl", 8, sheet=folder / "sheet.csv", threads=1)
    _fill_in(folder / "sample.jsonl", folder / "sheet.csv")
    labelled = folder / "labelled.jsonl"
    labelled.write_bytes(b"".join(json.dumps(row).encode() + b"\n" for row in records(60)))
    calibrate(labelled, **SETTINGS).save(folder / "calibration.json")
    shipped = ROOT / "python" / "textassay" / "detectors" / "en-1"
    shutil.copytree(shipped, folder / "detector")
    return folder


def _write_tokenizer(path: Path) -> None:
    trained = tokenizers.Tokenizer(tokenizers.models.BPE())
    trained.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.train_from_iterator(TEXTS, tokenizers.trainers.BpeTrainer(vocab_size=300, show_progress=False))
    trained.save(str(path))


def _fill_in(sample: Path, sheet: Path) -> None:
    items = [json.loads(line) | {"label": "human"} for line in sample.read_bytes().splitlines()]
    sample.write_bytes(b"".join(json.dumps(item).encode() + b"\n" for item in items))
    rows = list(csv.DictReader(io.StringIO(sheet.read_text("utf-8"))))
    with sheet.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(row | {"label": "human"} for row in rows)


# --- how JSON lies in a file: an attack on it has to get past lengths and checksums


@dataclass(frozen=True)
class Envelope:
    """`opened` gives the JSON of a file, `sealed` the file with other JSON, as if it had been written so."""

    opened: Callable[[bytes], bytes]
    sealed: Callable[[bytes, bytes], bytes]


def _tap_header(data: bytes) -> bytes:
    return data[16 : 16 + struct.unpack_from("<I", data, 12)[0]]


def _with_tap_header(data: bytes, header: bytes) -> bytes:
    """The digest at the end is over all, so it is made anew: nothing but the content may give the attack away."""
    rest = data[16 + len(_tap_header(data)) : -16]
    head = data[:12] + struct.pack("<I", len(header)) + header
    digest = blake2b(head, digest_size=16)
    at = 0
    while rest[at : at + 4] != b"END ":
        kind, n, length, stored, _ = struct.unpack_from("<4sQQQI", rest, at)
        at += struct.calcsize("<4sQQQI")
        digest.update(kind + struct.pack("<QQ", n, length) + zstandard.decompress(rest[at : at + stored]))
        at += stored
    digest.update(rest[at:])
    return head + rest + digest.digest()


def _anchor_header(data: bytes) -> bytes:
    _, _, length, offset, _ = struct.unpack_from("<8sIIQI", data)
    return data[offset : offset + length]


def _with_anchor_header(data: bytes, header: bytes) -> bytes:
    magic, version, _, offset, _ = struct.unpack_from("<8sIIQI", data)
    preamble = struct.pack("<8sIIQI", magic, version, len(header), offset, zlib.crc32(header))
    return preamble + data[len(preamble) : offset] + header


def _sealed_calibration(_: bytes, text: bytes) -> bytes:
    try:
        content = parse_json(text)
    except ValueError:
        return text
    if not isinstance(content, dict):
        return text
    return text_of(content | {"digest": digest_of(content)}).encode()


def _unpacked(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read()


PLAIN = Envelope(lambda data: data, lambda _, text: text)
FIRST_LINE = Envelope(lambda data: data.partition(b"\n")[0], lambda data, text: text + b"\n" + data.partition(b"\n")[2])
PACKED_LINE = Envelope(
    lambda data: FIRST_LINE.opened(_unpacked(data)),
    lambda data, text: zstandard.compress(FIRST_LINE.sealed(_unpacked(data), text)),
)
TAP = Envelope(_tap_header, _with_tap_header)
ANCHOR = Envelope(_anchor_header, _with_anchor_header)
CALIBRATION = Envelope(lambda data: data, _sealed_calibration)


# --- what is read, and how


@dataclass(frozen=True)
class Format:
    """`file` is attacked in a copy of what `good` made; `read` gets the folder; `command` does the same for a user."""

    name: str
    file: str
    read: Callable[[Path], Any]
    command: str
    json: Envelope | None = None
    is_toml: bool = False
    is_slow: bool = False
    """A tenth of the attacks that come by the dozen will do."""

    def __str__(self) -> str:
        return self.name


def _measured(folder: Path) -> None:
    anchor = load_anchor(folder / "a.anchor")
    anchor.describe(), anchor.identity(), anchor.profile
    ta.scan(folder / "corpus.jsonl", anchor=anchor, threads=1)
    export_arpa(anchor, io.StringIO())


def _filtered(folder: Path, scanned: str = "out") -> None:
    filter_shards(
        folder / "corpus.jsonl", folder / "new" / "filtered", scanned=folder / scanned, keep="n_tokens > 3", threads=1
    )


def _gone_on(folder: Path) -> None:
    """The status of a scan that was stopped, and the scan."""
    out = shutil.copytree(folder / "stopped", folder / "new" / "stopped")
    scan_status(out)
    ta.scan((folder / "origin").read_text(), out, threads=1)


def _tokenized(folder: Path) -> None:
    ta.measure(TEXTS[:2], "n_tokens", tokens="bpe", tokenizer=folder / "tokenizer.json")


def _options_of_commands() -> dict[str, dict[str, str]]:
    return {"scan": {"threads": "threads", "signals": "signals"}}


FORMATS = [
    Format("profile", "out/profile.tap", lambda f: ta.Profile.load(f / "out/profile.tap").summary(), "merge out/profile.tap", TAP),
    Format("profile past its limit", "bounded/profile.tap", lambda f: ta.Profile.load(f / "bounded/profile.tap").summary(), "merge bounded/profile.tap", TAP),
    Format("anchor", "a.anchor", _measured, "scan corpus.jsonl --anchor a.anchor", ANCHOR),
    Format("anchor of a simulation", "a.anchor", lambda f: FrozenModel(f / "a.anchor"), "simulate a.anchor -o new/s --generations 1 --generation-tokens 1000", ANCHOR),
    Format("anchor of probes", "a.anchor", lambda f: make_probes(f / "corpus.jsonl", f / "a.anchor"), "tail probes corpus.jsonl --anchor a.anchor -o new/p.jsonl", ANCHOR, is_slow=True),
    Format("anchor of a check", "a.anchor", lambda f: ta.check_anchor(f / "a.anchor", f / "corpus.jsonl").report, "anchor check a.anchor corpus.jsonl", ANCHOR),
    Format("anchor, looked at", "a.anchor", lambda f: load_anchor(f / "a.anchor").verify(), "anchor info a.anchor", ANCHOR),
    Format("ARPA", "model.arpa", lambda f: import_arpa(f / "model.arpa", f / "new" / "b.anchor"), "anchor import model.arpa -o new/b.anchor"),
    Format("calibration", "calibration.json", lambda f: load_calibration(f / "calibration.json"), "scan corpus.jsonl --detector calibration.json", CALIBRATION),
    Format("detector", "detector/model.json", lambda f: Detector.load(f / "detector"), "scan corpus.jsonl --detector detector", PLAIN),
    Format("detector weights", "detector/weights.bin.zst", lambda f: Detector.load(f / "detector"), "scan corpus.jsonl --detector detector"),
    Format("gate policy", "policy.toml", lambda f: GatePolicy.load(f / "policy.toml"), "gate out --policy policy.toml", is_toml=True),
    Format("mix policy", "policy.toml", lambda f: MixPolicy.load(f / "policy.toml"), "mix out --policy policy.toml", is_toml=True),
    Format("provenance rules", "rules.toml", lambda f: ProvenanceRules.load(f / "rules.toml"), "scan corpus.jsonl --provenance rules.toml", is_toml=True),
    Format("settings", "textassay.toml", lambda f: load_settings(f / "textassay.toml", _options_of_commands()), "--config textassay.toml scan corpus.jsonl", is_toml=True),
    Format("lexicon", "markers.txt", lambda f: load_lexicon(f / "markers.txt"), "scan corpus.jsonl --markers markers.txt"),
    Format("probes", "probes.jsonl", lambda f: read_probes(f / "probes.jsonl"), "tail score probes.jsonl answers.jsonl", FIRST_LINE),
    Format("answers", "answers.jsonl", lambda f: read_answers(f / "answers.jsonl"), "tail score probes.jsonl answers.jsonl", FIRST_LINE),
    Format("labels", "sample.jsonl", lambda f: take_labels(f / "sample.jsonl", f / "new" / "labelled.jsonl"), "labels sample.jsonl", FIRST_LINE),
    Format("sheet of labels", "sheet.csv", lambda f: take_labels(f / "sample.jsonl", sheet=f / "sheet.csv"), "labels sample.jsonl --csv sheet.csv"),
    Format("plan of shards", "shards/plan.json", lambda f: PlanRecord.read(f / "shards"), "merge shards", PLAIN),
    Format("summary of a gate", "out/summary.json", lambda f: gate(f / "out", f / "policy.toml"), "gate out --policy policy.toml", PLAIN),
    Format("summary of a merge", "out/summary.json", lambda f: merge_profiles([f / "out"]), "merge out", PLAIN),
    Format("summary of a report", "out/summary.json", lambda f: write_report(f / "out", f / "new" / "r.html"), "report out -o new/r.html", PLAIN, is_slow=True),
    Format("manifest of a gate", "out/manifest.json", lambda f: gate(f / "out", f / "policy.toml"), "gate out --policy policy.toml", PLAIN),
    Format("manifest of a filter", "out/manifest.json", _filtered, "filter corpus.jsonl --scan out --keep n_tokens>3 -o new/filtered", PLAIN),
    Format("manifest of a report", "out/manifest.json", lambda f: write_report(f / "out", f / "new" / "r.html"), "report out -o new/r.html", PLAIN, is_slow=True),
    Format("manifest of attributes", "lines/manifest.json", lambda f: write_attributes([f / "lines"]), "mix lines --policy policy.toml --dolma new/d --attributes", PLAIN),
    Format("rows of documents", "out/documents/000000-corpus.parquet", _filtered, "filter corpus.jsonl --scan out --keep n_tokens>3 -o new/filtered"),
    Format("lines of documents", "lines/documents/000000-corpus.jsonl.zst", lambda f: _filtered(f, "lines"), "filter corpus.jsonl --scan lines --keep n_tokens>3 -o new/filtered", PACKED_LINE),
    Format("rows of batches", "out/batches.parquet", lambda f: gate(f / "out", f / "policy.toml"), "gate out --policy policy.toml"),
    Format("lines of batches", "lines/batches.jsonl.zst", lambda f: gate(f / "lines", f / "policy.toml"), "gate lines --policy policy.toml", PACKED_LINE),
    Format("state of a scan", "stopped/.partial/state.json", _gone_on, "status stopped", PLAIN),
    Format("run of a scan", "stopped/.partial/run.json", _gone_on, "status stopped", PLAIN),
    Format("manifest of a status", "out/manifest.json", lambda f: scan_status(f / "out"), "status out", PLAIN),
    Format("tokenizer", "tokenizer.json", _tokenized, "scan corpus.jsonl --tokens bpe --tokenizer tokenizer.json"),
    Format("errors", "bad/errors.jsonl", lambda f: write_report(f / "bad", f / "new" / "r.html"), "report bad -o new/r.html", is_slow=True),
]  # fmt: skip


# --- attacks


def _deep(data: bytes) -> bytes:
    return b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


def _first_value(data: bytes, value: bytes) -> bytes:
    """The object with another value of its first number, or else of its first key."""
    content = json.loads(data)
    path = next((path for path, old in leaves(content) if type(old) in (int, float)), None) or next(leaves(content))[0]
    mark = "a mark that stands nowhere else"
    return json.dumps(replaced(content, path, mark)).encode().replace(json.dumps(mark).encode(), value, 1)


JSON_ATTACKS = {
    "nested": _deep,
    "many digits": lambda data: _first_value(data, b"1" * 1_000_000),
    "some digits": lambda data: _first_value(data, b"1" * 400),
    "NaN": lambda data: _first_value(data, b"NaN"),
    "infinity": lambda data: _first_value(data, b"-Infinity"),
    "overflow": lambda data: _first_value(data, b"1e999"),
    "half a character": lambda data: _first_value(data, b'"\\ud800"'),
    "key twice": lambda data: data.replace(b"{", b"{" + json.dumps(next(iter(json.loads(data)))).encode() + b":1,", 1),
    "UTF-16": lambda data: data.decode().encode("utf-16"),
    "no UTF-8": lambda data: data.replace(b'"', b'"\xff', 1),
    "byte order mark": lambda data: b"\xef\xbb\xbf" + data,
    "a list": lambda data: b"[" + data + b"]",
    "a number": lambda data: b"1",
    "null": lambda data: b"null",
    "no key": lambda data: b"{}",
}
"""All are refused, whatever the format."""

ESCAPE = "\x1b]0;owned\x07\x9b31m\u202egnp.\n::error::[red]x[/red]<script>"
NASTY = [
    None,
    True,
    -1,
    2**64,
    10**30,
    1e308,
    0.5,
    "",
    ESCAPE,
    "../../x",
    "/etc/passwd",
    "a\0b",
    [],
    {},
    [[1]],
    {"a": 1},
]
"""In the place of any value: the reader refuses it, or can live with it."""


TOML_ATTACKS = {
    "nested": "a = " + "[" * 100_000,
    "nested tables": "a = " + "{b = " * 10_000,
    "dotted key": ".".join(["a"] * 100_000) + " = 1",
    "dotted quoted key": " . ".join(['"a"'] * 100_000) + " = 1",
    "dotted table": "[" + ".".join(["a"] * 100_000) + "]",
    "many digits": "threads = " + "1" * 1_000_000,
    "hexadecimal digits": "threads = 0x" + "1" * 100_000,
    "beyond 64 bits": "threads = 9223372036854775808",
    "key twice": "a = 1\na = 2",
    "half a character": 'a = "\\ud800"',
    "control character": 'a = "\x1b"',
    "unknown key": '"\\u001b]0;owned\\u0007" = 1',
    "table for a value": "[mode]\n[default]\n[signals]\nx = 1\n[max_synthetic]",
    "not closed": 'a = """' + '\\"' * 200_000,
    "16 MiB": "#" * (16 << 20),
}


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """All values inside of a JSON value, containers too, with their paths."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*path, key), one
        yield from leaves(one, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def without(value: Any, path: tuple[Any, ...]) -> Any:
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = without(value[path[0]], path[1:])
    return copy


def byte_attacks(data: bytes) -> Iterator[tuple[str, bytes]]:
    yield "empty", b""
    yield "NUL", bytes(4096)
    yield "0xFF", b"\xff" * 4096
    yield "PNG", b"\x89PNG\r\n\x1a\n" + bytes(100)
    yield "zstd of nothing", zstandard.compress(b"")
    yield "one line", b"a" * (1 << 21)
    yield "twice", data + data
    for size in sorted({*range(1, 24), *np.linspace(24, len(data) - 1, 24, dtype=int).tolist()}):
        yield f"cut at {size}", data[:size]
    random = np.random.default_rng(len(data))
    for place in random.integers(0, len(data), 60).tolist():
        flipped = bytearray(data)
        flipped[place] ^= 1 << int(random.integers(8))
        yield f"bit of byte {place}", bytes(flipped)
    for place in random.integers(0, max(1, min(len(data), 200) - 8), 30).tolist():
        yield f"large number at {place}", data[:place] + b"\xff" * 7 + b"\x7f" + data[place + 8 :]


# --- the tests


@pytest.fixture
def stage(good, tmp_path) -> Callable[[Format], Path]:
    """A copy of what is good, in a folder of which nothing may get out."""

    def copied(_: Format) -> Path:
        folder = tmp_path / "around" / "inner"
        shutil.copytree(good, folder)
        (folder / "new").mkdir()
        return folder

    return copied


def outcome(form: Format, folder: Path) -> str:
    """`read`, or what the error says, which must be one of ours and nothing else."""
    shutil.rmtree(folder / "new")
    (folder / "new").mkdir()
    try:
        form.read(folder)
    except TextassayError as error:
        assert str(error)
        return str(error)
    return "read"


def outside(folder: Path) -> list[str]:
    return sorted(os.listdir(folder.parent))


@pytest.mark.parametrize("form", FORMATS, ids=str)
def test_what_is_good_is_read(form, stage):
    """Or an attack would be refused for another reason than itself."""
    assert outcome(form, stage(form)) == "read"


@pytest.mark.parametrize("form", [form for form in FORMATS if form.json], ids=str)
def test_json_that_no_two_programs_read_alike(form, stage):
    folder = stage(form)
    path = folder / form.file
    data = path.read_bytes()
    lived_with = []
    for name, attack in JSON_ATTACKS.items():
        path.write_bytes(form.json.sealed(data, attack(form.json.opened(data))))
        if outcome(form, folder) == "read":
            lived_with.append(name)
    assert lived_with == []
    assert outside(folder) == ["inner"]


@pytest.mark.parametrize("form", [form for form in FORMATS if form.json], ids=str)
def test_json_of_other_values(form, stage):
    """Many values in turn, and keys that are missing: refused, or something that can be lived with."""
    folder = stage(form)
    path = folder / form.file
    data = path.read_bytes()
    content = json.loads(form.json.opened(data))
    paths = [place for place, _ in leaves(content)]
    random = np.random.default_rng(len(data))
    number = min(len(paths), LEAVES // 8 if form.is_slow else LEAVES)
    for place in (paths[i] for i in sorted(random.choice(len(paths), number, replace=False).tolist())):
        nasty = [NASTY[i] for i in random.choice(len(NASTY), 2, replace=False).tolist()]
        for attacked in (without(content, place), *(replaced(content, place, value) for value in nasty)):
            text = json.dumps(attacked, separators=(",", ":"), sort_keys=True).encode()
            path.write_bytes(form.json.sealed(data, text))
            outcome(form, folder)
    assert outside(folder) == ["inner"]


LEAVES = 25
"""Places in a file's JSON that are attacked."""


@pytest.mark.parametrize("form", FORMATS, ids=str)
def test_bytes(form, stage):
    """Cut, flipped, overwritten, or something else altogether."""
    folder = stage(form)
    path = folder / form.file
    data = path.read_bytes()
    for _, attacked in list(byte_attacks(data))[:: 12 if form.is_slow else 2]:
        path.write_bytes(attacked)
        outcome(form, folder)
    assert outside(folder) == ["inner"]


@pytest.mark.parametrize("form", [form for form in FORMATS if form.is_toml], ids=str)
def test_toml(form, stage):
    folder = stage(form)
    lived_with = []
    for name, attack in TOML_ATTACKS.items():
        (folder / form.file).write_text(attack, "utf-8")
        if outcome(form, folder) == "read":
            lived_with.append(name)
    assert lived_with == []


@pytest.mark.parametrize("form", FORMATS, ids=str)
def test_what_a_user_sees(form, stage, monkeypatch):
    """One line, exit code 2 (3 for a damaged profile), no traceback, and nothing that acts on a terminal."""
    folder = stage(form)
    path = folder / form.file
    data = path.read_bytes()
    attacks = [b"", data[: len(data) // 2]]
    if form.json is not None:
        attacks += [form.json.sealed(data, JSON_ATTACKS["nested"](form.json.opened(data)))]
    if form.is_toml:
        attacks += [TOML_ATTACKS[name].encode() for name in ("unknown key", "nested", "hexadecimal digits")]
    monkeypatch.chdir(folder)
    for attacked in attacks:
        path.write_bytes(attacked)
        done = CliRunner().invoke(app, form.command.split())
        assert done.exit_code in (0, 1, 2, 3), (done.output, done.exception)
        assert "Traceback" not in done.output and "bug in textassay" not in done.output
        assert_harmless(done.output)
    assert outside(folder) == ["inner"]


def assert_harmless(shown: str) -> None:
    """No control character, no mark of direction: what is on a screen is what stands there."""
    assert not [char for char in shown if char not in "\n\N{NO-BREAK SPACE}" and not char.isprintable()]


# --- names and places


HOSTILE_NAMES = [
    "../../x.parquet",
    "/etc/passwd",
    "documents/../x",
    "documents/..",
    "documents/a/b",
    "documents/a\nb",
    "x",
    "",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_no_name_in_a_manifest_leads_outside(name, stage):
    folder = stage(FORMATS[0])
    manifest = json.loads((folder / "out/manifest.json").read_bytes())
    manifest["inputs"][0]["documents"] = name
    (folder / "out/manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(TextassayError, match="documents"):
        _filtered(folder)
    assert list((folder / "new").rglob("*.zst")) == []


def test_two_inputs_cannot_have_one_file_of_rows(stage):
    """Or what is made of one would take the place of what is made of the other."""
    folder = stage(FORMATS[0])
    manifest = json.loads((folder / "out/manifest.json").read_bytes())
    manifest["inputs"] *= 2
    (folder / "out/manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(TextassayError, match="the same rows"):
        _filtered(folder)


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "a" * 31, "", "A" * 32, "0" * 31 + "\n"])
def test_no_name_in_a_plan_leads_outside(name, stage):
    folder = stage(FORMATS[0])
    plan = json.loads((folder / "shards/plan.json").read_bytes())
    plan["shards"][0]["name"] = name
    (folder / "shards/plan.json").write_text(json.dumps(plan))
    with pytest.raises(TextassayError, match="shard 0"):
        PlanRecord.read(folder / "shards")


@pytest.mark.parametrize("below", ["../../profile", "missing.jsonl"])
def test_attributes_are_written_beside_inputs_only(below, stage):
    folder = stage(FORMATS[0])
    (folder / "victim").mkdir()
    (folder / "victim" / "profile").write_text("mine")
    (folder / "documents" / "deep").mkdir()
    manifest = json.loads((folder / "lines/manifest.json").read_bytes())
    # From attributes/textassay/ two steps up, beside documents/.
    manifest["inputs"][0]["path"] = f"{folder}/victim/documents/{below}"
    (folder / "lines/manifest.json").write_text(json.dumps(manifest))
    (folder / "victim/documents/x").mkdir(parents=True)
    with pytest.raises(TextassayError, match="wanted an input that is there"):
        write_attributes([folder / "lines"])
    assert (folder / "victim" / "profile").read_text() == "mine" and not (folder / "victim/attributes").exists()


def test_a_link_in_the_folder_of_results_is_not_followed(stage):
    """`.partial` is emptied by whoever writes there: what a stranger's link leads to must be left alone."""
    folder = stage(FORMATS[0])
    victim = folder / "victim"
    victim.mkdir()
    (victim / "letters").write_text("mine")
    (folder / "out/.partial").symlink_to(victim)
    with pytest.raises(TextassayError, match="symbolic link"):
        ta.scan(folder / "corpus.jsonl", folder / "out", threads=1)
    (folder / "out/.partial").unlink()
    (folder / "out/.partial").mkdir()
    (folder / "out/.partial/lock").symlink_to(victim / "made")
    with pytest.raises(TextassayError):
        ta.scan(folder / "corpus.jsonl", folder / "out", threads=1)
    assert sorted(os.listdir(victim)) == ["letters"]


def test_links_in_an_unfinished_scan_are_refused(stage):
    """What it goes on with is opened to write, and cut to a length that its state names."""
    folder = stage(FORMATS[0])
    (folder / "mine").write_text("mine")
    for name in ("outcomes.spool", "documents", "summary.json"):
        path = folder / "stopped/.partial" / name
        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)
        path.symlink_to(folder / "mine")
        with pytest.raises(TextassayError, match="symbolic link"):
            ta.scan((folder / "origin").read_text(), folder / "stopped", threads=1)
        path.unlink()
    assert (folder / "mine").read_text() == "mine"


def test_links_in_the_place_of_results_are_replaced(stage):
    folder = stage(FORMATS[0])
    (folder / "mine").write_text("mine")
    (folder / "out/summary.json").unlink()
    (folder / "out/summary.json").symlink_to(folder / "mine")
    ta.scan(folder / "corpus.jsonl", folder / "out", threads=1)
    assert (folder / "mine").read_text() == "mine" and not (folder / "out/summary.json").is_symlink()


# --- what is shown


def hostile_corpus(folder: Path) -> Path:
    """Names, ids, sources, models and words that act on whoever prints them."""
    rows = [
        {"id": ESCAPE, "text": f"{text} {ESCAPE} zz\u202ezz::error::x", "source": ESCAPE, "model": "gpt" + ESCAPE}
        for text in TEXTS
    ]
    path = folder / f"{ESCAPE.replace('/', '')}.jsonl"
    path.write_bytes(b"".join(json.dumps(row).encode() + b"\n" for row in rows) + b"{\n")
    return path


COMMANDS = [
    "scan CORPUS -o new/s --provenance rules.toml --batch-tokens 100",
    "scan CORPUS --provenance rules.toml --json",
    "merge new/s",
    "gate new/s --policy policy.toml",
    "gate new/s --policy strict.toml --junit new/j.xml -o new/g.json",
    "compare out new/s",
    "compare out new/s --json",
    "filter CORPUS --scan new/s --keep n_tokens>3 -o new/f",
    "sample CORPUS -n 5 -o new/sample.jsonl --csv new/sheet.csv",
    "mix new/s --policy policy.toml",
    "anchor build CORPUS -o new/h.anchor",
    "anchor info new/h.anchor",
    "anchor check new/h.anchor CORPUS",
    "calibrate CORPUS --label-field source",
    "scan CORPUS.missing",
    "gate CORPUS",
    "report CORPUS",
]


def test_nothing_that_is_printed_acts_on_a_terminal(stage, monkeypatch):
    folder = stage(FORMATS[0])
    corpus = hostile_corpus(folder)
    (folder / "strict.toml").write_text(
        '[mattr]\nmin = 2\n[synthetic_ratio]\nmax = 0\nby = "labels"\n[malformed_share]\nmax = 0\n'
    )
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(folder / "step.md"))
    for command in COMMANDS:
        words = [word.replace("CORPUS", str(corpus)) for word in command.split()]
        done = CliRunner().invoke(app, words)
        assert done.exit_code in (0, 1, 2, 3), (command, done.output, done.exception)
        assert "Traceback" not in done.output, command
        assert_harmless(done.output)
        assert not [line for line in done.output.splitlines() if line.lstrip().startswith("::")], command
        assert "##[" not in done.output
    page = (folder / "new/s/report.html").read_text("utf-8")
    step = (folder / "step.md").read_text("utf-8")
    for text in (page, step):
        assert "<script>x" not in text and "[red]x[/red]<script>" not in text
        assert_harmless(text)
    assert "::error" not in step
    ElementTree.parse(folder / "new/j.xml")
    rows = list(csv.DictReader(io.StringIO((folder / "new/sheet.csv").read_text("utf-8"))))
    assert len(rows) == 5 and not [row for row in rows if row["text"].startswith(("=", "+", "-", "@"))]


def test_markup_is_shown_as_it_stands(stage, monkeypatch):
    """A note of an anchor is a stranger's."""
    folder = stage(FORMATS[0])
    monkeypatch.chdir(folder)
    ta.build_anchor("corpus.jsonl", "noted.anchor", note="[red]alarm[/red] :warning:", threads=1)
    done = CliRunner().invoke(app, ["anchor", "info", "noted.anchor"])
    assert "[red]alarm[/red] :warning:" in done.output


# --- bombs: in a child whose memory is limited


def _in_a_child(folder: Path, code: str, timeout: float = 60) -> str:
    """Prints what error came up."""
    if "ASAN_OPTIONS" in os.environ:
        pytest.skip("AddressSanitizer takes more address space than the limit leaves")
    program = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({MEMORY}, {MEMORY}))
import textassay as ta
from textassay.errors import ScanInterrupted, TextassayError
from pathlib import Path
folder = Path(sys.argv[1])
try:
    {code}
    print("read")
except TextassayError as error:
    print(error)
"""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        capture_output=True,
        check=False,
        text=True,
        timeout=timeout,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def packed_zeros(size: int) -> bytes:
    compressor = zstandard.ZstdCompressor(level=1).compressobj()
    piece = b"0" * (1 << 24)
    return b"".join(compressor.compress(piece) for _ in range(size >> 24)) + compressor.flush()


def test_a_line_of_3_GiB(stage):
    folder = stage(FORMATS[0])
    (folder / "lines/documents/000000-corpus.jsonl.zst").write_bytes(packed_zeros(3 << 30))
    code = 'ta.filter_shards(folder / "documents/corpus.jsonl", folder / "new/f", scanned=folder / "lines", keep="n_tokens > 3", threads=1)'
    assert "wanted rows of at most" in _in_a_child(folder, code)


def test_an_arpa_file_that_expands_without_end(stage):
    folder = stage(FORMATS[0])
    line = b"-1.0\ta" + b"b" * 4000 + b"\t-1.0\n"
    head = b"\\data\\\nngram 1=9999999\nngram 2=1\n\n\\1-grams:\n"
    (folder / "model.arpa").write_bytes(gzip.compress(head) + gzip.compress(line * 2000) * 200)
    code = 'from textassay.anchor.arpa import import_arpa; import_arpa(folder / "model.arpa", folder / "new/a")'
    assert "expands to more than" in _in_a_child(folder, code)


def test_one_text_in_every_row(stage):
    """A dictionary of one text of 16 MiB, and 100,000 rows that are it: 1.6 TB once it is unpacked."""
    folder = stage(FORMATS[0])
    path = folder / "out/documents/000000-corpus.parquet"
    rows = pyarrow.parquet.read_table(path)
    long = pyarrow.DictionaryArray.from_arrays(pyarrow.array(np.zeros(100_000, np.int32)), ["a" * (1 << 24)])
    columns = {
        name: pyarrow.chunked_array([pyarrow.nulls(100_000, kind.type)])
        for name, kind in zip(rows.column_names, rows.schema, strict=True)
    }
    pyarrow.parquet.write_table(pyarrow.table(columns | {"id": long}), path)
    code = 'ta.filter_shards(folder / "corpus.jsonl", folder / "new/f", scanned=folder / "out", keep="id == \'a\'", threads=1)'
    assert "wanted texts of at most" in _in_a_child(folder, code)


ENDLESS = {
    "policy.toml": "ta.GatePolicy.load(path)",
    "rules.toml": "ta.ProvenanceRules.load(path)",
    "markers.txt": "from textassay.lexicon import load_lexicon; load_lexicon(path)",
    "calibration.json": "ta.Calibration.load(path)",
    "sample.jsonl": "ta.take_labels(path)",
    "probes.jsonl": "from textassay.tail_probes import read_probes; read_probes(path)",
    "model.arpa": "from textassay.anchor.arpa import import_arpa; import_arpa(path, folder / 'new/a')",
    "a.anchor": "ta.load_anchor(path)",
    "out/profile.tap": "ta.Profile.load(path)",
    "out/summary.json": "ta.merge_profiles([folder / 'out'])",
    "out/manifest.json": "ta.gate(folder / 'out')",
    "shards/plan.json": "ta.merge_profiles([folder / 'shards'])",
}


def test_files_without_an_end(stage):
    """/dev/zero by a link of each name: read up to a bound, or refused."""
    folder = stage(FORMATS[0])
    for name in ENDLESS:
        (folder / name).unlink()
        (folder / name).symlink_to("/dev/zero")
    calls = "; ".join(
        f"failed(lambda path: tried({call!r}, path), folder / {name!r})" for name, call in ENDLESS.items()
    )
    code = f"""
    def tried(call, path):
        exec(call, {{"ta": ta, "folder": folder, "path": path}})
    def failed(call, path):
        try:
            call(path)
        except (TextassayError, OSError) as error:
            print(path, type(error).__name__, error)
        else:
            raise AssertionError(path)
    {calls}"""
    assert _in_a_child(folder, code).count("Error") >= len(ENDLESS)


def test_pipes_in_a_folder_of_results_are_not_waited_for(stage):
    folder = stage(FORMATS[0])
    for name in ("summary.json", "errors.jsonl", "batches.parquet", "documents/000000-corpus.parquet"):
        (folder / "out" / name).unlink()
        os.mkfifo(folder / "out" / name)
    assert "regular file" in _in_a_child(folder, 'ta.gate(folder / "out")')
    code = 'ta.filter_shards(folder / "corpus.jsonl", folder / "new/f", scanned=folder / "out", keep="n_tokens > 3", threads=1)'
    assert "regular file" in _in_a_child(folder, code)


# --- patterns


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|a)*b", "(a|ab)*c", "(a?){50}a", "(?:a{0,99}){0,99}b", ".*.*.*.*x", "(.*)*", r"(\w+\s?)+$"]
)
def test_group_patterns_that_take_exponential_time_are_refused(pattern, good):
    with pytest.raises(TextassayError, match="group pattern"):
        calibrate(good / "labelled.jsonl", group_field="group", group_pattern=pattern, threads=1)


@pytest.mark.parametrize("pattern", ["^(.*)/[^/]+/[^/]+$", r"^g\d+", "(?i)^[a-z]+", "x|y", "^(?:abc)+"])
def test_others_are_followed(pattern):
    check_backtracking(pattern)


def test_a_repeat_of_a_million_digits(stage):
    folder = stage(FORMATS[0])
    (folder / "rules.toml").write_text(RULES.replace("gpt|claude", "a{" + "9" * 100_000 + "}"))
    with pytest.raises(TextassayError, match="wanted a repeat"):
        ProvenanceRules.load(folder / "rules.toml")
