"""Files that earlier versions wrote: they are read, written again as they were, and newer ones are refused (docs/formats.md)."""

import importlib.util
import io
import json
import shutil
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import textassay as ta
from textassay import tap_format
from textassay.anchor import file as anchor_file
from textassay.anchor import load_anchor
from textassay.anchor.arpa import export_arpa
from textassay.calibration import load_calibration
from textassay.calibration.file import digest_of, text_of
from textassay.detector import FORMAT as DETECTOR_FORMAT
from textassay.detector import Detector
from textassay.errors import TextassayError
from textassay.folder import json_text
from textassay.labels import take_labels
from textassay.merging import merge_profiles
from textassay.report.writing import write_report
from textassay.scan_folder import ScanFolder, read_manifest
from textassay.shards import PlanRecord
from textassay.tail_probes import read_probes, score_probes

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests" / "data" / "golden"
PROFILES = ("profile-1.tap", "profile-bounded-1.tap", "profile-labelled-1.tap", "results-1/profile.tap")
RAISE = "the format has changed: raise its version, add golden files of the new one (tools/make_golden.py), keep reading the old"
VOLATILE = (".version", ".performance", ".shards[0].name")
"""What may differ between versions of textassay that write the same format: a shard's name is a digest of all settings there are."""


def the_tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_golden", ROOT / "tools" / "make_golden.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def anew(tmp_path_factory) -> Path:
    """What this version writes."""
    folder = tmp_path_factory.mktemp("anew")
    the_tool().main(folder)
    return folder


# --- read


FIGURES = {
    "profile-1.tap": (20, 960, True),
    "profile-bounded-1.tap": (20, 960, False),
    "profile-labelled-1.tap": (20, 960, True),
    "results-1/profile.tap": (30, 1440, True),
}


@pytest.mark.parametrize("name", PROFILES)
def test_profiles_are_read(backend, name):
    profile = ta.Profile.load(GOLDEN / name)
    totals = profile.totals()
    assert (totals["n_documents"], totals["n_tokens"], profile.is_exact) == FIGURES[name]
    # The digest is over all but the compression, so no version of zstd changes it.
    assert profile.digest() == (GOLDEN / name).read_bytes()[-16:].hex(), RAISE


def test_a_profile_is_written_as_it_was():
    """The header, which nothing compresses, byte by byte."""
    for name in PROFILES:
        data, again = (GOLDEN / name).read_bytes(), ta.Profile.load(GOLDEN / name).serialize()
        end = 16 + struct.unpack_from("<I", data, 12)[0]
        assert again[:end] == data[:end], RAISE


def test_the_anchor_is_read(backend):
    anchor = load_anchor(GOLDEN / "anchor-1.anchor")
    anchor.verify()
    about = anchor.describe()
    assert about["note"] == "golden" and about["totals"]["n_documents"] == 30
    assert anchor.profile is not None and anchor.profile.totals()["n_tokens"] == 1440
    table = ta.measure([anchor.word(5).decode() + " " + anchor.word(9).decode()], "perplexity,oov_rate", anchor=anchor)
    assert table["oov_rate"].tolist() == [0.0] and table["perplexity"][0] > 1
    export_arpa(anchor, io.StringIO())


def test_other_files_are_read():
    assert load_calibration(GOLDEN / "calibration-1.json").detector.is_calibrated
    assert len(PlanRecord.read(_plan_folder(GOLDEN)).shards) == 1
    probes = read_probes(GOLDEN / "probes-1.jsonl")
    assert score_probes(probes, {probe["id"]: probe["answer"] for probe in probes})["all"]["accuracy"] == 1
    assert {"labelled", "items"} <= set(read_sample(GOLDEN / "sample-1.jsonl"))


def _plan_folder(golden: Path) -> Path:
    return _copied(golden / "plan-1.json", "plan.json")


def _copied(file: Path, name: str) -> Path:
    folder = Path(_FOLDERS[-1]) / file.stem
    folder.mkdir(exist_ok=True)
    shutil.copy(file, folder / name)
    return folder


_FOLDERS: list[Path] = []


@pytest.fixture(autouse=True)
def scratch(tmp_path) -> Iterator[None]:
    _FOLDERS.append(tmp_path)
    yield
    _FOLDERS.pop()


def read_sample(path: Path) -> dict[str, Any]:
    items = [json.loads(line) | {"label": "human"} for line in path.read_bytes().splitlines()]
    filled = Path(_FOLDERS[-1]) / "filled.jsonl"
    filled.write_bytes(b"".join(json.dumps(item).encode() + b"\n" for item in items))
    return take_labels(filled).report


def test_a_folder_of_results_is_read(tmp_path):
    out = shutil.copytree(GOLDEN / "results-1", tmp_path / "out")
    assert read_manifest(out)["inputs"][0]["path"] == "corpus.jsonl"
    folder = ScanFolder(out)
    assert sum(len(chunk["line"]) for chunk in folder.chunks(folder.inputs[0], ["line", "n_tokens"])) == 30
    assert merge_profiles([out])[1]["inputs"]["malformed"] == 1
    assert not ta.gate(out, GOLDEN / "policy-1.toml", reference=GOLDEN / "profile-1.tap").checks[0].fails_gate
    assert write_report(out, tmp_path / "report.html").stat().st_size > 10_000


# --- written again


