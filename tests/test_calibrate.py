"""Calibration on labelled documents: what is read, what is fitted, what is said of it, and the file."""

import gzip
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

import textassay as ta
from implementations import BACKENDS
from made_up_words import COMMON, TELLING
from textassay import UsageError
from textassay.calibration import figures, floors, load_calibration
from textassay.calibration import file as calibration_file
from textassay.calibration.build import _judged, calibrate
from textassay.calibration.crossing import bands_of, matched_weights, threshold_of
from textassay.calibration.fitting import fit_calibrator
from textassay.calibration.folds import folds_of, joined_groups
from textassay.calibration.labelled import LabelledFields, key_of, read_labelled
from textassay.calibration.report import published_votes
from textassay.detector import SUM, Detector, histogram_of
from textassay.share import estimate_share

EXAMPLES = Path(__file__).parent.parent / "examples"
LABELLED = Path(__file__).parent.parent.parent / "shared" / "data" / "labelled"
GROUP = r"^(.*)/[^/]+/[^/]+$"
"""Of an id there: without generator and split."""


def text_of(rng: np.random.Generator, synthetic: bool, sentences: int = 20) -> str:
    """Some tell-tale words, so that the sides overlap."""
    made = []
    for _ in range(sentences):
        telling = TELLING[synthetic if rng.random() < 0.7 else not synthetic]
        words = rng.choice(COMMON + telling, rng.integers(5, 15)).tolist()
        made.append(" ".join(words).capitalize() + ".")
    return " ".join(made)


def records(n: int, seed: int = 0) -> list[dict[str, str]]:
    """n groups of a human and a synthetic text."""
    rng = np.random.default_rng(seed)
    return [
        {
            "id": f"{number}/{side}",
            "text": text_of(rng, side == "synthetic", int(rng.integers(12, 60))),
            "label": side,
            "group": f"g{number}",
            "source": f"s{number % 2}",
            "domain": f"d{number % 3}",
        }
        for number in range(n)
        for side in ("human", "synthetic")
    ]


SETTINGS = {"group_field": "group", "source_field": "source", "domain_field": "domain", "fpr": 0.05, "threads": 1}


@pytest.fixture(scope="module")
def rows():
    return records(60)


