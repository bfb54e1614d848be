"""The gate: policies, what real and broken scans make of them, and the reports. Hook and action: test_gate_integrations.py."""

import json
import math
import shutil
from collections import Counter
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

import textassay as ta
from textassay.cli.app import app
from textassay.comparison import compare
from textassay.errors import FolderError, InputError, UsageError
from textassay.gate_policy import COMPARED, GatePolicy, default_text
from textassay.gate_reports import junit, markdown
from textassay.gating import Check, GateResult, gate, gate_all
from textassay.merging import merge_profiles, write_merged
from textassay.provenance import ProvenanceRules
from textassay.scan_results import ScanResults

ROOT = Path(__file__).parent.parent
LABELLED = ROOT.parent / "shared" / "data" / "labelled"
HOSTILE = "]]><script>|`*_[x](http://e.vil)@you & \"'\x1b[31m\x07\ufffe\u202e"

SEA = "The old man did not know what the grey sea would bring to him that long cold winter. He went home. "
FLAT = "sea sea sea sea sea sea sea sea sea sea sea sea sea sea sea sea sea sea sea sea. "


def policy(text: str) -> GatePolicy:
    return GatePolicy.parse(text)


def check_of(out, text: str, **more) -> Check:
    """Of a policy of one limit."""
    (check,) = gate(out, policy(text), **more).checks
    return check


@pytest.fixture(scope="module")
def novels(tmp_path_factory):
    """The shards of examples/ with labels, in batches small enough that some are full."""
    out = tmp_path_factory.mktemp("novels") / "out"
    shards = sorted((ROOT / "examples" / "shards").iterdir())
    ta.scan(shards, out, batch_tokens=1 << 14, provenance=ROOT / "examples" / "provenance.toml")
    return out


def edited(out: Path, folder: Path, **parts) -> Path:
    """A copy of a scan's folder with parts of its summary replaced."""
    copy = folder / f"edited-{len(list(folder.iterdir()))}"
    shutil.copytree(out, copy)
    edit(copy, **parts)
    return copy


def edit(out: Path, **parts) -> None:
    """`a__b=1` sets `b` of `a`."""
    summary = json.loads((out / "summary.json").read_text())
    for name, value in parts.items():
        *keys, last = name.split("__")
        part = summary
        for key in keys:
            part = part[key]
        part[last] = value
    (out / "summary.json").write_text(json.dumps(summary))


# --- batches


def test_a_batch_below_the_floor_is_named(backend, shard, tmp_path):
    """Its file, its number, its documents and its entropy, which is counted here once more."""
    good, bad = shard("good.jsonl", [SEA] * 40), shard("bad.jsonl.zst", [SEA] * 10 + [FLAT] * 10 + [SEA] * 20)
    out = tmp_path / "out"
    ta.scan([good, bad], out, batch_tokens=100)
    check = check_of(out, "[batch_entropy_bits]\nmin = 3.0")
    assert check.outcome == "failed" and not gate(out, policy("[batch_entropy_bits]\nmin = 3.0")).passed
    rows = [row for row in ta.scan([good, bad], batch_tokens=100).batches.rows() if row["n_tokens"] >= 100]
    wanted = sorted((row["entropy_bits"], row["batch"]) for row in rows if row["entropy_bits"] < 3)
    assert wanted and all(place.name == str(bad) and place.kind == "batch" for place in check.places)
    assert [(place.value, place.batch) for place in check.places] == wanted
    worst = check.places[0]
    words = " ".join(([SEA] * 10 + [FLAT] * 10)[worst.first_document : worst.first_document + worst.n_documents])
    counts = Counter(words.lower().replace(".", "").split())
    n = sum(counts.values())
    assert worst.value == pytest.approx(-sum(c / n * math.log2(c / n) for c in counts.values()), abs=1e-9)
    assert check.value == worst.value and check.excess == pytest.approx(3 - worst.value)
    assert f"{len(wanted)} of {len(rows)} batches" in check.message


def test_the_allowed_share_is_exact(shard, tmp_path):
    """29 of 100 are 0.29 of them, though 0.29 * 100 is less than 29."""
    flat = "a a a a a a a a a a"
    path = shard("a.jsonl", [flat] * 29 + ["a b c d e f g h i j"] * 71)
    ta.scan(path, tmp_path / "out", batch_tokens=10)
    for allowed, outcome in ((0.28, "failed"), (0.29, "passed"), (0.3, "passed")):
        check = check_of(tmp_path / "out", f"[batch_entropy_bits]\nmin = 3.0\nallowed = {allowed}")
        assert check.outcome == outcome and check.value == 0 and "29 of 100" in check.message
        assert len(check.places) == (29 if outcome == "failed" else 0)


def test_short_batches_do_not_count_unless_asked(shard, tmp_path):
    """As a scan does not list them among the worst: the few words at a file's end are no sign of anything."""
    path = shard("a.jsonl", [SEA] * 10 + ["One two."])
    ta.scan(path, tmp_path / "out", batch_tokens=200)
    text = "[batch_entropy_bits]\nmin = 3.0\n"
    check = check_of(tmp_path / "out", text)
    assert check.passed and "1 short of 200 tokens do not count (1 outside)" in check.message
    counting = check_of(tmp_path / "out", text + "count_short = true")
    assert counting.outcome == "failed" and counting.value == 1 and counting.places[0].batch == 1
    ta.scan(path, tmp_path / "large")
    check = check_of(tmp_path / "large", text)
    assert check.outcome == "no data" and "--batch-tokens" in check.message and "count_short" in check.message
    assert check_of(tmp_path / "large", text + "count_short = true").passed


