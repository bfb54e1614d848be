"""mix: the nearest shares that a policy allows, what clashes where there are none, and dolma's configuration."""

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from textassay.anchor.build import build_anchor
from textassay.dolma import mixer_configuration, write_attributes
from textassay.errors import FolderError, InputError, UsageError
from textassay.merging import merge_profiles, write_merged
from textassay.mixing import MixPolicy, plan_mix
from textassay.projection import Limit, find_cap_factor, find_conflict, project
from textassay.scanning import scan

# The projection


@st.composite
def problems(draw, with_caps: bool = True):
    n = draw(st.integers(2, 7))
    weights = np.array(draw(st.lists(st.integers(1, 50), min_size=n, max_size=n)), float)
    natural = weights / weights.sum()
    limits = []
    for k in range(draw(st.integers(0, 4))):
        members = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)), float)
        bound = draw(st.integers(1, 19)) / 20
        limits.append(Limit(f"{k}", *((members, bound) if draw(st.booleans()) else (-members, -bound))))
    if with_caps and draw(st.booleans()):
        limits.append(
            Limit("cap", np.where(members_of(draw, n), natural, np.inf), draw(st.integers(10, 40)) / 10, True)
        )
    return natural, limits


def members_of(draw, n: int) -> np.ndarray:
    return np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))


def kept(shares, limits, slack: float) -> bool:
    caps = [one.ceilings() for one in limits if one.is_cap]
    plain = all(one.coefficients @ shares <= one.bound + slack for one in limits if not one.is_cap)
    return plain and all((shares <= cap + slack).all() for cap in caps)


def naive_projection(natural, limits) -> float:
    """The least divergence that a general optimiser finds."""
    caps = np.min(
        [o.ceilings() for o in limits if o.is_cap] or [np.ones(len(natural))],
        axis=0,
    )
    plain = [{"type": "ineq", "fun": lambda q, o=o: o.bound - o.coefficients @ q} for o in limits if not o.is_cap]
    found = minimize(
        lambda q: (q * np.log(np.maximum(q, 1e-300) / natural)).sum(),
        np.minimum(natural, caps),
        bounds=[(0, min(1, cap)) for cap in caps],
        constraints=[{"type": "eq", "fun": lambda q: q.sum() - 1}, *plain],
        method="SLSQP",
        options={"ftol": 1e-13, "maxiter": 500},
    )
    assert kept(found.x, limits, 1e-6)
    return found.fun


@given(problems())
def test_the_nearest_that_keeps_to_the_limits(problem):
    natural, limits = problem
    if find_conflict(limits, len(natural)):
        return
    found = project(natural, limits)
    assert kept(found.shares, limits, 1e-7)
    assert found.shares.sum() == pytest.approx(1, abs=1e-12)
    assert (found.prices >= 0).all()
    assert found.divergence <= naive_projection(natural, limits) + 1e-6


@given(problems())
def test_a_conflict_is_irreducible(problem):
    natural, limits = problem
    n = len(natural)
    conflict = find_conflict(limits, n)
    clashing = [one.limit for one in conflict]
    for one in conflict:
        others = [limit for limit in clashing if limit is not one.limit]
        assert find_conflict(others, n) == []
        if one.needed is not None:
            changed = Limit("", one.limit.coefficients, one.needed + 1e-6, one.limit.is_cap)
            assert find_conflict([changed if limit is one.limit else limit for limit in limits], n) == []
    assert not conflict or find_conflict(clashing, n)


def test_without_limits_nothing_changes():
    natural = np.array([0.2, 0.3, 0.5])
    found = project(natural, [Limit("loose", np.array([1.0, 0, 0]), 0.9)])
    assert found.divergence == 0 and found.shares == pytest.approx(natural) and found.prices.tolist() == [0]


def test_on_the_border_of_what_can_be():
    """Only one distribution keeps to these limits, and it has a share of nothing."""
    natural = np.array([0.2, 0.3, 0.5])
    found = project(natural, [Limit("all", np.array([-1.0, -1, 0]), -1.0)])
    assert found.shares == pytest.approx([0.4, 0.6, 0], abs=1e-7)


def test_caps_together():
    limits = [Limit("cap", np.array([0.1, 0.1]), 2.0, True), Limit("least", np.array([-1.0, 0]), -0.4)]
    assert find_cap_factor(limits, 2) == pytest.approx(2.5)
    assert find_cap_factor([*limits, Limit("no", np.array([1.0, 0]), 0.3)], 2) is None


# From scans

RULES = """
source = "source"
[[rule]]
label = "synthetic_known"
generator = "model"
[[rule]]
label = "human_verified"
field = "verified"
equals = true
"""

PARTS = {
    ("news", "human_unverified"): 300,
    ("blog", "human_unverified"): 200,
    ("blog", "synthetic_known"): 700,
    ("stories", "synthetic_known"): 900,
    ("books", "human_verified"): 60,
}