def write(path: Path, rows) -> Path:
    data = b"".join((row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows)
    if path.suffix == ".zst":
        data = zstandard.ZstdCompressor(write_checksum=True).compress(data)
    elif path.suffix == ".gz":
        data = gzip.compress(data)
    path.write_bytes(data)
    return path


@pytest.fixture(scope="module")
def calibration(rows, tmp_path_factory):
    return calibrate(write(tmp_path_factory.mktemp("labelled") / "all.jsonl.zst", rows), **SETTINGS)


@pytest.fixture
def saved(calibration, tmp_path):
    calibration.save(tmp_path / "my.calibration")
    return tmp_path / "my.calibration"


def textassay(*arguments: object, **variables: str) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TEXTASSAY_")}
    environment |= {"TEXTASSAY_NUMBA_CACHE": "1", "COLUMNS": "200", **variables}
    command = [sys.executable, "-m", "textassay", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, env=environment, timeout=300, check=False, text=True)
    assert "Traceback" not in done.stderr, done.stderr
    return done


# What is read


def fields(**more) -> LabelledFields:
    known = {"text_fields": ["text"], "label": "label", "human_labels": [], "synthetic_labels": [], "group": "group"}
    known |= {"group_pattern": None, "source": "source", "domain": "domain"}
    return LabelledFields.parse(**(known | more))


def test_every_record_is_a_document_or_left_out_with_its_place(tmp_path):
    good = {"text": "One two.", "label": "human", "group": "a"}
    bad = [
        {"text": "x", "label": "maybe", "group": "a"},
        {"text": "x", "group": "a"},
        {"text": "x", "label": ["human"], "group": "a"},
        {"text": "x", "label": "human"},
        b'{"text": 7}',
        b"no json",
    ]
    path = write(tmp_path / "a.jsonl", [good, *bad, good | {"label": 1}])
    found = read_labelled(path, fields(), threads=1)
    reasons = {"unknown_label": 1, "no_label": 2, "no_group": 1, "malformed_not_json": 1}
    assert found.left_out.reasons == reasons | {"malformed_text_not_string": 1}
    assert len(found.synthetic) + sum(found.left_out.reasons.values()) == 8
    assert [error["line"] for error in found.left_out.errors] == [2, 3, 4, 5, 6, 7]
    lines = path.read_bytes().split(b"\n")
    for error in found.left_out.errors:
        assert error["byte_offset"] == sum(len(line) + 1 for line in lines[: error["line"] - 1])
        assert error["file"] == str(path)


def test_what_is_measured_is_the_text_that_is_kept(tmp_path, backend):
    """Both passes mean the same text: duplicate keys, escapes, surrogates, several fields, a BOM."""
    lines = [
        b'\xef\xbb\xbf{"text": "First one. It counts", "text": "second", "label": 0, "group": "a"}',
        b'{"t\\u0065xt": "caf\\u00e9 \\ud83d\\ude00 \\ud800 x", "label": "1", "group": "b", "more": ["\\u4e2d y z"]}',
        b"",
        b'{"more": ["only here", 1], "label": -0, "group": 7}',
    ]
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\r\n".join(lines))
    found = read_labelled(path, fields(text_fields=["text", "more.0"], human_labels=["0", "-0"]), threads=1)
    texts = {found.texts.read(row).decode() for row in range(len(found.synthetic))}
    assert texts == {"First one. It counts", "caf\u00e9 \U0001f600 \ufffd x\n\n\u4e2d y z", "only here"}
    table = ta.measure([found.texts.read(row).decode() for row in range(3)], threads=1)
    for name in ("n_tokens", "type_token_ratio", "burstiness", "marker_rate"):
        np.testing.assert_array_equal(found.columns[name], table[name])


def test_a_score_is_the_detectors(rows, tmp_path, backend):
    found = read_labelled(write(tmp_path / "a.jsonl", rows[:6]), fields(), threads=1)
    columns = Detector.default().columns([found.texts.read(row).decode() for row in range(6)])
    np.testing.assert_array_equal(found.columns[SUM], columns["detector_sum"] / columns["detector_features"])
    whole = dict(found.columns) | {"detector_features": np.ones(6)}
    np.testing.assert_array_equal(Detector.default().logit(whole), Detector.default().logit(columns))


def test_labels_are_mapped(rows, tmp_path):
    mapped = [{**row, "label": {"human": "person", "synthetic": True}[row["label"]]} for row in rows[:4]]
    path = write(tmp_path / "a.jsonl", mapped)
    found = read_labelled(path, fields(human_labels=["person"], synthetic_labels=["true", "bot"]), threads=1)
    assert found.synthetic.sum() == 2 and not found.left_out.reasons
    with pytest.raises(UsageError, match=r"'person' \(2\), 'true' \(2\).*'human', '0', '0.0' mean human"):
        read_labelled(path, fields(), threads=1)
    with pytest.raises(UsageError, match="'x' cannot mean human and synthetic"):
        fields(human_labels=["x"], synthetic_labels=["x"])
    assert fields().sides == {"human": False, "0": False, "0.0": False, "synthetic": True, "1": True, "1.0": True}


def test_a_group_is_what_the_pattern_matches(tmp_path):
    ids = ["set/1/human", "set/1/gpt", "set/2/human", "odd"]
    rows = [{"text": f"text {i}", "label": i % 2, "group": one} for i, one in enumerate(ids)]
    found = read_labelled(write(tmp_path / "a.jsonl", rows), fields(group_pattern=r"^(.*)/\w+$"), threads=1)
    assert found.left_out.reasons == {"no_group": 1}
    assert sorted(np.unique(found.group_key, return_counts=True)[1].tolist()) == [1, 2]
    with pytest.raises(UsageError, match="group pattern"):
        fields(group_pattern="(")
    with pytest.raises(UsageError, match="needs a group field"):
        fields(group=None, group_pattern="x")


def test_rare_names_are_one(tmp_path, monkeypatch):
    monkeypatch.setattr("textassay.calibration.labelled.MOST_NAMES", 2)
    rows = [{"text": f"x {i}", "label": 0, "group": "a", "source": name} for i, name in enumerate("cbbaacdda")]
    for _ in range(2):
        found = read_labelled(write(tmp_path / "a.jsonl", rows), fields(), threads=1)
        assert found.sources == ("a", "b", "(others)")
        assert np.bincount(found.source).tolist() == [3, 2, 4]
        rows = rows[::-1]


def test_a_damaged_file_is_left_out_whole(rows, tmp_path):
    whole = write(tmp_path / "a.jsonl.zst", rows[:20])
    damaged = write(tmp_path / "b.jsonl.zst", rows[20:])
    damaged.write_bytes(damaged.read_bytes()[:-10])
    found = read_labelled([whole, damaged], fields(), threads=1)
    assert len(found.synthetic) == 20
    assert found.inputs["files_damaged"] == 1
    assert found.left_out.errors[-1]["file"] == str(damaged)


# Groups and folds


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12), st.booleans()), min_size=1, max_size=60), st.randoms()
)
def test_groups_that_share_a_text_are_one_and_are_never_parted(documents, random):
    group, text = (np.array([d[i] for d in documents], np.uint64) for i in (0, 1))
    joined = joined_groups(group, text)
    # Naively: the least number spreads until nothing changes.
    naive = list(range(len(documents)))
    for _ in documents:
        for i in range(len(documents)):
            for j in range(len(documents)):
                if group[i] == group[j] or text[i] == text[j]:
                    naive[i] = naive[j] = min(naive[i], naive[j])
    for i in range(len(documents)):
        for j in range(len(documents)):
            assert (joined[i] == joined[j]) == (naive[i] == naive[j])
    order = np.array(random.sample(range(len(documents)), len(documents)))
    np.testing.assert_array_equal(joined_groups(group[order], text[order]), joined[order])