def test_other_figures_of_batches_and_both_ends(novels):
    rows = [row for row in _batches(novels) if row["n_tokens"] >= 1 << 14]
    values = sorted(row["mattr"] for row in rows)
    check = check_of(novels, f"[batch_mattr]\nmin = {values[0]}\nmax = {values[-2]}")
    assert check.outcome == "failed" and check.value == values[-1] and len(check.places) == 1
    assert check_of(novels, f"[batch_mattr]\nmin = {values[0]}\nmax = {values[-1]}").passed
    check = check_of(novels, f"[batch_type_token_ratio]\nmin = {max(row['type_token_ratio'] for row in rows)}")
    assert len(check.places) == len(rows) - 1


def _batches(out: Path):
    import pyarrow.parquet

    return pyarrow.parquet.read_table(out / "batches.parquet").to_pylist()


def test_no_batches(shard, tmp_path):
    ta.scan(shard("a.jsonl", ["", "..."]), tmp_path / "out")
    assert check_of(tmp_path / "out", "[batch_entropy_bits]\nmin = 0").outcome == "no data"
    profile, summary = merge_profiles([tmp_path / "out"])
    write_merged(tmp_path / "merged", profile, summary, [tmp_path / "out"])
    check = check_of(tmp_path / "merged", "[batch_entropy_bits]\nmin = 0")
    assert check.outcome == "no data" and "merge" in check.message
    assert check_of(tmp_path / "merged", "[malformed_share]").passed


# --- documents


def test_signals_of_documents(novels, tmp_path):
    summary = json.loads((novels / "summary.json").read_text())
    found = summary["documents"]["burstiness"]["quantiles"]
    for quantile in (0.05, 0.5, 0.99):
        edge = found[str(quantile)]
        assert check_of(novels, f"[burstiness]\nquantile = {quantile}\nmin = {edge}").passed
        check = check_of(novels, f"[burstiness]\nquantile = {quantile}\nmin = {edge + 1e-9}")
        assert check.outcome == "failed" and check.value == edge and check.excess == pytest.approx(1e-9, rel=1e-3)
    check = check_of(novels, "[burstiness]\nmin = 0.7")
    counts = {place.name: int(place.note.split()[0]) for place in check.places}
    rows = ta.scan(sorted((ROOT / "examples" / "shards").iterdir()), documents="memory")
    below = Counter(rows.inputs[i].name for i in rows.documents["file"][rows.documents["burstiness"] < 0.7].tolist())
    assert counts == below and list(counts.values()) == sorted(counts.values(), reverse=True)
    assert check_of(novels, "[burstiness]\nmin = 0.7", read_documents=False).places == ()
    same = check_of(novels, '[[limit]]\nfigure = "documents.burstiness.quantiles.0.5"\nmin = 0.7')
    assert (same.value, same.excess, same.places) == (check.value, check.excess, check.places)


def test_a_signal_that_was_not_measured(novels, shard, tmp_path):
    check = check_of(novels, "[perplexity]\nmax = 400")
    assert check.outcome == "no data" and "perplexity" in check.message
    ta.scan(shard("a.jsonl", ["One sentence."]), tmp_path / "out")
    assert check_of(tmp_path / "out", "[burstiness]\nmin = 0").outcome == "no data"  # null in every document


def test_rows_in_lines_are_those_in_parquet(shard, tmp_path):
    paths = [shard(f"{name}.jsonl", [SEA, FLAT, SEA * i]) for i, name in enumerate("abc", 1)]
    text = '[burstiness]\nmin = 9\n[batch_entropy_bits]\nmin = 9\n[synthetic_ratio]\nmax = 0\nby = "labels"'
    text += '\n[human_anchor_share]\nof = "documents"'
    rules = ProvenanceRules.parse('[[rule]]\nlabel = "synthetic_known"\nfield = "id"\nequals = "d1"')
    found = []
    for form in ("parquet", "jsonl"):
        ta.scan(paths, tmp_path / form, documents=form, batch_tokens=30, provenance=rules)
        found.append([check.to_dict() for check in gate(tmp_path / form, policy(text)).checks])
    assert found[0] == found[1] and all(check["places"] for check in found[0])


