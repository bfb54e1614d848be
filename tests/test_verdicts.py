"""Verdicts of the detector as labels: out of the box, behind rules, in memory; the synthetic share; suspects in an anchor."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zstandard

import textassay as ta
from implementations import on_every_implementation
from test_cli import textassay
from test_detector import HUMAN, SYNTHETIC
from textassay.anchor.check import check_anchor
from textassay.anchor.file import AnchorFile, AnchorWriter
from textassay.detector import Detector
from textassay.errors import AnchorError, UsageError
from textassay.provenance import ProvenanceRules

LABELLED = Path(__file__).parent.parent.parent / "shared" / "data" / "labelled"
SUSPICION = "resembles synthetic text (en-1)"
TEXTS = [*SYNTHETIC, *HUMAN, "Too short to tell.", SYNTHETIC[0][:200], "", "日本語の文章。" * 100]


@on_every_implementation
def test_out_of_the_box(implementation, shard):
    implementation.use()
    with ta._backend.using(implementation.backend):
        found = ta.scan(shard("a.jsonl", TEXTS), documents="memory")
    rows = list(zip(found.documents["provenance"], found.documents["provenance_reason"], strict=True))
    assert rows == [("synthetic_suspected", SUSPICION)] * 2 + [("human_unverified", None)] * 6
    about = found.summary["provenance"]
    assert about["corpus"]["labels"]["synthetic_suspected"]["documents"] == 2
    assert [(row["reason"], row["documents"]) for row in about["reasons"]] == [(SUSPICION, 2), (None, 6)]


def test_verdicts_of_a_scan_are_those_of_the_detector(backend):
    """By each of its rates, over the real texts of one set."""
    paths = sorted(LABELLED.glob("l2r__newsarticle__*"))[:2]
    if not paths:
        pytest.skip("the labelled data is not part of the repository")
    for fpr in (0.01, 0.05):
        detector = Detector.default().at(fpr)
        rows = ta.scan(paths, detector=detector, documents="memory").documents
        wanted = detector.suspects(rows)
        assert np.array_equal(rows["provenance"] == "synthetic_suspected", wanted) and 10 < wanted.sum() < len(wanted)
        alone = detector.verdict(detector.columns([text for path in paths for text in texts_of(path)]))
        assert np.array_equal(alone == "synthetic_suspected", wanted)


def texts_of(path: Path) -> Iterator[str]:
    with path.open("rb") as stream:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(stream), "utf-8"):
            yield json.loads(line)["text"]


def test_rules_come_first(backend, shard):
    rules = ProvenanceRules.parse(
        'source = "site"\ndefault = "human_verified"\n'
        '[[rule]]\nlabel = "human_verified"\nname = "known"\nfield = "site"\nequals = "us"\n'
    )
    records = [{"site": site, "text": text} for text in (SYNTHETIC[0], HUMAN[0]) for site in ("us", "them")]
    rows = ta.scan(shard("a.jsonl", records), documents="memory", provenance=rules).documents
    assert rows["provenance"].tolist() == ["human_verified", "synthetic_suspected", "human_verified", "human_verified"]
    assert rows["provenance_reason"].tolist() == ["known", SUSPICION, "known", None]


def test_in_memory_as_in_files(backend, shard):
    path = shard("a.jsonl", TEXTS)
    scanner = ta.Scanner()
    table = scanner.update([TEXTS[0], None, *TEXTS[1:]])
    wanted = ta.scan(path, documents="memory")
    assert table["provenance"].tolist()[1] is None
    assert np.delete(table["provenance"], 1).tolist() == wanted.documents["provenance"].tolist()
    assert scanner.profile.serialize() == wanted.profile.serialize()
    assert ta.measure(TEXTS)["provenance"].tolist() == wanted.documents["provenance"].tolist()
    empty = ta.Profile()
    empty.update(TEXTS)
    assert empty.serialize() == wanted.profile.serialize()


def test_without_its_signals_there_are_no_verdicts(backend, shard):
    path = shard("a.jsonl", TEXTS)
    for signals in ("-synthetic_logit", "synthetic_logit", "n_tokens,synthetic_probability"):
        found = ta.scan(path, signals=signals, documents="memory")
        assert "provenance" not in found.summary and "provenance" not in found.documents
    rules = ProvenanceRules.parse('[[rule]]\nlabel = "human_verified"\npath = "*"\n')
    for detector in (None, "default"):
        rows = ta.scan(path, signals="n_bytes", provenance=rules, detector=detector, documents="memory").documents
        assert rows["provenance"].tolist() == ["human_verified"] * len(TEXTS)


def test_other_verdicts_are_another_configuration(backend, shard):
    path = shard("a.jsonl", TEXTS)
    lax = ta.scan(path, detector=Detector.default().at(0.05)).profile
    with pytest.raises(UsageError, match="provenance is"):
        _ = ta.scan(path).profile | lax


def test_command_line(shard, tmp_path):
    path = shard("a.jsonl", TEXTS)
    assert "Provenance" not in textassay("scan", path, "--detector", "none").stdout
    done = textassay("scan", path, "--fpr", "0.05", "--json")
    assert json.loads(done.stdout)["provenance"]["corpus"]["labels"]["synthetic_suspected"]["documents"] == 2
    assert SUSPICION in textassay("scan", path, COLUMNS="120").stdout.replace("\xa0", " ")
    done = textassay("scan", path, "--fpr", "0.03")
    assert done.returncode == 2 and "thresholds for 0.01 or 0.05" in done.stderr
    done = textassay("scan", path, "--detector", tmp_path / "no-such")
    assert done.returncode == 2 and "no-such" in done.stderr


# The synthetic share


@pytest.fixture(scope="module")
def essays(tmp_path_factory):
    """Half of the essays of pupils as an anchor; a function that mixes the other half with what a model wrote."""
    humans = sorted(LABELLED.glob("outfox__*__human__*"))
    if not humans:
        pytest.skip("the labelled data is not part of the repository")
    folder = tmp_path_factory.mktemp("essays")
    human = [text for path in humans for text in texts_of(path)]
    synthetic = [text for path in sorted(LABELLED.glob("outfox__*__gpt-3.5*__test.*")) for text in texts_of(path)]

    def write(name, texts):
        path = folder / name
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), "utf-8")
        return path

    ta.build_anchor(write("human.jsonl", human[::2]), folder / "human.anchor")

    def mixed(share):
        n = len(human[1::2])
        return write(f"{share}.jsonl", human[1::2] + synthetic[: round(n * share / (1 - share))])

    return folder / "human.anchor", mixed


@pytest.mark.parametrize(("share", "error"), [(0.0, 0.01), (0.05, 0.03), (0.2, 0.08)])
def test_share_of_a_real_mixture(essays, share, error):
    """The error grows with the share: the model that wrote is not the mean of those in the reference."""
    anchor, mixed = essays
    found = ta.scan(mixed(share), anchor=anchor).summary["provenance"]["synthetic_fraction"]
    assert found["reference"] == "anchor" and not found["is_blind"]
    assert abs(found["fraction"] - share) < error and (found["low"] > 0) == (share > 0)


def test_without_a_reference_it_says_that_it_is_blind(essays):
    found = ta.scan(essays[1](0.2)).summary["provenance"]["synthetic_fraction"]
    assert found["reference"] == "detector" and found["is_blind"]
    printed = "rough: off by 22 points" if found["fraction"] >= 0.1 else "blind below 10 %"
    assert printed in textassay("scan", essays[1](0.2), COLUMNS="200").stdout


def test_merged_profiles_have_the_share(essays, tmp_path):
    """That of one scan, where there is no anchor to compare with."""
    parts = [tmp_path / name for name in ("a", "b")]
    paths = [essays[1](share) for share in (0.2, 0.5)]
    for path, part in zip(paths, parts, strict=True):
        ta.scan(path, part, documents="none")
    done = textassay("merge", *parts, "-o", tmp_path / "both", "--json")
    wanted = ta.scan(paths).summary["provenance"]
    assert json.loads(done.stdout)["provenance"] == wanted and wanted["synthetic_fraction"]["fraction"] > 0.1


# The anchor


@pytest.fixture
def suspicious(shard, tmp_path):
    texts = [HUMAN[0]] * 3 + [SYNTHETIC[0] + " Again.", SYNTHETIC[1], "short"]
    ta.build_anchor(shard("anchor.jsonl", texts), tmp_path / "a.anchor", min_count=1)
    return tmp_path / "a.anchor"


def test_suspects_in_an_anchor(backend, suspicious, shard):
    other = shard("b.jsonl", ["Nothing that the other side has, whatever one makes of it. " * 3])
    found = check_anchor(suspicious, other)
    assert found.is_over and found.corpus.n_over == 0 and found.share_suspected == 2 / 5
    report = found.report()["suspects"]
    assert (report["n_judged"], report["n_suspected"], report["allowed"]) == (5, 2, 0.05)
    assert sorted(row["line"] for row in report["worst"]) == [4, 5]
    assert report["worst"][0]["synthetic_logit"] >= report["worst"][1]["synthetic_logit"]
    assert not check_anchor(suspicious, other, allowed_suspects=0.4).is_over
    with pytest.raises(UsageError, match="allowed_suspects"):
        check_anchor(suspicious, other, allowed_suspects=1.5)


def test_anchor_check_prints_suspects(suspicious, shard):
    other = shard("b.jsonl", ["Nothing that the other side has, whatever one makes of it. " * 3])
    done = textassay("anchor", "check", suspicious, other)
    assert done.returncode == 1 and "resembles synthetic text: look at it again" in done.stdout
    assert textassay("anchor", "check", suspicious, other, "--allowed-suspects", "0.5").returncode == 0


def test_an_anchor_that_nothing_looked_at(shard, tmp_path):
    ta.build_anchor(shard("anchor.jsonl", SYNTHETIC), tmp_path / "a.anchor", detector=None)
    found = check_anchor(tmp_path / "a.anchor", shard("b.jsonl", HUMAN))
    assert found.report()["suspects"] is None and not found.is_over
    assert ta.load_anchor(tmp_path / "a.anchor").logits_under(Detector.default()) is None


@pytest.mark.parametrize(
    "wrong",
    [[], {}, {"digest": 1}, {"logits": [[5000, 1]]}, {"logits": [[1, 1], [1, 1]]}, {"n_judged": "x"}, {"worst": [1]}],
)
def test_a_hostile_header(suspicious, shard, tmp_path, wrong):
    file = AnchorFile(suspicious)
    header = {name: value for name, value in file.header.items() if name != "arrays"}
    header["suspects"] = header["suspects"] | wrong if wrong else wrong
    with (tmp_path / "hostile.anchor").open("wb") as stream:
        writer = AnchorWriter(stream)
        kinds = {"uint8": "u1", "uint32": "u4", "uint64": "u8", "float32": "f4"}
        for name, values in file.arrays.items():
            writer.array(name, kinds[values.dtype.name], np.asarray(values))
        writer.finish(header)
    if wrong == []:
        with pytest.raises(AnchorError, match="suspects"):
            ta.load_anchor(tmp_path / "hostile.anchor")
        return
    anchor = ta.load_anchor(tmp_path / "hostile.anchor")
    if wrong == {"digest": 1}:
        assert anchor.logits_under(Detector.default()) is None
    elif wrong in ({"n_judged": "x"}, {"worst": [1]}):
        with pytest.raises(AnchorError, match="suspected"):
            check_anchor(anchor, shard("b.jsonl", HUMAN))
    else:
        with pytest.raises(AnchorError, match="logits"):
            ta.scan(shard("b.jsonl", HUMAN), anchor=anchor)