def records_of(parts) -> list[dict]:
    found = []
    for (source, label), number in parts.items():
        more = {"synthetic_known": {"model": "m"}, "human_verified": {"verified": True}}.get(label, {})
        found += [
            {"id": f"{source}-{label}-{i}", "source": source, "text": "one two three four"} | more
            for i in range(number)
        ]
    return found


@pytest.fixture
def audit(shard, tmp_path):
    (tmp_path / "rules.toml").write_text(RULES)
    path = shard("data/documents/all.jsonl.gz", [])
    path.write_bytes(gzip.compress("".join(json.dumps(r) + "\n" for r in records_of(PARTS)).encode()))
    scan(path, tmp_path / "audit", provenance=tmp_path / "rules.toml")
    return tmp_path / "audit"


def planned(audit, **table) -> dict:
    return plan_mix(audit, MixPolicy.parse(table)).report


def by_part(report, figure: str) -> dict:
    return {(row["source"], row["label"]): row[figure] for row in report["weights"]}


def test_the_default_policy(audit):
    """Within synthetic, verified and other text the natural proportions stay: raking's closed form for limits on disjoint parts."""
    report = planned(audit)
    assert report["natural"]["synthetic"] == pytest.approx(1600 / 2160)
    assert report["achieved"]["synthetic"] == pytest.approx(0.6)
    assert report["achieved"]["labels"]["human_verified"] == pytest.approx(0.1)
    expected = {
        key: 0.6 * n / 1600 if "synthetic" in key[1] else 0.1 if "verified" == key[1][6:] else 0.3 * n / 500
        for key, n in PARTS.items()
    }
    assert by_part(report, "share") == pytest.approx(expected)
    total = 4 * sum(PARTS.values())
    epochs = {key: share * total / (4 * PARTS[key]) for key, share in expected.items()}
    assert by_part(report, "epochs") == pytest.approx(epochs)
    assert set(report["binding"]) == {"max_synthetic = 0.6", "min_human_verified = 0.1"}


def test_limits_on_sources_labels_and_epochs(audit):
    report = planned(
        audit,
        tokens=6000,
        max_epochs=1.2,
        sources={"blog": {"max": 0.2}, "stories": {"min": 0.5}},
        labels={"human_verified": {"max_epochs": 10, "max": 0.2}},
    )
    found = by_part(report, "epochs")
    assert report["achieved"]["sources"] == {"blog": pytest.approx(0.2), "stories": pytest.approx(0.5)}
    assert all(epochs <= (10 if label == "human_verified" else 1.2) + 1e-6 for (_, label), epochs in found.items())
    assert "sources.stories.min = 0.5" in report["binding"]
    assert sum(by_part(report, "share").values()) == pytest.approx(1)


def test_a_limit_of_nothing(audit):
    report = planned(audit, max_synthetic=0, max_epochs=20, sources={"news": {"max_epochs": 0}})
    shares = by_part(report, "share")
    assert {key for key, share in shares.items() if share > 0} == {
        ("blog", "human_unverified"),
        ("books", "human_verified"),
    }


def test_what_clashes(audit):
    report = planned(audit, tokens="1M")
    assert not report["feasible"] and "weights" not in report
    # Alone it clashes with the number of tokens; what it needs is for the rarest of all, 240 verified tokens that must do for 100,000.
    assert report["conflicts"] == [{"limit": "max_epochs = 4", "needed": pytest.approx(100_000 / 240)}]
    assert planned(audit, tokens=report["tokens_at_most"])["feasible"]
    assert not planned(audit, tokens=int(report["tokens_at_most"] * 1.001))["feasible"]
    report = planned(audit, sources={"blog": {"min": 0.5}, "stories": {"min": 0.6}})
    assert [one["limit"] for one in report["conflicts"]] == ["sources.blog.min = 0.5", "sources.stories.min = 0.6"]
    assert report["tokens_at_most"] is None
    assert planned(
        audit, max_synthetic=1, min_human_verified=0, sources={"blog": {"min": 0.5}, "stories": {"min": 0.5}}
    )["feasible"]


def test_several_scans(audit, shard, tmp_path):
    other = shard("other.jsonl", records_of({("archive", "human_verified"): 500}))
    scan(other, tmp_path / "other", provenance=tmp_path / "rules.toml")
    report = plan_mix([audit, tmp_path / "other"], MixPolicy.parse({"max_synthetic": 0.5})).report
    assert {row["scan"] for row in report["weights"]} == {str(audit), str(tmp_path / "other")}
    assert report["achieved"]["synthetic"] == pytest.approx(0.5)
    profile, summary = merge_profiles([audit, tmp_path / "other"])
    write_merged(tmp_path / "merged", profile, summary, [audit, tmp_path / "other"])
    merged = planned(tmp_path / "merged", max_synthetic=0.5)
    assert merged["achieved"] == report["achieved"] and by_part(merged, "share") == by_part(report, "share")
    with pytest.raises(InputError, match="twice"):
        scan(other, tmp_path / "again", provenance=tmp_path / "rules.toml")
        plan_mix([tmp_path / "other", tmp_path / "again"], MixPolicy.parse({}))