# --- synthetic and human shares


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Three sources: one all synthetic, one half, one verified."""
    folder = tmp_path_factory.mktemp("labelled")
    made_by = {"bot": ["m"] * 30, "mixed": ["m", ""] * 10, "press": [""] * 40}
    records = [{"site": site, "model": model, "text": SEA} for site, models in made_by.items() for model in models]
    path = folder / "a.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    rules = ProvenanceRules.parse(
        'source = "site"\n[[rule]]\nlabel = "synthetic_known"\ngenerator = "model"\n'
        '[[rule]]\nlabel = "human_verified"\nfield = "site"\nequals = "press"\n'
    )
    ta.scan(path, folder / "out", provenance=rules)
    return folder / "out"


def test_synthetic_labels_and_their_sources(labelled):
    share = 40 / 90
    by_labels = '[synthetic_ratio]\nby = "labels"\nmax = '
    assert check_of(labelled, f"{by_labels}{share + 1e-12}").passed
    check = check_of(labelled, f"{by_labels}0.4")
    assert check.outcome == "failed" and check.value == pytest.approx(share) and check.unit == "share"
    sources = [(place.name, place.value) for place in check.places if place.kind == "source"]
    assert sources == [("bot", 1.0), ("mixed", 0.5)]
    files = [place for place in check.places if place.kind == "file"]
    assert [place.value for place in files] == [pytest.approx(share)] and files[0].name.endswith("a.jsonl")


def test_human_anchor(labelled, shard, tmp_path):
    assert check_of(labelled, "[human_anchor_share]\nmin = 0.44").passed
    check = check_of(labelled, "[human_anchor_share]\nmin = 0.45")
    assert check.outcome == "failed" and [p.name for p in check.places if p.kind == "source"] == ["bot", "mixed"]
    unlabelled = tmp_path / "plain"
    ta.scan(shard("a.jsonl", [SEA]), unlabelled, detector=None)
    for text in ("[human_anchor_share]", "[synthetic_ratio]"):
        assert {check.outcome for check in gate(unlabelled, policy(text)).checks} == {"no data"}
    ta.scan(shard("b.jsonl", [SEA]), unlabelled)
    assert "--provenance" in check_of(unlabelled, "[human_anchor_share]").message


ESTIMATE = {"fraction": 0.04, "low": 0.01, "high": 0.2, "n_documents": 500, "is_blind": True, "reference": "detector"}


@pytest.mark.parametrize(
    ("limit", "more", "outcome"),
    [
        (0.1, "", "passed"),
        (0.09, "", "no data"),  # below what a blind estimate can see
        (0.09, "trust_blind = true", "passed"),
        (0.03, "trust_blind = true", "failed"),
        (0.03, 'trust_blind = true\nbound = "low"', "passed"),
        (0.19, 'bound = "high"', "failed"),
        (0.2, 'bound = "high"', "passed"),
    ],
)
def test_which_end_of_the_estimate_counts(novels, tmp_path, limit, more, outcome):
    out = edited(novels, tmp_path, provenance__synthetic_fraction=ESTIMATE)
    text = f'[synthetic_ratio]\nby = ["estimate"]\nmax = {limit}\n{more}'
    assert check_of(out, text).outcome == outcome
    seeing = edited(novels, tmp_path, provenance__synthetic_fraction=ESTIMATE | {"is_blind": False})
    assert check_of(seeing, text).outcome != "no data"


def test_rows_that_lack_a_column_name_no_files(shard, tmp_path):
    rules = ProvenanceRules.parse('[[rule]]\nlabel = "synthetic_known"\npath = "*"')
    ta.scan(shard("a.jsonl", [SEA] * 3), tmp_path / "out", provenance=rules, signals="n_bytes", detector=None)
    check = check_of(tmp_path / "out", '[synthetic_ratio]\nby = "labels"')
    assert check.outcome == "failed" and check.places == ()
    check = check_of(tmp_path / "out", '[synthetic_ratio]\nby = "labels"\nof = "documents"')
    assert check.places[0].note == "3 of 3 documents"


def test_no_estimate(novels, tmp_path):
    out = edited(novels, tmp_path, provenance__synthetic_fraction=None)
    result = gate(out, policy("[synthetic_ratio]"))
    assert [check.outcome for check in result.checks] == ["passed", "no data"] and not result.passed


@pytest.mark.skipif(not LABELLED.is_dir(), reason="labelled text is not part of the repository")
def test_real_synthetic_text_is_over_the_limit(tmp_path):
    """News by a model fails the default limits, the same kind of text by people passes them, given who wrote it."""
    rules = ProvenanceRules.parse('[[rule]]\nlabel = "human_verified"\npath = "*__human__*"')
    for kind, passes in (("human", True), ("gpt-3.5-turbo", False)):
        (path,) = LABELLED.glob(f"glimpse__xsum__{kind}__all.jsonl.zst")
        ta.scan(path, tmp_path / kind, provenance=rules)
        result = gate(tmp_path / kind)
        assert result.passed == passes
        failed = {check.name for check in result.checks if not check.passed}
        assert failed == (set() if passes else failed | {"synthetic_ratio by estimate", "human_anchor_share"})


# --- inputs


def test_malformed_and_damaged_files_are_named(shard, tmp_path):
    good = shard("good.jsonl", [SEA] * 6)
    bad = shard("bad.jsonl", [b"{", b"{}", SEA, SEA])
    worse = shard("worse.jsonl", [b"not json", b"[]", b'{"text": 1}', SEA])
    cut = shard("cut.jsonl.zst", [SEA])
    cut.write_bytes(cut.read_bytes()[:-7])
    ta.scan([good, bad, worse], tmp_path / "malformed")
    check = check_of(tmp_path / "malformed", "[malformed_share]\nmax = 0.3")
    assert check.value == 5 / 14 and [(p.name, p.value) for p in check.places] == [(str(worse), 0.75), (str(bad), 0.5)]
    assert "not_json 2" in check.message
    assert check_of(tmp_path / "malformed", f"[malformed_share]\nmax = {5 / 14!r}").passed
    ta.scan([good, cut], tmp_path / "damaged")
    check = check_of(tmp_path / "damaged", "[damaged_files]")
    assert (
        check.value == check.excess == 1
        and check.places[0].name == str(cut)
        and "at byte 0: wanted the rest" in check.places[0].note
    )
    assert check_of(tmp_path / "damaged", "[damaged_files]\nmax = 1").passed


def test_merged_profiles_know_no_inputs(novels, tmp_path):
    profile, summary = merge_profiles([novels / "profile.tap"])
    write_merged(tmp_path / "merged", profile, summary, [novels / "profile.tap"])
    outcomes = [c.outcome for c in gate(tmp_path / "merged", policy("[malformed_share]\n[damaged_files]")).checks]
    assert outcomes == ["no data", "no data"]


# --- against a reference


@pytest.fixture(scope="module")
def collapsed(tmp_path_factory):
    """The novels with their rarer words gone."""
    folder = tmp_path_factory.mktemp("collapsed")
    rows = []
    for path in sorted((ROOT / "examples" / "shards").iterdir()):
        with zstandard.open(path, "rt", encoding="utf-8") as lines:
            rows += [json.loads(line)["text"] for line in lines]
    known = {word for word, n in Counter(word for text in rows for word in text.split()).items() if n > 20}
    texts = [" ".join(word if word in known else "thing" for word in text.split()) for text in rows]
    (folder / "a.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    ta.scan(folder / "a.jsonl", folder / "out")
    return folder / "out"


DRIFT = '[tail_retention]\nmin = 0.9\n[[drift]]\nfigure = "jsd_bits"\nmax = 0.05\n'
DRIFT += '[[drift]]\nfigure = "mattr.cliffs_delta"\nmin = -0.3\nmax = 0.3\n'


def test_drift_and_tail(backend, novels, collapsed):
    result = gate(collapsed, policy(DRIFT), reference=novels)
    wanted = compare(novels, collapsed).figures
    tail, jsd, mattr = result.checks
    assert [check.outcome for check in result.checks] == ["failed"] * 3
    assert (tail.value, jsd.value, mattr.value) == (
        wanted["tail_retention"],
        wanted["jsd_bits"],
        wanted["mattr.cliffs_delta"],
    )
    assert jsd.places[0].name == "thing" and jsd.places[0].kind == "token" and "in the reference" in tail.places[0].note
    same = gate(novels, policy(DRIFT), reference=ta.Profile.load(novels / "profile.tap"))
    assert same.passed and [check.value for check in same.checks] == [1, 0, 0]


def test_every_figure_of_a_comparison_can_be_limited(shard, tmp_path):
    paths = shard("a.jsonl", [SEA] * 9), shard("b.jsonl", [SEA, FLAT] * 9)
    outs = [tmp_path / "a", tmp_path / "b"]
    for path, out in zip(paths, outs, strict=True):
        ta.scan(path, out, bigrams=True)
    figures = compare(*outs).figures
    assert set(COMPARED) <= set(figures)
    text = "".join(f'[[drift]]\nfigure = "{name}"\nmin = -1e9\n' for name in figures)
    for check, (name, value) in zip(
        gate(outs[1], policy(text), reference=outs[0]).checks, figures.items(), strict=True
    ):
        assert check.value == value and check.outcome == ("no data" if value is None else "passed"), name
    check = gate(outs[1], policy('[[drift]]\nfigure = "bigram_jsd_bits"\nmax = 0'), reference=outs[0]).checks[0]
    assert check.places[0].name == "sea sea"
    (outs[0] / "bigrams.tap").unlink()
    check = gate(outs[1], policy('[[drift]]\nfigure = "bigram_jsd_bits"\nmax = 1'), reference=outs[0]).checks[0]
    assert check.outcome == "no data"


def test_the_reference_of_a_policy_lies_beside_it(novels, collapsed, tmp_path):
    shutil.copy(novels / "profile.tap", tmp_path / "novels.tap")
    shutil.copy(collapsed / "profile.tap", tmp_path / "collapsed.tap")
    path = tmp_path / "policy.toml"
    path.write_text('reference = "novels.tap"\n' + DRIFT + 'reference = "collapsed.tap"\n')
    tail, jsd, mattr = gate(collapsed, path).checks
    assert not tail.passed and not jsd.passed and mattr.value == 0 and "collapsed.tap" in mattr.message
    tail, jsd, mattr = gate(collapsed, path, reference=collapsed).checks  # of the policy's own only
    assert tail.passed and jsd.passed


def test_without_anything_to_compare_there_is_no_data(novels, shard, tmp_path):
    result = gate(novels, policy(DRIFT))
    assert {check.outcome for check in result.checks} == {"no data"} and "--reference" in result.checks[0].message
    ta.scan(shard("a.jsonl", [""]), tmp_path / "empty")
    result = gate(tmp_path / "empty", policy(DRIFT), reference=novels)
    assert {(check.outcome, check.message) for check in result.checks} == {("no data", "there is no token")}
    ta.scan(shard("b.jsonl", [SEA]), tmp_path / "few", signals="n_tokens")
    (check,) = gate(
        tmp_path / "few", policy('[[drift]]\nfigure = "mattr.ks_statistic"\nmax = 1'), reference=novels
    ).checks
    assert check.outcome == "no data" and "does not measure it" in check.message


def test_what_cannot_be_compared_is_an_error(novels, shard, tmp_path):
    ta.scan(shard("a.jsonl", [SEA]), tmp_path / "bytes", tokens="byte", detector=None)
    with pytest.raises(UsageError, match="tokens"):
        gate(tmp_path / "bytes", policy(DRIFT), reference=novels)
    with pytest.raises(InputError, match="nowhere"):
        gate(novels, policy(DRIFT), reference=tmp_path / "nowhere")
    ta.scan(shard("b.jsonl", [""]), tmp_path / "empty")
    with pytest.raises(UsageError, match="no token"):
        gate(novels, policy(DRIFT), reference=tmp_path / "empty")


# --- any figure


def test_any_figure_of_the_summary(novels):
    summary = json.loads((novels / "summary.json").read_text())
    figures = {
        "documents.mattr.quantiles.0.95": summary["documents"]["mattr"]["quantiles"]["0.95"],
        "corpus.rarefied_types.1000": summary["corpus"]["rarefied_types"]["1000"],
        "corpus.top.0.count": summary["corpus"]["top"][0]["count"],
        "provenance.reasons.0.synthetic_share.tokens": 0,
        "inputs.accounted.bytes_lost": 0,
    }
    for figure, value in figures.items():
        check = check_of(novels, f'[[limit]]\nfigure = "{figure}"\nmin = {value}\nmax = {value}')
        assert check.passed and check.value == value
    check = check_of(novels, '[[limit]]\nname = "rich"\nfigure = "corpus.entropy_bits"\nmin = 20')
    assert check.outcome == "failed" and check.name == "rich" and "corpus.entropy_bits" in check.message
    for figure in ("corpus.entropi_bits", "documents.perplexity.mean", "corpus.top.99.count", "corpus.n_types.more"):
        assert check_of(novels, f'[[limit]]\nfigure = "{figure}"\nmin = 0').outcome == "no data"
    assert "entropy_bits" in check_of(novels, '[[limit]]\nfigure = "corpus.entropi_bits"\nmin = 0').message
    for figure in ("inputs.balanced", "corpus.top", "provenance.labelled_by", "documents.mattr"):
        with pytest.raises(UsageError, match=f"{figure} is no number"):
            check_of(novels, f'[[limit]]\nfigure = "{figure}"\nmin = 0')


# --- policies


def test_the_default_policy():
    found = GatePolicy.default()
    assert found == GatePolicy.parse(default_text(), "the default policy")
    limits = {limit.name: (limit.min, limit.max, limit.mode) for limit in found.limits}
    assert limits == {
        "damaged_files": (None, 0, "enforce"),
        "malformed_share": (None, 0, "enforce"),
        "synthetic_ratio by labels": (None, 0.6, "enforce"),
        "synthetic_ratio by estimate": (None, 0.6, "enforce"),
        "human_anchor_share": (0.1, None, "enforce"),
    }
    bare = "[damaged_files]\n[malformed_share]\n[synthetic_ratio]\n[human_anchor_share]"
    assert GatePolicy.parse(bare).limits == found.limits, "the file says what holds anyway"


def test_modes_and_a_table_of_another_command():
    found = policy('mode = "monitor"\n[mattr]\nmin = 1\n[burstiness]\nmin = 1\nmode = "enforce"\n[mix]\nanything = [1]')
    assert [limit.mode for limit in found.limits] == ["monitor", "enforce"]


BAD = {
    "[mattr": "at the end of a table declaration",
    "": "no limit",
    "[mix]\nmax = 1": "no limit",
    "[entropy_floor]\nmin = 9": "unknown key 'entropy_floor'",
    "[burstines]\nmin = 0.4": "did you mean 'burstiness'?",
    "refrence = 'a'\n[mattr]\nmin = 1": "did you mean 'reference'?",
    "reference = 1\n[mattr]\nmin = 1": "reference: wanted a text of at most 4096 characters, found 1",
    "mode = 'warn'\n[mattr]\nmin = 1": "mode: wanted enforce or monitor, found 'warn'",
    "mattr = 0.5": "mattr: wanted a table, found 0.5",
    "[mattr]": "mattr: wanted min or max",
    "[mattr]\nmin = '1'": "mattr: min: wanted a number, found '1'",
    "[mattr]\nmin = true": "mattr: min: wanted a number, found True",
    "[mattr]\nmin = nan": "mattr: min: wanted a number, found nan",
    "[mattr]\nmax = inf": "mattr: max: wanted a number, found inf",
    f"[mattr]\nmax = {10**400}": "does not fit into 64 bits",
    "[mattr]\nmin = 2\nmax = 1": "mattr: min=2 is above max=1",
    "[mattr]\nmin = 1\nquantile = 0.4": "mattr: quantile: wanted one of 0.01",
    "[mattr]\nmin = 1\nallowed = 0.4": "mattr: unknown key 'allowed'",
    "[batch_n_tokens]\nmin = 1": "unknown key 'batch_n_tokens'",
    "[batch_mattr]\nmin = 1\nallowed = 1.1": "batch_mattr: allowed: wanted a number from 0 to 1, found 1.1",
    "[batch_mattr]\nmin = 1\ncount_short = 1": "batch_mattr: count_short: wanted true or false, found 1",
    "[synthetic_ratio]\nmin = 1": "synthetic_ratio: unknown key 'min'",
    "[synthetic_ratio]\nmax = 60": "synthetic_ratio: max: wanted a number from 0 to 1, found 60",
    "[synthetic_ratio]\nby = 'votes'": "synthetic_ratio: by: wanted one of labels, estimate",
    "[synthetic_ratio]\nby = []": "synthetic_ratio: by: wanted one of labels, estimate",
    "[synthetic_ratio]\nof = 'bytes'": "synthetic_ratio: of: wanted one of tokens, documents",
    "[synthetic_ratio]\nbound = 'upper'": "synthetic_ratio: bound: wanted one of fraction, low, high",
    "[human_anchor_share]\nmax = 1": "human_anchor_share: unknown key 'max'; known are mode, min, of",
    "[malformed_share]\nmax = -1": "malformed_share: max: wanted a number from 0 to 1",
    "[damaged_files]\nmax = -1": "damaged_files: max: wanted a number from 0, found -1",
    "[tail_retention]": "tail_retention: min: wanted a number from 0, found nothing",
    "[drift]\nfigure = 'jsd_bits'": "drift: wanted tables [[drift]]",
    "[[drift]]\nmax = 1": "drift 1: figure: wanted a text of at most 4096 characters, found nothing",
    "[[drift]]\nfigure = 'jsd'\nmax = 1": "drift 1: figure: wanted one of jsd_bits",
    "[[drift]]\nfigure = 'mattr.ks'\nmax = 1": "drift 1: figure: wanted mattr. and one of",
    "[[drift]]\nfigure = 'jsd_bits'": "drift 1: wanted min or max",
    "[[limit]]\nfigure = 'entropy_bits'\nmin = 1": "limit 1: figure: wanted a path that begins with inputs",
    "[[limit]]\nfigure = 'corpus.n_types'\nmin = 1\nquantile = 1": "limit 1: unknown key 'quantile'",
    "limit = [1]": "limit 1: wanted a table, found 1",
    "[[limit]]\nfigure = 'corpus.n_types'\nmin = 1\n" * 1001: "wanted at most 1000",
}


@pytest.mark.parametrize("text", BAD, ids=lambda text: text[:40])
def test_bad_policies_are_refused(text, tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as raised:
        GatePolicy.load(path)
    assert str(path) in str(raised.value) and BAD[text] in str(raised.value)


def test_files_that_are_no_policies(tmp_path):
    (tmp_path / "large.toml").write_bytes(b"#" * ((1 << 24) + 1))
    (tmp_path / "latin.toml").write_bytes(b"# \xe9")
    for name, reason in (("large", "at most"), ("latin", "utf-8"), ("none", "No such file")):
        with pytest.raises(UsageError, match=rf"{name}\.toml.*{reason}"):
            GatePolicy.load(tmp_path / f"{name}.toml")


# --- folders


def test_folders_that_hold_no_results(novels, tmp_path):
    def broken(name: str, change) -> Path:
        copy = tmp_path / name
        shutil.copytree(novels, copy)
        change(copy)
        return copy

    def rewritten(content: str):
        return lambda out: (out / "summary.json").write_text(content)

    cases = {
        "unfinished": (lambda out: (out / "manifest.json").unlink(), "no manifest.json"),
        "nothing": (lambda out: (out / "summary.json").unlink(), "cannot read"),
        "half": (rewritten('{"schema": "textassay.summary/1", "a": "\\ud800"}'), "half of a character"),
        "infinite": (rewritten('{"schema": "textassay.summary/1", "a": 1e999}'), "1e999 is no finite number"),
        "large": (partial(edit, inputs__files_damaged=10**400), "a number of 401 digits"),
        "text": (partial(edit, provenance__corpus__tokens="1"), "not as a scan"),
        "missing": (partial(edit, batches__n_batches=99), "the summary says 99"),
        "nan": (rewritten('{"schema": "textassay.summary/1", "inputs": NaN}'), "NaN is no finite number"),
        "deep": (rewritten("[" * 100_000), "cannot read"),
        "other": (rewritten('{"schema": "textassay.summary/2"}'), "made by a newer textassay"),
        "hollow": (rewritten('{"schema": "textassay.summary/1", "inputs": {}, "provenance": [1]}'), "not as a scan"),
        "rows": (lambda out: (out / "batches.parquet").write_bytes(b"PAR1" * 9), "batches.parquet"),
    }
    for name, (change, message) in cases.items():
        with pytest.raises(FolderError, match=message):
            gate(broken(name, change), policy("[damaged_files]\n[human_anchor_share]\n[batch_mattr]\nmin = 0"))
    with pytest.raises(FolderError):
        gate(tmp_path / "nowhere")


def test_a_manifest_cannot_lead_elsewhere(novels, tmp_path):
    copy = edited(novels, tmp_path)
    manifest = json.loads((copy / "manifest.json").read_text())
    for one, place in zip(manifest["inputs"], ("../../secret", "/etc/passwd", None, "documents/../x"), strict=False):
        one["documents"] = place
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert list(ScanResults(copy).documents(["n_tokens"])) == []
    assert check_of(copy, "[mattr]\nmin = 1").places == ()


# --- reports


def test_results_as_json(novels):
    result = gate(novels, policy("[mattr]\nmin = 1\n[damaged_files]"))
    found = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert found["out"] == str(novels) and found["passed"] is False
    assert [check["outcome"] for check in found["checks"]] == ["failed", "passed"]
    assert found["checks"][0]["places"][0].keys() == {"kind", "name", "note"}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A scan whose file and sources are named by somebody who means harm."""
    folder = tmp_path_factory.mktemp("hostile")
    name = HOSTILE.replace("/", "-")
    (folder / name).write_text(json.dumps({"site": HOSTILE, "model": "m", "text": SEA}) + "\n" + HOSTILE)
    rules = ProvenanceRules.parse('source = "site"\n[[rule]]\nlabel = "synthetic_known"\ngenerator = "model"')
    ta.scan(folder / name, folder / "out", provenance=rules, batch_tokens=10)
    return folder / "out"