@given(
    st.lists(st.tuples(st.integers(0, 40), st.booleans()), min_size=40, max_size=120), st.integers(2, 5), st.randoms()
)
def test_folds_hold_whole_groups_of_either_side(documents, n_folds, random):
    group = np.array([d[0] for d in documents], np.int64)
    group = np.unique(group, return_inverse=True)[1].astype(np.int64)
    key = (group * 2654435761 % 2**32).astype(np.uint64)
    synthetic = np.array([d[1] for d in documents])
    try:
        fold = folds_of(group, key, synthetic, n_folds)
    except UsageError:
        fewest = min(len(np.unique(group[synthetic == side])) for side in (False, True))
        assert fewest < 3 * n_folds  # dealt out kind by kind, a side with this many groups reaches every fold
        return
    for one in np.unique(group):
        assert len(np.unique(fold[group == one])) == 1
    for side in (False, True):
        assert len(np.unique(fold[synthetic == side])) == n_folds
    order = np.array(random.sample(range(len(documents)), len(documents)))
    np.testing.assert_array_equal(folds_of(group[order], key[order], synthetic[order], n_folds), fold[order])


def test_the_judged_documents_are_split_by_group(rows, tmp_path):
    """A text that two groups share ties them together, too."""
    shared = [
        row | {"text": rows[0]["text"]} if row["group"] in ("g7", "g9") and row["label"] == "human" else row
        for row in rows
    ]
    documents = read_labelled(write(tmp_path / "a.jsonl", shared), fields(), threads=1)
    judged, _ = _judged(documents, (0.05,), 5, 100)
    by_group: dict[int, set[int]] = {}
    for key, fold in zip(documents.group_key[judged.rows].tolist(), judged.fold.tolist(), strict=True):
        by_group.setdefault(key, set()).add(fold)
    assert len(by_group) > 50 and all(len(folds) == 1 for folds in by_group.values())
    tied = [key_of(b"group\0" + name) for name in (b"g0", b"g7", b"g9")]
    assert len(set.union(*(by_group[key] for key in tied))) == 1


# Figures


def scores(seed: int, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    synthetic = rng.random(n) < 0.4
    return synthetic, np.round(rng.normal(synthetic * 1.0, 1.0), 1)


@pytest.mark.parametrize("seed", range(3))
def test_auroc_is_sklearns(seed):
    synthetic, score = scores(seed)
    assert figures.auroc(synthetic, score) == pytest.approx(roc_auc_score(synthetic, score), abs=1e-12)


def naive_variance(synthetic, score, group):
    """Obuchowski 1997, sum by sum."""
    above = {
        (i, j): (score[i] > score[j]) + 0.5 * (score[i] == score[j])
        for i in np.flatnonzero(synthetic)
        for j in np.flatnonzero(~synthetic)
    }
    ours, theirs = np.flatnonzero(synthetic).tolist(), np.flatnonzero(~synthetic).tolist()
    m, n = len(ours), len(theirs)
    area = sum(above.values()) / (m * n)
    of_synthetic = {i: sum(above[i, j] for j in theirs) / n - area for i in ours}
    of_human = {j: sum(above[i, j] for i in ours) / m - area for j in theirs}
    sums = {g: [sum(v for i, v in part.items() if group[i] == g) for part in (of_synthetic, of_human)] for g in group}
    groups = [len({group[i] for i in part}) for part in (ours, theirs)]
    total = groups[0] / (groups[0] - 1) / m**2 * sum(s[0] ** 2 for s in sums.values())
    total += groups[1] / (groups[1] - 1) / n**2 * sum(s[1] ** 2 for s in sums.values())
    return total + 2 / (m * n) * len(sums) / (len(sums) - 1) * sum(s[0] * s[1] for s in sums.values())


@pytest.mark.parametrize("groups", [40, 100, None])
def test_interval_of_an_area(groups):
    synthetic, score = scores(1, 100)
    rng = np.random.default_rng(2)
    group = np.arange(100) if groups is None else rng.integers(0, groups, 100)
    low, high = figures.auroc_interval(synthetic, score, group)
    area = figures.auroc(synthetic, score)
    half = 1.959964 * math.sqrt(naive_variance(synthetic, score, group.tolist())) / (area * (1 - area))
    assert math.log(area / (1 - area)) - math.log(low / (1 - low)) == pytest.approx(half, rel=1e-6)
    assert math.log(high / (1 - high)) - math.log(area / (1 - area)) == pytest.approx(half, rel=1e-6)


def test_interval_of_sides_that_do_not_overlap():
    synthetic = np.arange(60) < 20
    low, high = figures.auroc_interval(synthetic, synthetic.astype(float), np.arange(60))
    assert high == 1 and low**20 == pytest.approx(0.025)
    assert figures.auroc_interval(synthetic, -synthetic.astype(float), np.arange(60)) == (0, pytest.approx(1 - low))


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys(hits_of):
    interval = binomtest(*hits_of).proportion_ci(method="wilson")
    assert figures.wilson(*hits_of) == pytest.approx((interval.low, interval.high), abs=1e-12)


def test_wilson_of_nothing():
    assert figures.wilson(0, 0) is None and figures.share_of(0, 0)["share"] is None


def test_roc_points_keep_their_rate():
    synthetic, score = scores(4)
    points = figures.roc_points(synthetic, score)
    for rate, point in zip(figures.ROC_RATES, points, strict=True):
        above = score > point["threshold"]
        assert point["fpr"] == above[~synthetic].mean() <= rate + 1e-12
        assert point["recall"] == above[synthetic].mean()
    assert points[-1]["recall"] == 1 and [p["fpr"] for p in points] == sorted(p["fpr"] for p in points)


def test_calibration_error_of_honest_and_of_wrong_probabilities():
    synthetic = np.arange(100) < 30
    weights = np.full(100, 0.01)
    assert figures.calibration_error(synthetic, np.full(100, 0.3), weights) == pytest.approx(0, abs=1e-12)
    assert figures.calibration_error(synthetic, np.full(100, 0.8), weights) == pytest.approx(0.5)
    rows = figures.reliability(synthetic, np.full(100, 0.8), weights)
    assert len(rows) == 1 and rows[0]["synthetic"] == pytest.approx(0.3) and rows[0]["weight"] == pytest.approx(1)


# Fitting


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=300), st.sampled_from([0.01, 0.05, 0.2, 0.5]))
def test_a_threshold_is_the_conformal_quantile(human, rate):
    """Were the next document equally likely at each of the n + 1 ranks, at most a share of `rate` of them were above."""
    threshold = threshold_of(np.array(human), rate)
    n_above = sum(logit > threshold for logit in human)
    if rate * (len(human) + 1) >= 1:
        assert n_above + 1 <= rate * (len(human) + 1) + 1e-6
    else:
        assert threshold == max(human)