def test_tail_shares(shard, tmp_path):
    """Raised by drawing more from what holds rare words."""
    words = [f"common{i % 5}" for i in range(4000)] + [f"rare{i}" for i in range(60) for _ in range(3)]
    anchor = tmp_path / "a.anchor"
    build_anchor(shard("anchor.jsonl", [" ".join(words)]), anchor)
    (tmp_path / "rules.toml").write_text(RULES)
    plain = shard("plain.jsonl", [{"text": "common1 common2 common3 common4", "source": "plain"}] * 100)
    rich = shard("rich.jsonl", [{"text": "common1 rare1 rare2 rare3", "source": "rich"}] * 50)
    for path, name in ((plain, "plain"), (rich, "rich")):
        scan(path, tmp_path / name, provenance=tmp_path / "rules.toml", anchor=anchor)
    scans = [tmp_path / "plain", tmp_path / "rich"]
    table = {"min_human_verified": 0, "min_tail_share": 0.5}
    report = plan_mix(scans, MixPolicy.parse(table)).report
    assert report["natural"]["tail_share"] == pytest.approx(0.25)
    assert report["achieved"]["tail_share"] == pytest.approx(0.5)
    assert {row["source"]: row["share"] for row in report["weights"]} == pytest.approx({"plain": 1 / 3, "rich": 2 / 3})
    report = plan_mix(scans, MixPolicy.parse(table | {"min_tail_share": 0.9})).report
    assert report["conflicts"] == [{"limit": "min_tail_share = 0.9", "needed": pytest.approx(0.75)}]
    scan(rich, tmp_path / "bare", provenance=tmp_path / "rules.toml")
    with pytest.raises(UsageError, match="no tail_share"):
        plan_mix(tmp_path / "bare", MixPolicy.parse(table))


def test_without_labels(shard, tmp_path):
    path = shard("a.jsonl", ["one two"])
    scan(path, tmp_path / "audit", detector=None)
    with pytest.raises(UsageError, match="no labels"):
        planned(tmp_path / "audit")
    report = planned(tmp_path / "audit", max_synthetic=1, min_human_verified=0)
    assert [(row["source"], row["label"], row["share"]) for row in report["weights"]] == [("audit", None, 1.0)]


def test_what_is_refused(audit, tmp_path):
    with pytest.raises(UsageError, match="did you mean 'stories'"):
        planned(audit, sources={"storys": {"max": 0.1}})
    with pytest.raises(FolderError):
        planned(tmp_path)


BAD = {
    "unknown key": {"max_synthetik": 0.5},
    "no share": {"max_synthetic": 1.5},
    "no number": {"max_synthetic": "half"},
    "a truth": {"max_synthetic": True},
    "not a number": {"max_synthetic": float("nan")},
    "no label": {"labels": {"robots": {"max": 0.1}}},
    "unknown key of a label": {"labels": {"human_verified": {"most": 0.1}}},
    "no table": {"sources": {"a": 3}},
    "no tables": {"sources": 3},
    "no tokens": {"tokens": "many"},
    "too few tokens": {"tokens": 0},
    "endless tokens": {"tokens": "1e999"},
    "negative epochs": {"max_epochs": -1},
}


@pytest.mark.parametrize("table", BAD.values(), ids=BAD)
def test_bad_policies(table):
    with pytest.raises(UsageError):
        MixPolicy.parse(table)


@pytest.mark.parametrize(("text", "tokens"), [("50B", 50 * 10**9), ("1.5k", 1500), ("2T", 2 * 10**12), ("7", 7)])
def test_numbers_of_tokens(text, tokens):
    assert MixPolicy.parse({"tokens": text}).tokens == tokens


def test_policy_files(tmp_path):
    """One file for every command: each reads its own table."""
    path = tmp_path / "policy.toml"
    path.write_text("[mattr]\nanything = 3\n[mix]\nmax_synthetic = 0.7\n[mix.sources.'a b']\nmax = 0.2\n")
    found = MixPolicy.load(path)
    assert found.max_synthetic == 0.7 and found.sources["a b"].max == 0.2
    path.write_text("[human_anchor_share]\n")
    assert MixPolicy.load(path) == MixPolicy.parse({})
    for bad in ("[mixed]\n", "max_synthetic = 0.7\n", "mix = 3\n", "[mix\n", "\udcff"):
        path.write_bytes(bad.encode("utf-8", "surrogateescape"))
        with pytest.raises(UsageError, match=re.escape(str(path))):
            MixPolicy.load(path)