STRICT = (
    "[malformed_share]\n[synthetic_ratio]\nmax = 0.0\nby = 'labels'\n[batch_entropy_bits]\nmin = 20\nmode = 'monitor'"
)


def test_junit_of_hostile_names_is_xml(hostile, novels):
    results = gate_all([hostile, novels], policy(STRICT))
    data = junit(results)
    root = ElementTree.fromstring(data)
    assert root.tag == "testsuites" and len(root) == 2
    for node, checks in ((root, [c for r in results for c in r.checks]), (root[0], results[0].checks)):
        wanted = {"tests": len(checks), "failures": sum(c.fails_gate for c in checks), "errors": 0}
        wanted["skipped"] = sum(not c.passed and not c.fails_gate for c in checks)
        assert {name: int(node.get(name)) for name in wanted} == wanted
    malformed, synthetic, entropy = root[0]
    assert "]]><script>|`*_[x](http:--e.vil)@you & \"'" in malformed[0].text and "\\x1b[31m" in malformed[0].text
    assert malformed[0].tag == "failure" and "1 of 2 records" in malformed[0].get("message")
    assert "]]><script>|`*_[x](http://e.vil)@you & \"'" in synthetic[0].text and "\\ufffe\\u202e" in synthetic[0].text
    assert entropy[0].tag == "skipped" and "monitored" in entropy[0].get("message")
    assert all(char.isprintable() or char == "\n" for char in data.decode())