@given(st.lists(st.tuples(st.integers(100, 3000), st.booleans()), min_size=2, max_size=200))
def test_length_tells_nothing_to_the_fit(documents):
    words, synthetic = np.array([d[0] for d in documents]), np.array([d[1] for d in documents])
    doublings = np.array([int(n).bit_length() for n in words])
    shared = set(doublings[synthetic]) & set(doublings[~synthetic])
    if not shared:
        with pytest.raises(UsageError, match="length alone"):
            matched_weights(synthetic, words)
        return
    weights = matched_weights(synthetic, words)
    assert weights.sum() == pytest.approx(1) and (weights >= 0).all()
    for length in np.unique(doublings):
        mine = doublings == length
        assert weights[mine & synthetic].sum() == pytest.approx(weights[mine & ~synthetic].sum())
        assert (weights[mine] > 0).all() == (length in shared)


def test_bands_are_joined_until_each_has_enough():
    words = np.array([100] * 50 + [250] * 10 + [500] * 30)
    assert bands_of(words, 100, 5) == (100, 200, 400)
    assert bands_of(words, 100, 25) == (100, 400)
    assert bands_of(words, 100, 45) == (100,)
    assert bands_of(words, 300, 5) == (300, 400) or bands_of(words, 300, 5) == (300,)
    assert bands_of(np.array([500] * 30), 50, 25) == (50,)


def test_a_higher_score_never_lowers_a_logit():
    """Also where the user's data say the opposite."""
    rng = np.random.default_rng(0)
    synthetic = np.arange(400) % 2 == 0
    columns = {"n_tokens": rng.integers(100, 900, 400), "burstiness": rng.normal(0.5, 0.1, 400)}
    columns |= {"marker_rate": rng.random(400) + synthetic, "detector_features": np.ones(400)}
    columns[SUM] = rng.normal(np.where(synthetic, -5, 5), 3)
    fitted = {
        term["name"]: term["coefficient"] for term in fit_calibrator(columns, synthetic, np.full(400, 1 / 400))["terms"]
    }
    assert fitted["score"] == 0 and fitted["score_by_length"] >= 0 and fitted["marker_rate"] > 0


def test_terms_that_do_not_vary_are_left_out():
    rng = np.random.default_rng(0)
    synthetic = np.arange(200) % 2 == 0
    columns = {"n_tokens": np.full(200, 128), "burstiness": np.full(200, np.nan), "marker_rate": np.zeros(200)}
    columns |= {SUM: rng.normal(synthetic * 2.0, 1), "detector_features": np.ones(200)}
    found = fit_calibrator(columns, synthetic, np.full(200, 1 / 200))
    assert [term["name"] for term in found["terms"]] == ["score", "score_by_length"]
    with pytest.raises(UsageError, match="same score"):
        fit_calibrator({**columns, SUM: np.zeros(200)}, synthetic, np.full(200, 1 / 200))


# The whole


def shuffled(rows, seed: int):
    return [rows[i] for i in np.random.default_rng(seed).permutation(len(rows))]


def test_same_documents_same_file(rows, saved, tmp_path, backend):
    """Whatever the order, the shards, the compression, the threads, the backend."""
    folder = tmp_path / "shards"
    folder.mkdir()
    mixed = shuffled(rows, 1)
    write(folder / "z.jsonl", mixed[:30])
    write(folder / "a.jsonl.gz", mixed[30:35])
    write(folder / "m.jsonl.zst", mixed[35:])
    calibrate(folder, **(SETTINGS | {"threads": 3})).save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == saved.read_bytes()


def test_another_document_is_another_file(rows, calibration, tmp_path):
    other = calibrate(
        write(tmp_path / "a.jsonl", [*rows[:-1], rows[-1] | {"text": rows[-1]["text"] + " More."}]), **SETTINGS
    )
    assert other.report["documents"]["digest"] != calibration.report["documents"]["digest"]
    assert other.detector.digest != calibration.detector.digest