def test_canonical_text_is_written_as_it_was():
    calibration = (GOLDEN / "calibration-1.json").read_bytes()
    assert text_of(json.loads(calibration)).encode() == calibration, RAISE
    for name in (
        "results-1/summary.json",
        "results-1/manifest.json",
        "comparison-1.json",
        "gate-1.json",
        "plan-1.json",
    ):
        data = (GOLDEN / name).read_bytes()
        assert json_text(json.loads(data)).encode() == data, RAISE


@pytest.mark.parametrize("name", PROFILES)
def test_a_scan_of_today_gives_the_same_profile(anew, name):
    assert (anew / name).read_bytes()[-16:] == (GOLDEN / name).read_bytes()[-16:], RAISE


def test_an_anchor_of_today_is_the_same(anew):
    """But for the profile in it, which is compressed."""
    old, new = (load_anchor(folder / "anchor-1.anchor").header for folder in (GOLDEN, anew))
    of_old, of_new = (
        {name: entry["blake2b"] for name, entry in header["arrays"].items() if name != "profile"}
        for header in (old, new)
    )
    assert of_old == of_new, RAISE
    assert {k: v for k, v in old.items() if k != "arrays"} == {k: v for k, v in new.items() if k != "arrays"}, RAISE


SAME_JSON = ("results-1/summary.json", "results-1/manifest.json", "comparison-1.json", "gate-1.json", "plan-1.json")


@pytest.mark.parametrize("name", SAME_JSON)
def test_all_that_was_said_is_still_said(anew, name):
    """Within a version keys may be added; none is renamed, removed, or given another meaning."""
    old, new = (json.loads((folder / name).read_bytes()) for folder in (GOLDEN, anew))
    assert list(lost(old, new)) == [], RAISE


@pytest.mark.parametrize("name", ["probes-1.jsonl", "sample-1.jsonl", "results-1/errors.jsonl"])
def test_lines_are_the_same(anew, name):
    old, new = ([json.loads(line) for line in (folder / name).read_bytes().splitlines()] for folder in (GOLDEN, anew))
    assert list(lost(old, new)) == [], RAISE


def lost(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """What `old` says and `new` does not. Of a list the length counts, too."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key, value in old.items():
            if key not in new:
                yield f"{path}.{key}"
            elif f"{path}.{key}" not in VOLATILE:
                yield from lost(value, new[key], f"{path}.{key}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for place, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from lost(one, other, f"{path}[{place}]")
    elif old != new:
        yield f"{path}: {old!r}, now {new!r}"


# --- newer ones


def newer_tap(data: bytes) -> bytes:
    return data[:8] + struct.pack("<I", 9) + data[12:]


def newer_schema(data: bytes) -> bytes:
    content = json.loads(data.partition(b"\n")[0] if data.count(b"\n{") else data)
    for part in (content, content.get("sampling", {})):
        for key in ("schema", "format"):
            if key in part:
                part[key] = part[key].rpartition("/")[0] + "/9"
    if "digest" in content:
        content["digest"] = digest_of(content)
    return json.dumps(content).encode()


NEWER = {
    "profile": ("profile-1.tap", newer_tap, ta.Profile.load),
    "anchor": ("anchor-1.anchor", newer_tap, load_anchor),
    "calibration": ("calibration-1.json", newer_schema, load_calibration),
    "summary": ("results-1/summary.json", newer_schema, lambda path: merge_profiles([path.parent])),
    "manifest": ("results-1/manifest.json", newer_schema, lambda path: ScanFolder(path.parent)),
    "plan": ("plan-1.json", newer_schema, lambda path: PlanRecord.read(_copied(path, "plan.json"))),
    "sample": ("sample-1.jsonl", newer_schema, take_labels),
}


@pytest.mark.parametrize("kind", NEWER)
def test_newer_ones_are_refused(kind, tmp_path):
    name, made, read = NEWER[kind]
    golden = shutil.copytree(GOLDEN, tmp_path / "golden")
    (golden / name).write_bytes(made((golden / name).read_bytes()))
    with pytest.raises(TextassayError, match=r"made by a newer textassay: format .*9; this one reads up to 1"):
        read(golden / name)


def test_a_newer_detector_is_refused(tmp_path):
    shipped = ROOT / "python" / "textassay" / "detectors" / "en-1"
    folder = shutil.copytree(shipped, tmp_path / "detector")
    assert Detector.load(folder).name == "en-1"
    model = json.loads((folder / "model.json").read_bytes()) | {"format": "textassay.detector/9"}
    (folder / "model.json").write_text(json.dumps(model))
    with pytest.raises(TextassayError, match=r"newer textassay: format textassay\.detector 9; this one reads up to 1"):
        Detector.load(folder)
    assert DETECTOR_FORMAT == "textassay.detector/1"


def test_each_version_has_its_golden_file():
    """Who raises a version adds one, and leaves the old ones."""
    for stem, suffix, version in (("profile", "tap", tap_format.VERSION), ("anchor", "anchor", anchor_file.VERSION)):
        for number in range(1, version + 1):
            assert (GOLDEN / f"{stem}-{number}.{suffix}").exists()


def test_the_header_of_an_anchor_is_checked():
    """So that a change of the file is no newer version by chance."""
    data = bytearray((GOLDEN / "anchor-1.anchor").read_bytes())
    _, version, length, offset, crc = struct.unpack_from("<8sIIQI", data)
    assert version == anchor_file.VERSION and zlib.crc32(bytes(data[offset : offset + length])) == crc