@given(st.text(), st.text())
@example("\x00\ud800\ufffe", "]]>")
def test_any_text_survives_xml_and_markdown(name, out):
    check = Check(name, "enforce", "failed", 1.0, 2.0, None, 1.0, "", name)
    result = GateResult(out, [check])
    (case,) = ElementTree.fromstring(junit([result])).iter("testcase")
    assert case[0].tag == "failure"
    page = markdown([result])
    ours = page.replace("<code>", "").replace("</code>", "")
    assert not set("<>`[]@\x00\r") & set(ours) and "http:" not in ours
    (row,) = [line for line in page.splitlines() if line.startswith("| ❌")]
    assert row.count("|") == 6 and page.count("\n") == 5


def test_markdown_of_hostile_names(hostile):
    page = markdown(gate_all([hostile], policy(STRICT)))
    assert "<script>" not in page and "&#60;script&#62;" in page and "[x](" not in page and "⚠️ monitored" in page


# --- the command


def run(*arguments: object, **variables: str) -> Result:
    environment = {"COLUMNS": "200", "GITHUB_STEP_SUMMARY": None} | variables
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)


def test_exit_codes(novels, tmp_path):
    path = tmp_path / "policy.toml"
    for text, code, word in (
        ("[mattr]\nmin = 0", 0, "passes"),
        ("[mattr]\nmin = 1", 1, "does not pass"),
        ("[mattr]\nmin = 1\nmode = 'monitor'", 0, "1 more only monitored"),
        ("[perplexity]\nmax = 1", 1, "no data"),
        ("[perplexity]\nmax = 1\nmode = 'monitor'", 0, "no data"),
        ("[mattrr]\nmin = 0", 2, "unknown key 'mattrr'"),
        ("[tail_retention]\nmin = 0.1\nreference = 'nowhere.tap'", 2, "nowhere.tap"),
    ):
        path.write_text(text)
        done = run("gate", novels, "--policy", path)
        assert done.exit_code == code and word in done.stdout + done.stderr, text
    (tmp_path / "damaged.tap").write_bytes((novels / "profile.tap").read_bytes()[:-9])
    path.write_text(DRIFT)
    done = run("gate", novels, "--policy", path, "--reference", tmp_path / "damaged.tap")
    assert done.exit_code == 2 and "damaged.tap" in done.stderr
    for arguments in ((), (tmp_path / "nowhere",)):
        assert run("gate", *arguments).exit_code == 2