def test_a_file_is_a_detector(calibration, saved, rows, tmp_path, backend):
    detector = Detector.load(saved)
    assert detector.digest == calibration.detector.digest
    texts = [row["text"] for row in rows[:10]]
    expected = detector.logit(detector.columns(texts))
    measured = ta.measure(texts, ["n_tokens", "synthetic_logit"], detector=detector, threads=1)
    np.testing.assert_array_equal(
        measured["synthetic_logit"][measured["n_tokens"] >= 100], expected[measured["n_tokens"] >= 100]
    )
    assert set(detector.verdict(detector.columns(texts))) <= {"synthetic_suspected", "human_unverified", "abstain"}
    assert detector.explain(texts[0])["fpr"] == 0.05
    with pytest.raises(UsageError, match=r"thresholds for 0\.05"):
        detector.at(0.01)
    found = ta.scan(write(tmp_path / "a.jsonl", rows[:10]), detector=detector, documents="memory", threads=1)
    assert found.profile.configuration.detector == calibration.detector.digest


def test_figures_are_of_documents_that_the_model_had_not_seen(rows, tmp_path):
    """Labels that mean nothing: in the fold they could be learnt by heart, outside nothing can be known of them."""
    rng = np.random.default_rng(3)
    noise = [{"text": row["text"], "label": int(rng.integers(2))} for row in records(150, seed=9)]
    found = calibrate(write(tmp_path / "a.jsonl", noise), fpr=0.1, threads=1).report["figures"]["calibrated"]
    low, high = found["auroc_interval"]
    assert low < 0.5 < high
    assert found["at"][0]["fpr"]["interval"][0] < 0.1 < found["at"][0]["fpr"]["interval"][1]


def test_the_report_adds_up(calibration, rows):
    report = calibration.report
    judged = report["documents"]["judged"]
    assert report["documents"]["labelled"] == {"human": 60, "synthetic": 60}
    assert report["documents"]["groups"] == 60
    at = report["figures"]["calibrated"]["at"][0]
    assert (at["fpr"]["n"], at["recall"]["n"]) == (judged["human"], judged["synthetic"])
    assert at["precision"]["n"] == at["fpr"]["hits"] + at["recall"]["hits"]
    for table in report["by"].values():
        assert sum(row["human"] for row in table) == judged["human"]
        assert sum(row["at"][0]["recall"]["hits"] for row in table) == at["recall"]["hits"]
        areas = [row["auroc"] for row in table if row["auroc"] is not None]
        assert areas == sorted(areas)
    assert set(report["by"]) == {"source", "domain", "length"}
    assert any("without an anchor" in note for note in report["notes"])
    assert any("too few to say" in note for note in report["notes"])
    assert report["figures"]["calibrated"]["auroc"] > 0.9  # the made-up words tell


def test_a_scan_takes_verdicts_and_share_from_it(backend, saved, tmp_path):
    detector = Detector.load(saved)
    found = ta.scan(write(tmp_path / "a.jsonl", records(60, seed=9)), detector=saved, documents="memory")
    suspected = detector.suspects(found.documents)
    assert ((found.documents["provenance"] == "synthetic_suspected") == suspected).all() and suspected.any()
    share = found.summary["provenance"]["synthetic_fraction"]
    assert share["reference"] == "calibration" and not share["is_blind"]
    assert share["fraction"] == pytest.approx(0.5, abs=0.12)


def test_references_are_histograms_of_a_profile(calibration):
    judged = calibration.report["documents"]["judged"]
    reference = calibration.detector.reference
    for side, bins in (("human", reference.human), ("synthetic", reference.synthetic)):
        assert bins.shape == (1024,) and bins.sum() == judged[side]
    share = estimate_share(reference.synthetic, reference.human, reference.synthetic, True)
    assert share.fraction > 0.9


def test_bins_of_references_are_the_backends(backend):
    from textassay.calibration.build import _reference

    logit = np.array([-9.0, -8.0, -0.001, 0.0, 1 / 64, 3.14159, 7.999, 8.5])
    found = histogram_of(_reference(logit, np.zeros(8, np.bool_))["human"])
    expected = np.bincount([backend.bin_index("synthetic_logit", value) for value in logit], minlength=1024)
    np.testing.assert_array_equal(found, expected)


def test_the_published_rule_is_the_classifiers(tmp_path):
    raw = (EXAMPLES / "sample.jsonl.zst").read_bytes()
    lines = zstandard.ZstdDecompressor().stream_reader(raw).read().splitlines()[:200]
    path = write(tmp_path / "a.jsonl", [json.loads(line) | {"label": i % 2} for i, line in enumerate(lines)])
    ta.build_anchor(path, tmp_path / "human.anchor", threads=1)
    found = read_labelled(path, fields(group=None), anchor=ta.load_anchor(tmp_path / "human.anchor"), threads=1)
    rule, voting = published_votes(found.columns)
    assert voting == ["perplexity", "burstiness", "type_token_ratio"]
    classifier = ta.ProvenanceClassifier(tmp_path / "human.anchor")
    verdicts = classifier.classify_all([found.texts.read(row).decode() for row in range(len(rule))])
    assert [verdict["verdict"] == "SYNTHETIC" for verdict in verdicts] == rule.tolist()
    assert rule.any() and not rule.all()