# dolma


def jq_holds(include: str, document: dict) -> bool:
    """The few forms of jq that the configuration uses."""
    for part in include.split(" and "):
        if match := re.fullmatch(r'\(\.\["source"\] // (".*?")\) (==|!=) (".*")', part):
            found, wanted = document.get("source") or json.loads(match[1]), json.loads(match[3])
            holds = (found == wanted) == (match[2] == "==")
        else:
            name, operator, value = re.fullmatch(r"\.attributes\.(\w+) (==|<) (.*)", part).groups()
            found, wanted = document["attributes"][name], json.loads(value)
            holds = found == wanted if operator == "==" else found < wanted
        if not holds:
            return False
    return True


def test_dolma_draws_what_was_planned(audit):
    policy = MixPolicy.parse(
        {"tokens": "16K", "max_synthetic": 0.5, "sources": {"blog": {"max": 0.2}, "books": {"max_epochs": 9}}}
    )
    plan = plan_mix(audit, policy)
    configuration = mixer_configuration(plan, policy, "/mixed/documents")
    (path,) = write_attributes([audit])
    documents = Path(configuration["streams"][0]["documents"][0])
    assert str(path) == str(documents).replace("/documents/", "/attributes/textassay/")
    lines = gzip.decompress(documents.read_bytes()).splitlines()
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    merged = [json.loads(line) | row for line, row in zip(lines, rows, strict=True)]
    assert [row["id"] for row in rows] == [json.loads(line)["id"] for line in lines]
    drawn: dict[tuple[str, str], int] = {}
    for stream in configuration["streams"]:
        assert stream["filter"]["syntax"] == "jq" and stream["attributes"] == ["textassay"]
        for document in merged:
            if jq_holds(stream["filter"]["include"][0], document):
                key = document["source"], document["attributes"]["textassay__label"]
                drawn[key] = drawn.get(key, 0) + 1
    assert len({stream["name"] for stream in configuration["streams"]}) == len(configuration["streams"])
    for key, epochs in by_part(plan.report, "epochs").items():
        n = PARTS[key]
        assert abs(drawn.get(key, 0) - epochs * n) <= 4 * (n * 0.25) ** 0.5, key


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_attributes_are_compressed_as_their_documents(shard, tmp_path, suffix):
    data = json.dumps({"id": "a", "text": "b"}).encode() + b"\n"
    path = shard(f"x/documents/y/a.jsonl{suffix}", [])
    path.write_bytes({"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress}[suffix](data))
    scan(path, tmp_path / "audit", detector=None)
    (found,) = write_attributes([tmp_path / "audit"])
    assert found == tmp_path / f"x/attributes/textassay/y/a.jsonl{suffix}"
    unpack = {"": bytes, ".gz": gzip.decompress, ".zst": lambda d: zstandard.ZstdDecompressor().stream_reader(d).read()}
    row = json.loads(unpack[suffix](found.read_bytes()))
    assert row["id"] == "a" and row["attributes"]["textassay__label"] is None
    assert 0 <= row["attributes"]["textassay__draw"] < 1


def test_what_dolma_cannot_read(shard, tmp_path):
    for name, records, reason in (
        ("a.jsonl", ["a"], "in a folder documents/"),
        ("documents/b.jsonl", ["a", b""], "no document"),
    ):
        scan(shard(name, records), tmp_path / "audit")
        with pytest.raises(InputError, match=reason):
            write_attributes([tmp_path / "audit"])


# The command


def textassay(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "textassay", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_the_command(audit, tmp_path):
    policy = tmp_path / "policy.toml"
    policy.write_text("[mix]\nmax_synthetic = 0.5\n")
    done = textassay(
        "mix", audit, "--policy", policy, "-o", tmp_path / "w.json", "--dolma", tmp_path / "d.json", "--attributes"
    )
    assert done.returncode == 0 and "Limits that bind" in done.stdout, done.stderr
    assert json.loads((tmp_path / "w.json").read_text())["achieved"]["synthetic"] == 0.5
    assert json.loads((tmp_path / "d.json").read_text())["streams"]
    policy.write_text("[mix]\nmin_human_verified = 0.9\n")
    done = textassay("mix", audit, "--policy", policy, "-o", tmp_path / "no.json")
    assert done.returncode == 1 and "No mix meets the policy" in done.stdout and not (tmp_path / "no.json").exists()
    done = textassay("mix", audit, "--policy", policy, "--json")
    assert done.returncode == 1 and json.loads(done.stdout)["feasible"] is False
    policy.write_text("[mix]\nmin_human = 0.9\n")
    assert textassay("mix", audit, "--policy", policy).returncode == 2