def test_print_policy(tmp_path):
    done = run("gate", "--print-policy")
    assert done.exit_code == 0 and GatePolicy.parse(done.stdout) == GatePolicy.parse(default_text())


def test_the_worst_of_several_decides(novels, labelled, tmp_path):
    done = run("gate", novels, labelled, "--json", "-o", tmp_path / "report.json", "--junit", tmp_path / "j.xml")
    assert done.exit_code == 1
    report = json.loads(done.stdout)
    assert report == json.loads((tmp_path / "report.json").read_text())
    assert report["schema"] == "textassay.gate/1" and [one["passed"] for one in report["outs"]] == [True, False]
    assert not report["passed"] and report["policy"]["limits"][2]["max"] == 0.6
    assert ElementTree.parse(tmp_path / "j.xml").getroot().get("tests") == "10"
    done = run("gate", novels, labelled)
    assert "1 of 2 folders failed" in done.stdout


def test_failures_come_first_with_their_places(shard, tmp_path):
    path = shard("bad\x1b[31m.jsonl", [SEA] * 10 + [FLAT] * 10)
    ta.scan(path, tmp_path / "out", batch_tokens=100)
    (tmp_path / "p.toml").write_text("[damaged_files]\n[batch_entropy_bits]\nmin = 2.0")
    done = run("gate", tmp_path / "out", "--policy", tmp_path / "p.toml")
    lines = done.stdout.splitlines()
    assert done.exit_code == 1 and "\x1b" not in done.stdout
    assert lines[2].split()[:2] == ["FAIL", "batch_entropy_bits"] and "missed by" in lines[2]
    assert any("\\x1b[31m.jsonl, batch 2 (documents 10-14)" in line for line in lines)