def test_new_weights_are_trained_on_other_folds_only(rows, tmp_path, monkeypatch, backend):
    """A word that only one group has cannot help to tell it."""
    monkeypatch.setattr("textassay.calibration.build.TRAINED_FROM", 20)
    path = write(tmp_path / "a.jsonl", rows)
    found = calibrate(path, train=True, folds=3, **SETTINGS)
    found.save(tmp_path / "my.calibration")
    detector = load_calibration(tmp_path / "my.calibration").detector
    assert not np.array_equal(detector.weights, Detector.default().weights)
    assert detector.name == "en-1 trained anew"
    assert found.report["figures"]["calibrated"]["auroc"] > 0.9
    assert "reweighted" in found.report["figures"]
    calibrate(write(tmp_path / "b.jsonl", shuffled(rows, 2)), train=True, folds=3, **SETTINGS).save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "my.calibration").read_bytes()
    rng = np.random.default_rng(5)
    noise = [{"text": f"{text_of(rng, False)} word{i} word{i}", "label": i % 2} for i in range(120)]
    noise = calibrate(write(tmp_path / "c.jsonl", noise), train=True, folds=3, fpr=0.1, threads=1)
    low, high = noise.report["figures"]["calibrated"]["auroc_interval"]
    assert low < 0.5 < high


# Floors


def naive_entropies(texts, size: int) -> list[float]:
    found, tokens = [], []
    for text in texts:
        tokens += list(text)
        if len(tokens) >= size:
            counts = [tokens.count(one) / len(tokens) for one in set(tokens)]
            found.append(-sum(share * math.log2(share) for share in counts))
            tokens = []
    return sorted(found)


def test_entropies_of_batches_are_those_of_their_texts(rows, tmp_path, backend):
    found = read_labelled(write(tmp_path / "a.jsonl", rows[:40]), fields(domain=None), threads=1)
    entropies = floors.batch_entropies(found, True, 1)
    expected = []
    for source in (0, 1):
        chosen = np.flatnonzero(found.synthetic & (found.source == source))
        expected += naive_entropies([found.texts.read(row).decode() for row in chosen], 1024)
    assert len(expected) > 10
    assert entropies["char", 1024] == pytest.approx(sorted(expected), rel=1e-9)


@given(st.lists(st.floats(3, 5), max_size=80), st.sampled_from([0.01, 0.05, 0.2]))
def test_a_floor_leaves_its_share_of_human_batches_below(human, rate):
    human = sorted(human)
    row = floors.floors_of({("char", 1024): human}, {("char", 1024): [3.0, 4.0]}, rate)[0]
    place = math.floor(rate * (len(human) + 1) + 1e-9)
    if place == 0:
        assert row["floor_bits"] is None and row["human"]["share"] is None and row["human"]["n"] == len(human)
    else:
        assert row["floor_bits"] == human[place - 1]
        assert row["human"]["share"] <= rate
        assert row["synthetic"]["hits"] == sum(value < row["floor_bits"] for value in (3.0, 4.0))


def test_floors_are_kept_and_the_published_scale_is_named(calibration):
    rows = calibration.report["floors"]
    kept = [(row["tokens"], row["batch_tokens"], row["floor_bits"]) for row in rows if row["floor_bits"] is not None]
    names = ("tokens", "batch_tokens", "floor_bits")
    assert kept and [tuple(floor[name] for name in names) for floor in calibration.floors] == kept
    assert all(("published" in row) == (row["tokens"] == "char") for row in rows)
    assert any("scale of characters" in note for note in calibration.report["notes"])
    assert rows[5]["floor_bits"] is None and rows[5]["human"]["share"] is None


# The file


def changed(path: Path, change, new_digest: bool = True) -> Path:
    content = json.loads(path.read_text())
    change(content)
    if new_digest:
        content["digest"] = calibration_file.digest_of(content)
    path.write_text(json.dumps(content))
    return path