def test_github_summary(novels, tmp_path):
    page = tmp_path / "summary.md"
    page.write_text("before\n")
    for arguments, grows in (((), True), (("--no-github-summary",), False), (("--github-summary",), True)):
        before = page.read_text()
        assert run("gate", novels, *arguments, GITHUB_STEP_SUMMARY=str(page)).exit_code == 0
        assert page.read_text().startswith(before) and (page.read_text() != before) == grows
    assert page.read_text().count("### textassay gate passed") == 2
    done = run("gate", novels, "--github-summary", GITHUB_STEP_SUMMARY="")
    assert done.exit_code == 2 and "GITHUB_STEP_SUMMARY" in done.stderr


def test_settings_name_the_policy(novels, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "textassay.toml").write_text('[gate]\npolicy = "strict.toml"\n')
    (tmp_path / "strict.toml").write_text("[mattr]\nmin = 1\n")
    assert run("gate", novels).exit_code == 1


# --- stricter


TABLES = [
    ("[batch_entropy_bits]\ncount_short = {flag}\nallowed = {share}\nmin = {limit}", "min", (7, 10)),
    ("[batch_mattr]\nallowed = {share}\nmax = {limit}", "max", (0.6, 0.9)),
    ("[mattr]\nmin = {limit}", "min", (0, 1)),
    ("[burstiness]\nquantile = 0.05\nmax = {limit}", "max", (0, 1)),
    ("[synthetic_ratio]\ntrust_blind = {flag}\nmax = {limit}", "max", (0, 1)),
    ("[synthetic_ratio]\nbound = 'high'\ntrust_blind = {flag}\nmax = {limit}", "max", (0, 1)),
    ("[human_anchor_share]\nmin = {limit}", "min", (0, 1)),
    ("[malformed_share]\nmax = {limit}", "max", (0, 1)),
    ("[tail_retention]\nmin = {limit}", "min", (0, 1)),
    ("[[drift]]\nfigure = 'jsd_bits'\nmax = {limit}", "max", (0, 1)),
    ("[[limit]]\nfigure = 'corpus.entropy_bits'\nmin = {limit}", "min", (0, 20)),
]


@pytest.fixture(scope="module")
def several(novels, collapsed, labelled, tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    blind = edited(novels, folder, provenance__synthetic_fraction=ESTIMATE | {"fraction": 0.3, "high": 0.5})
    return [novels, collapsed, labelled, blind]


@settings(max_examples=60)
@given(st.data())
def test_stricter_never_passes_what_failed(several, novels, data):
    text, end, (lowest, highest) = data.draw(st.sampled_from(TABLES))
    out = data.draw(st.sampled_from(several))
    looser, stricter = sorted(data.draw(st.tuples(*[st.floats(lowest, highest)] * 2)), reverse=end == "max")
    flag = data.draw(st.sampled_from(["true", "false"]))
    more, fewer = sorted(data.draw(st.tuples(*[st.floats(0, 1)] * 2)), reverse=True)
    before = gate(out, policy(text.format(limit=looser, flag=flag, share=more)), reference=novels, read_documents=False)
    after = gate(
        out, policy(text.format(limit=stricter, flag=flag, share=fewer)), reference=novels, read_documents=False
    )
    assert before.passed or not after.passed


def test_the_example_policy_holds_for_the_examples(tmp_path):
    done = run(
        *("scan", ROOT / "examples", "--batch-tokens", "64K", "--provenance", ROOT / "examples" / "provenance.toml"),
        *("-o", tmp_path / "audit", "--quiet"),
    )
    assert done.exit_code == 0, done.stderr
    done = run("gate", tmp_path / "audit", "--policy", ROOT / "examples" / "policy.toml")
    assert done.exit_code == 0, done.stdout


def test_policies_in_the_documentation():
    text = (ROOT / "docs" / "gate.md").read_text("utf-8")
    blocks = [part.partition("```")[0] for part in text.split("```toml\n")[1:]]
    assert len(blocks) == 2 and default_text() in blocks
    for block in blocks:
        assert GatePolicy.parse(block).limits