HOSTILE = {
    "format": (
        lambda c: c.update(format="textassay.calibration/2"),
        "made by a newer textassay: format textassay.calibration 2",
    ),
    "features": (lambda c: c.update(features=2), "wanted features 1"),
    "unknown key": (lambda c: c.update(more=1), "wanted format, digest"),
    "missing key": (lambda c: c.pop("floors"), "wanted format, digest"),
    "name": (lambda c: c.update(name="x" * 41), "1 to 40 characters"),
    "markers": (lambda c: c.update(markers="0"), "another marker lexicon"),
    "report": (lambda c: c.update(report=[]), "object as report"),
    "no rates": (lambda c: c.update(false_positive_rates=[]), "rates of false positives"),
    "falling rates": (lambda c: c.update(false_positive_rates=[0.05, 0.01]), "ascending rates"),
    "rate of 1": (lambda c: c.update(false_positive_rates=[1]), "between 0 and 1"),
    "thresholds": (lambda c: c["bands"][0].update(thresholds=[1, 2, 3]), "as thresholds"),
    "huge band": (lambda c: c["bands"][0].update(from_words=1e300), "as from_words"),
    "huge coefficient": (lambda c: c["calibrator"]["terms"][0].update(coefficient=1e30), "as coefficient"),
    "unknown term": (lambda c: c["calibrator"]["terms"][0].update(name="perplexity"), "as a term"),
    "falling probability": (
        lambda c: c["calibrator"].update(probabilities=c["calibrator"]["probabilities"][::-1]),
        "never fall",
    ),
    "unknown base": (lambda c: c["weights"].update(name="en-9"), "this textassay does not have"),
    "another base": (lambda c: c["weights"].update(blake2b="00"), "this textassay does not have"),
    "no base64": (lambda c: c.update(weights={"blake2b": "00", "zstd_base64": "?"}), "no base64"),
    "no string": (lambda c: c.update(weights={"blake2b": "00", "zstd_base64": 7}), "no base64"),
    "no frame": (lambda c: c.update(weights={"blake2b": "00", "zstd_base64": "AAAA"}), "damaged"),
    "many bins": (lambda c: c["reference"].update(human=[[0, 1]] * 2000), "1024 pairs"),
    "negative count": (lambda c: c["reference"]["human"][0].__setitem__(1, -1), "its count"),
    "float count": (lambda c: c["reference"]["human"][0].__setitem__(1, 1.0), "its count"),
    "huge count": (lambda c: c["reference"]["human"][0].__setitem__(1, 1 << 60), "its count"),
    "far bin": (lambda c: c["reference"]["human"][0].__setitem__(0, 1024), "a bin below 1024"),
    "one reference": (lambda c: c["reference"].pop("synthetic"), "in the reference"),
    "many floors": (lambda c: c.update(floors=c["floors"] * 100), "at most 64 floors"),
    "floor of bytes": (lambda c: c["floors"][0].update(tokens="byte"), "word or char"),
    "floor in bits": (lambda c: c["floors"][0].update(floor_bits=-1), "0 to 25 bits"),
    "floor of nothing": (lambda c: c["floors"][0].update(batch_tokens=0), "as batch_tokens"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(saved, name):
    change, message = HOSTILE[name]
    with pytest.raises(UsageError, match=message):
        Detector.load(changed(saved, change))


def test_a_table_that_unpacks_to_another_size(saved):
    bomb = calibration_file.packed_weights(np.zeros(1 << 24, np.int8))
    with pytest.raises(UsageError, match="wanted 262144 weights in one frame, found 16777216"):
        load_calibration(changed(saved, lambda content: content.update(weights=bomb)))


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{", b"\xff", b'{"a": 1, "a": 2}', b'{"a": NaN}', b"[" * 100_000, b" " * (1 << 21)]
)
def test_what_is_no_calibration(tmp_path, text):
    path = tmp_path / "my.calibration"
    path.write_bytes(text)
    with pytest.raises(UsageError, match="the calibration"):
        load_calibration(path)


@pytest.mark.parametrize("value", ["1e999", "[" * 900 + "]" * 900])
def test_what_cannot_be_written_is_not_read(saved, value):
    text = saved.read_text().replace('"folds": 5', f'"folds": {value}')
    assert value in text
    saved.write_text(text)
    with pytest.raises(UsageError, match="the calibration"):
        load_calibration(saved)


def test_a_changed_byte_is_seen(saved):
    with pytest.raises(UsageError, match="not as it was written"):
        load_calibration(changed(saved, lambda content: content["report"].update(folds=6), new_digest=False))


def test_reading_gives_what_was_written(calibration, saved, tmp_path):
    again = ta.Calibration.load(saved)
    assert again.report == calibration.report and again.floors == calibration.floors
    again.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == saved.read_bytes()
    with pytest.raises(ta.OutputError, match="cannot write"):
        again.save(tmp_path / "no" / "such" / "folder")


# Bad input


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (lambda rows: rows[::2], {}, "all 60 labelled documents are human: wanted synthetic ones, too"),
        (lambda rows: rows[1::2], {}, "all 60 labelled documents are synthetic: wanted human ones, too"),
        (lambda rows: rows, {"fpr": 0.01}, "needs 125 human documents of 100 words or more, there are"),
        (lambda rows: rows[::2] + rows[1:61:2], {}, "wanted 50 synthetic documents"),
        (lambda rows: rows, {"train": True}, "training needs 1,000 documents of each side"),
        (
            lambda rows: [row | {"group": "all"} for row in rows],
            {},
            "1 groups with human documents are too few for 5 folds",
        ),
        (lambda rows: rows, {"fpr": 0.7}, "wanted 1 to 8 shares"),
        (lambda rows: rows, {"fpr": []}, "wanted 1 to 8 shares"),
        (lambda rows: rows, {"folds": 1}, "folds=1: wanted a whole number from 2 to 20"),
        (lambda rows: rows, {"shortest": 5}, "shortest=5"),
        (lambda rows: rows, {"floor_fpr": 0}, "floor_fpr=0"),
        (lambda rows: rows, {"label_field": "nothing"}, "no record has a usable label in the field nothing"),
        (lambda rows: rows, {"name": "x" * 41}, "name of 1 to 40"),
    ],
)
def test_what_cannot_be_calibrated(rows, tmp_path, change, settings, message):
    with pytest.raises(UsageError, match=message):
        calibrate(write(tmp_path / "a.jsonl", change(rows)), **(SETTINGS | settings))


def test_without_scikit_learn(rows, tmp_path, monkeypatch):
    monkeypatch.setattr("textassay.calibration.build.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'textassay\[calibrate\]'"):
        calibrate(write(tmp_path / "a.jsonl", rows), **SETTINGS)


def test_a_calibration_is_read_without_scikit_learn(saved):
    code = "import sys; import textassay; textassay.Calibration.load(sys.argv[1]); "
    code += "print([m for m in ('sklearn', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code, saved], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Command line

OPTIONS = ("--group-field", "group", "--source-field", "source", "--domain-field", "domain", "--fpr", "0.05")


@pytest.mark.parametrize("forced", [b.backend for b in BACKENDS])
def test_command(rows, saved, tmp_path, forced):
    path = write(tmp_path / "a.jsonl.zst", shuffled(rows, 4))
    done = textassay("calibrate", path, *OPTIONS, "-o", tmp_path / "cli.calibration", TEXTASSAY_BACKEND=forced)
    assert done.returncode == 0, done.stderr
    for part in (
        "What it is worth",
        "published rule",
        "By source, worst first",
        "Entropy floors",
        "scale of characters",
    ):
        assert part in done.stdout, part
    assert (tmp_path / "cli.calibration").read_bytes() == saved.read_bytes()
    done = textassay("scan", path, "--detector", tmp_path / "cli.calibration", TEXTASSAY_BACKEND=forced)
    assert done.returncode == 0 and "synthetic_logit" in done.stdout


def test_json_and_records_without_a_label(rows, tmp_path):
    path = write(tmp_path / "a.jsonl", [*rows, {"text": "x", "label": "?", "group": "x"}, b"{"])
    done = textassay("calibrate", path, *OPTIONS, "--json")
    assert done.returncode == 3 and "unknown_label 1" in done.stderr
    found = json.loads(done.stdout)
    assert found["documents"]["left_out"] == {"malformed_not_json": 1, "unknown_label": 1}
    assert [error["line"] for error in found["errors"]] == [121, 122]
    assert sorted(os.listdir(tmp_path)) == ["a.jsonl"]
    assert textassay("calibrate", path, *OPTIONS, "--json", "--malformed-budget", "2").returncode == 0
    shown = textassay("calibrate", path, *OPTIONS).stdout
    assert "Left out: malformed_not_json 1, unknown_label 1" in shown and "line 121 of" in shown


def test_one_class_is_a_usage_error(rows, tmp_path):
    done = textassay("calibrate", write(tmp_path / "a.jsonl", rows[::2]), *OPTIONS, "-o", tmp_path / "out")
    assert done.returncode == 2 and "wanted synthetic ones, too" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_not_there_is_said_at_once(rows, tmp_path):
    done = textassay("calibrate", write(tmp_path / "a.jsonl", rows), *OPTIONS, "-o", tmp_path / "no" / "out")
    assert done.returncode == 2 and "wanted a file in a folder" in done.stderr


def test_standard_input_cannot_be_read_twice(rows, tmp_path):
    done = textassay("calibrate", "-", *OPTIONS)
    assert done.returncode == 2


# Real text

needs_labelled = pytest.mark.skipif(not LABELLED.is_dir(), reason="the labelled sets are not here")


@needs_labelled
def test_thresholds_hold_on_human_text_that_was_held_out(tmp_path):
    """Essays, by halves of their groups: fitted to one half, the detector keeps its rates on the other."""
    halves = ([], [])
    for name in ("human", "gpt-3.5-turbo-0301", "flan-t5-xxl"):
        for split in ("test", "valid"):
            path = LABELLED / f"outfox__student-essay__{name}__{split}.jsonl.zst"
            for line in zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read().splitlines():
                row = json.loads(line)
                halves[int(row["id"].split("/")[2][-1]) % 2].append(row)
    path = write(tmp_path / "fitted.jsonl.zst", halves[0])
    settings = {"group_field": "id", "group_pattern": GROUP, "fpr": (0.02, 0.05, 0.1), "source_field": "generator"}
    calibration = calibrate(path, **settings)
    detector = calibration.detector
    texts = [row["text"] for row in halves[1]]
    synthetic = np.array([row["label"] == "synthetic" for row in halves[1]])
    columns = detector.columns(texts)
    judged = columns["n_tokens"] >= 100
    for rate in detector.false_positive_rates:
        suspected = detector.at(rate).verdict(columns) == "synthetic_suspected"
        alarms, n = int(suspected[judged & ~synthetic].sum()), int((judged & ~synthetic).sum())
        assert n > 400
        assert binomtest(alarms, n, rate).pvalue > 0.001, (rate, alarms, n)
        told = next(at for at in calibration.report["figures"]["calibrated"]["at"] if at["rate"] == rate)
        recall = suspected[judged & synthetic].mean()
        assert recall == pytest.approx(told["recall"]["share"], abs=0.06)
    worst = calibration.report["by"]["source"][0]
    assert worst["name"] == "flan-t5-xxl" and worst["against"] == "all human"
