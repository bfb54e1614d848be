"""Labels of provenance: the rules' file, what a scan makes of it on both backends, and the tables in the profile."""

import json
import random
import re
import tempfile
import tomllib
from contextlib import AbstractContextManager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import naive_provenance
import naive_records
import naive_text
from implementations import BACKENDS, Implementation, on_every_backend
from test_cli import textassay
from test_profile import changed, parts_of, rebuilt
from textassay import Detector, Profile, ProfileError, ProvenanceRules, UsageError, _backend, scan
from textassay.merging import merge_profiles
from textassay.patterns import compile_pattern, join_tables
from textassay.provenance import DATE, LABELS, before_pattern, from_pattern, labelled_by
from textassay.provenance_tables import describe_provenance

LABELLED = Path(__file__).parent.parent.parent / "shared" / "data" / "labelled"

# What is written as a field's value, as JSON.
VALUES = [
    *('"human"', '"gpt-4"', '"GPT-4"', '""', '"x\\ty"', '"a\\u0000b"', '"\\ud83d\\ude00"', '"\\ud800 alone"', '"日本"'),
    *('"2021-03-04"', '"2021-03"', '"2021"', '"2022-11-30T10:00:00Z"', '"2021-13"', '"2021-03-04x"', '"20210304"'),
    *(
        "2021",
        "0",
        "-0",
        "-7",
        "3",
        "18446744073709551616",
        "1.50",
        "1e400",
        "-0.0",
        "true",
        "false",
        "null",
        "[]",
        "{}",
    ),
    *('["human", 3]', '{"x": "human", "1": "gpt-4"}', json.dumps("é" * 200), json.dumps("x" + "日" * 90)),
]
FIELDS = ["a", "b", "c.x", "c.1", "/a", "/c/0"]
EQUALS = st.sampled_from(["human", "gpt-4", "", 3, 0, True, False, 2021, 1.5, -7, "true", "2021-03", "日本", "x\ty"])
REGULAR = ["^gpt", "(?i)gpt-[34]", "a.b", r"^\d+$", "(?s)^.{3}$", "日|é", "😀", r"^-", "", r"[^\w\s]", "x*human"]
DATES = ["2021", "2021-03", "2021-03-04", "2021-03-05", "2022-11-30", "2022-12", "0001-01-01", "9999"]


def one_operator() -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(
        st.builds(lambda v: {"equals": v}, EQUALS | st.lists(EQUALS, min_size=1, max_size=3)),
        st.builds(lambda v: {"matches": v}, st.sampled_from(REGULAR)),
        st.builds(lambda v: {"before": v}, st.sampled_from(DATES)),
        st.builds(lambda v: {"from": v}, st.sampled_from(DATES)),
        st.builds(lambda v: {"present": v}, st.booleans()),
        st.builds(lambda v, w: {"from": v, "before": w}, st.sampled_from(DATES), st.sampled_from(DATES)),
    )


CONDITIONS = st.builds(lambda field, operator: {"field": field} | operator, st.sampled_from(FIELDS), one_operator())


@st.composite
def rule(draw: st.DrawFn) -> dict[str, Any]:
    made: dict[str, Any] = {"label": draw(st.sampled_from(LABELS))}
    made |= {"name": draw(st.sampled_from(["first", "second", "gpt-4", "n" * 256]))} if draw(st.booleans()) else {}
    kinds = draw(st.sets(st.sampled_from(["own", "all", "path", "generator"]), min_size=1, max_size=2))
    if "own" in kinds:
        made |= draw(CONDITIONS)
    if "all" in kinds:
        made["all"] = draw(st.lists(CONDITIONS, min_size=1, max_size=3))
    if "path" in kinds:
        made["path"] = draw(st.sampled_from(["*", "*0.jsonl", "*/[!1].jsonl", "*/?.jsonl", "*[02].jsonl", "nowhere"]))
    if "generator" in kinds:
        made |= {"generator": draw(st.sampled_from(FIELDS)), "label": draw(st.sampled_from(LABELS[2:]))}
    return made


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    made = {key: draw(st.sampled_from(FIELDS)) for key in ("source", "date") if draw(st.booleans())}
    made |= {"default": draw(st.sampled_from(LABELS))} if draw(st.booleans()) else {}
    return made | {"rule": draw(st.lists(rule(), max_size=4))}


def toml(value: Any) -> str:
    """An inline value."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def toml_file(content: dict[str, Any]) -> str:
    return "".join(f"{key} = {toml(value)}\n" for key, value in content.items())


@st.composite
def record(draw: st.DrawFn) -> bytes:
    text = draw(st.sampled_from(["one two three", "", "One. Two!", "日本語 text"]))
    members = [("text", json.dumps(text))]
    for key in draw(st.lists(st.sampled_from(["a", "b", "c", "\\u0061", "d"]), max_size=5)):
        members.append((key, draw(st.sampled_from(VALUES))))
    return ("{" + ", ".join(f'"{key}": {value}' for key, value in members) + "}\n").encode()


RECORDS = st.lists(st.lists(record(), max_size=5), min_size=1, max_size=3)


def write_files(folder: str, files: list[list[bytes]]) -> list[Path]:
    paths = [Path(folder) / f"{number}.jsonl" for number in range(len(files))]
    for path, lines in zip(paths, files, strict=True):
        path.write_bytes(b"".join(lines))
    return paths


def named_counts(table: dict[str, Any]) -> dict[str, np.ndarray]:
    """Of a backend's ProvenanceTable; "" without a name."""
    data, offsets = table["name_bytes"].tobytes(), table["name_offsets"].tolist()
    names = [data[begin:end].decode() for begin, end in pairwise(offsets)]
    unnamed = {"": table["unnamed"]} if table["unnamed"].any() else {}
    return unnamed | dict(zip(names, table["counts"], strict=True))


def as_lists(table: dict[str, Any]) -> dict[str, list]:
    return {name: counts.tolist() for name, counts in named_counts(table).items()}


def on(implementation: Implementation) -> AbstractContextManager[Any]:
    """The enclosed scans run on this implementation."""
    implementation.use()
    return _backend.using(implementation.backend)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("provenance")


@settings(max_examples=150)
@given(content=rules(), files=RECORDS)
@example(
    content={"rule": [{"label": "synthetic_known", "generator": "a"}]},
    files=[[b'{"text": "x", "a": "", "b": 1}\n', b'{"a": "\\ud800", "text": "x"}\n', b'{"a": 1.50, "text": "x"}\n']],
)
def test_labels_are_those_of_the_rules(folder, content, files):
    """By the naive reading of rules and records; label, reason, source and month of every document, on both backends."""
    text = toml_file(content)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        paths = write_files(scratch, files)
        read = tomllib.loads(text)
        wanted = []
        for path, lines in zip(paths, files, strict=True):
            for line in lines:
                record = naive_records.parse(line.rstrip(b"\n"))
                found = naive_provenance.label(read, record, str(path))
                wanted.append((found, len(naive_text.tokens(record["text"])), len(record["text"].encode())))
        profiles = set()
        for implementation in BACKENDS:
            with on(implementation):
                result = scan(paths, documents="memory", provenance=ProvenanceRules.parse(text), threads=2)
                found = result.documents
                if wanted:
                    assert found["provenance"].tolist() == [one.label for one, *_ in wanted]
                    assert found["provenance_reason"].tolist() == [one.reason or None for one, *_ in wanted]
                tables = result.profile._state.provenance()
                for kind, names in naive_provenance.tables(wanted).items():
                    assert as_lists(tables[kind]) == {
                        name: [[by_label[label][sum] for sum in ("documents", "tokens", "bytes")] for label in LABELS]
                        for name, by_label in names.items()
                    }
                profiles.add(result.profile.serialize())
                assert Profile.deserialize(result.profile.serialize()).digest() == result.profile.digest()
        assert len(profiles) == 1


@settings(max_examples=30)
@given(content=rules(), files=RECORDS, seed=st.integers(0, 1000))
def test_merged_as_scanned_at_once(folder, content, files, seed):
    """Law 1, with a file a part, in any order, on either backend."""
    rng = random.Random(seed)
    given_rules = ProvenanceRules.parse(toml_file(content))
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        paths = write_files(scratch, files)
        parts = []
        for number, path in enumerate(paths):
            with on(rng.choice(BACKENDS)):
                profile = scan(path, provenance=given_rules).profile
                profile.save(Path(scratch) / f"{number}.tap")
                parts.append(Path(scratch) / f"{number}.tap")
        for implementation in BACKENDS:
            with on(implementation):
                whole = scan(paths, provenance=given_rules, threads=rng.randint(1, 3))
                merged, summary = merge_profiles(rng.sample(parts, len(parts)))
                assert merged.serialize() == whole.profile.serialize()
                assert summary["provenance"] == whole.summary["provenance"]


# --- dates


@pytest.mark.parametrize("bound", [*DATES, "2020-02-29", "2000-01-31", "1999-10-10"])
def test_dates(bound):
    """A value is before or from a bound only if every day that it can mean is."""
    from datetime import date

    day = date.fromisoformat(bound + "-01-01"[len(bound) - 4 :])
    limit = day.year * 10000 + day.month * 100 + day.day
    automaton, starts = join_tables([compile_pattern(p) for p in (before_pattern(day), from_pattern(day), DATE)])
    months = [f"{m:02}" for m in range(14)]
    years = {f"{y:04}" for near in (day.year, 1, 2021, 9998) for y in (near - 1, near, near + 1)}
    values = [*years, *(f"{y}-{m}" for y in years for m in months)]
    values += [f"{y}-{m}-{d:02}{rest}" for y in years for m in months for d in range(33) for rest in ("", " 1", "1")]
    values += ["", "x2021", "2021-", "2021-1", "2021-1-1", "2021-01-01\n", "21-01-01", "٢٠٢١", "2021/01/01"]
    for value in values:
        known = naive_provenance.days(value)
        wanted = [known is not None and known[1] < limit, known is not None and known[0] >= limit, known is not None]
        assert [automaton.accepts(start, value) for start in starts] == wanted, value


# --- the file of rules

RULE = '[[rule]]\nlabel = "human_verified"\nname = "mine"\n'

REFUSED = {
    "no toml": ("a = = b", "rules.toml"),
    "unknown key": ("sauce = 'a'", "rules.toml: unknown key 'sauce'"),
    "default": ("default = 'human'", "default: wanted one of human_verified"),
    "rule is no table": ("rule = 3", "wanted tables"),
    "no label": ("[[rule]]\nfield = 'a'\nequals = 'b'", "rule 1: label: wanted one of .* found nothing"),
    "unknown label": ("[[rule]]\nlabel = 'human'\nfield = 'a'\nequals = 'b'", "rule 1: label: .* found 'human'"),
    "list label": ("[[rule]]\nlabel = ['human']\nfield = 'a'\nequals = 'b'", "rule 1: label"),
    "unknown key of a rule": (RULE + "feild = 'a'", "mine: unknown key 'feild'"),
    "no condition": (RULE, "mine: wanted a condition"),
    "no operator": (RULE + "field = 'a'", "mine: wanted a field and one of"),
    "no field": (RULE + "equals = 'a'", "mine: wanted a field and one of"),
    "empty field": (RULE + "field = ''\nequals = 'a'", "mine: field"),
    "field is a number": (RULE + "field = 3\nequals = 'a'", "mine: field"),
    "equals a table": (RULE + "field = 'a'\nequals = {b = 1}", "mine: equals: wanted a text"),
    "equals nothing": (RULE + "field = 'a'\nequals = []", "mine: equals: .*empty list"),
    "regular expression": (RULE + "field = 'a'\nmatches = '(a'", "mine: a \\( without its"),
    "back-reference": (RULE + "field = 'a'\nmatches = '(a)\\1'", "mine: a backreference .* not supported"),
    "look-ahead": (RULE + "field = 'a'\nmatches = '(?=a)'", "mine: look-around is not supported"),
    "too many states": (RULE + "field = 'a'\nmatches = '(a|b)*a(a|b){20}'", "mine: the pattern takes more than"),
    "matches a number": (RULE + "field = 'a'\nmatches = 3", "mine: matches: wanted a regular expression"),
    "before": (RULE + "field = 'a'\nbefore = '2021-02-30'", "mine: before: wanted a date"),
    "from": (RULE + "field = 'a'\nfrom = 2021", "mine: from: wanted a date"),
    "present": (RULE + "field = 'a'\npresent = 'yes'", "mine: present: wanted true or false"),
    "path": (RULE + "path = ''", "mine: path: wanted a glob"),
    "path range": (RULE + "path = '[z-a]'", "mine: wanted a range"),
    "all": (RULE + "all = 3", "mine: all: wanted a list"),
    "unknown key in all": (RULE + "all = [{field = 'a', equal = 'b'}]", "mine: unknown key 'equal'"),
    "generator of human text": (RULE + "generator = 'a'", "mine: generator: only a rule for synthetic"),
    "name": ("[[rule]]\nname = ''\nlabel = 'human_verified'", "rule 1: name"),
    "long name": (f"[[rule]]\nname = '{'n' * 257}'\nlabel = 'human_verified'", "rule 1: name"),
    "many fields": (
        "".join(f"{RULE}field = 'f{n}'\npresent = true\n" for n in range(33)),
        "1000 and 32|at most 1000",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_rules_that_are_wrong(tmp_path, case):
    text, message = REFUSED[case]
    path = tmp_path / "rules.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as raised:
        ProvenanceRules.load(path)
    assert str(path) in str(raised.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="cannot read the provenance rules"):
        ProvenanceRules.load(tmp_path / "rules.toml")


def test_dates_of_toml_and_tables_of_conditions():
    """`[[rule.all]]` is the long form of the list, 2021-01-01 that of its text."""
    short = RULE + 'all = [{field = "a", before = "2021-01-01"}, {field = "b", present = true}]'
    long = RULE + '[[rule.all]]\nfield = "/a"\nbefore = 2021-01-01\n[[rule.all]]\nfield = "b"\npresent = true'
    assert ProvenanceRules.parse(short).digest == ProvenanceRules.parse(long).digest


def test_the_digest_is_of_what_the_rules_say():
    base = RULE + "field = 'a'\nequals = 'b'\n"
    assert ProvenanceRules.parse(base).digest == ProvenanceRules.parse("# a comment\n\n" + base).digest
    others = [
        *("source = 's'\n" + base, "date = 's'\n" + base, "default = 'synthetic_suspected'\n" + base, base + base),
        *(
            base.replace(old, new)
            for old, new in (("'a'", "'c'"), ("'b'", "'c'"), ("mine", "yours"), ("verified", "unverified"))
        ),
        base + "path = '*'\n",
    ]
    digests = {ProvenanceRules.parse(text).digest for text in [base, *others]}
    assert len(digests) == 1 + len(others)


def test_too_many_fields_for_one_record(shard):
    given_rules = ProvenanceRules.parse("source = 's'\ndate = 'd'")
    with pytest.raises(UsageError, match="62 text fields and 2 of rules: wanted 63"):
        scan(shard("a.jsonl", ["x"]), text_fields=[f"f{n}" for n in range(62)], provenance=given_rules)
    assert scan(
        shard("a.jsonl", ["x"]), text_fields=["text", *(f"f{n}" for n in range(60))], provenance=given_rules
    ).summary["provenance"]


def test_rules_that_do_not_fit_together_are_refused(backend, shard):
    path = str(shard("a.jsonl", ["x"])).encode()
    good = ProvenanceRules.parse("source = 's'\n" + RULE + "field = 'a'\nequals = 'b'").for_inputs(["a.jsonl"])
    bad = [
        {"source": 7}, {"default": 4}, {"labels": np.array([9])}, {"generators": np.array([5])}, {"date_start": 1 << 20},
        {"conditions": np.array([[7, 2, 0]])}, {"conditions": np.array([[0, 1 << 20, 0]])}, {"names": []},
        {"condition_ends": np.array([2])}, {"applies": np.ones((2, 1), np.uint8)}, {"accepting": np.zeros(2, np.uint8)},
        {"transitions": good["transitions"] + np.uint16(60_000)},
    ]  # fmt: skip
    for change in bad:
        with pytest.raises(ValueError, match="provenance: wanted"):
            backend.Scan([path], signals=["n_tokens"], provenance=good | change)


# --- what is written


@pytest.fixture
def labelled_scan(backend, shard, tmp_path):
    records = [
        {"text": "one two", "source": "blog", "date": "2021-05-06", "generator": "gpt-4"},
        {"text": "three", "source": "blog", "date": "2020", "generator": None},
        {"text": "four five six", "source": "\x1b[31m[red]evil[/red]", "date": "2021-05", "kind": "book"},
        {"text": "", "date": "soon"},
    ]
    given_rules = (
        'source = "source"\ndate = "date"\n[[rule]]\nlabel = "synthetic_known"\ngenerator = "generator"\n'
        '[[rule]]\nlabel = "human_verified"\nname = "books"\nfield = "kind"\nequals = "book"\n'
    )
    (tmp_path / "rules.toml").write_text(given_rules)
    return scan(shard("a.jsonl", records), tmp_path / "out", provenance=tmp_path / "rules.toml")


def test_summary(labelled_scan, tmp_path):
    found = labelled_scan.summary["provenance"]
    assert found == json.loads((tmp_path / "out/summary.json").read_text())["provenance"]
    corpus = found["corpus"]
    assert (corpus["documents"], corpus["tokens"]) == (4, 6)
    assert corpus["labels"]["synthetic_known"] == {"documents": 1, "tokens": 2, "bytes": 7}
    assert corpus["labels"]["human_unverified"] == {"documents": 2, "tokens": 1, "bytes": 5}
    assert corpus["synthetic_share"] == {"documents": 0.25, "tokens": 2 / 6}
    assert corpus["shares"]["human_verified"] == {"documents": 0.25, "tokens": 3 / 6}
    assert [row["source"] for row in found["sources"]] == ["blog", "\x1b[31m[red]evil[/red]", None]
    assert [row["synthetic_share"]["tokens"] for row in found["sources"]] == [2 / 3, 0.0, None]
    assert [row["month"] for row in found["months"]] == [None, "2020", "2021-05"]
    assert [(row["reason"], row["documents"]) for row in found["reasons"]] == [("gpt-4", 1), ("books", 1), (None, 2)]
    assert (found["n_sources"], found["n_months"], found["n_reasons"]) == (2, 2, 2)
    assert found["other_sources"] is found["other_months"] is found["other_reasons"] is None
    rules = ProvenanceRules.load(tmp_path / "rules.toml")
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert found["labelled_by"] == manifest["settings"]["provenance"] == labelled_by(rules, Detector.default())


def test_columns_of_documents(labelled_scan, tmp_path):
    file = next((tmp_path / "out/documents").glob("*.parquet"))
    assert str(pq.read_schema(file).field("provenance").type).startswith("dictionary<values=string")
    rows = pq.read_table(file).to_pylist()
    labels = [
        ("synthetic_known", "gpt-4"),
        ("human_unverified", None),
        ("human_verified", "books"),
        ("human_unverified", None),
    ]
    assert [(row["provenance"], row["provenance_reason"]) for row in rows] == labels
    assert list(labelled_scan.documents.rows()) == [{"file": 0} | row for row in rows]
    again = scan(tmp_path / "a.jsonl", tmp_path / "jsonl", documents="jsonl", provenance=tmp_path / "rules.toml")
    assert list(again.documents.rows()) == list(labelled_scan.documents.rows())


def test_without_rules_nothing_is_said(backend, shard, tmp_path):
    result = scan(shard("a.jsonl", ["one"]), tmp_path / "out", detector=None)
    assert "provenance" not in result.summary and result.profile.provenance() is None
    assert "provenance" not in result.documents
    assert b"provenance" not in (tmp_path / "out/profile.tap").read_bytes()


def test_other_rules_are_another_configuration(backend, shard, tmp_path):
    path = shard("a.jsonl", ["one"])
    one = scan(path, provenance=ProvenanceRules.parse("source = 'a'")).profile
    for other in (scan(path).profile, scan(path, provenance=ProvenanceRules.parse("source = 'b'")).profile):
        with pytest.raises(UsageError, match="provenance is"):
            _ = one | other


def test_an_empty_corpus(backend, shard):
    found = scan(shard("a.jsonl", []), provenance=ProvenanceRules.parse("source = 'a'")).summary["provenance"]
    assert found["corpus"]["documents"] == 0 and found["corpus"]["synthetic_share"]["tokens"] is None
    assert found["sources"] == found["months"] == found["reasons"] == []


# --- tables of bounded size

MOST_NAMES = 1 << 16


def table_of(names: dict[str, int]) -> dict[str, Any]:
    """A ProvenanceTable with so many documents of the first label for each name."""
    ordered = sorted(name.encode() for name in names)
    counts = np.zeros((len(names), 4, 3), np.uint64)
    counts[:, 0, 0] = [names[name.decode()] for name in ordered]
    return {
        "level": 0,
        "unnamed": np.zeros((4, 3), np.uint64),
        "others": np.zeros((4, 3), np.uint64),
        "name_bytes": np.frombuffer(b"".join(ordered), np.uint8),
        "name_offsets": np.cumsum([0, *map(len, ordered)]).astype(np.int64),
        "counts": counts,
    }


def state_of(backend: Any, names: dict[str, int]) -> Any:
    state = backend.ProfileState(["n_tokens"])
    state.add_provenance({"sources": table_of(names), "months": table_of({}), "reasons": table_of({})})
    return state


def test_names_are_bounded_whatever_the_order(backend):
    """The least level whose names fit, and all others in one sum."""
    rng = random.Random(7)
    names = {f"source-{number}": rng.randint(1, 9) for number in range(100_000)}
    hashes = {name: backend.token_hash(name.encode()) for name in names}
    level = 0
    while sum(h >> (64 - level) == 0 for h in hashes.values()) > MOST_NAMES:
        level += 1
    kept = {name: count for name, count in names.items() if hashes[name] >> (64 - level) == 0}
    assert 0 < level and 20_000 < len(kept) <= MOST_NAMES
    shuffled = rng.sample(sorted(names), len(names))
    parts = [dict.fromkeys(part, 1) for part in (shuffled[:60_000], shuffled[50_000:], shuffled[::3])]
    whole = {name: sum(name in part for part in parts) for name in names}
    states = [state_of(backend, part) for part in parts]
    for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
        merged = backend.ProfileState(["n_tokens"])
        for place in order:
            merged.merge(states[place])
        table = merged.provenance()["sources"]
        assert table["level"] == level
        found = {name: int(counts[0, 0]) for name, counts in named_counts(table).items()}
        assert found == {name: whole[name] for name in kept}
        assert table["others"][0, 0] == sum(whole.values()) - sum(found.values())
    described = describe_provenance("", merged.provenance())
    assert described["n_sources"] == len(kept) << level
    assert described["other_sources"]["documents"] == table["others"][0, 0]
    assert len(described["sources"]) == 100


def test_a_scan_of_many_sources(shard, tmp_path):
    """Both backends and any threads come to the same profile past the limit, and it comes back from its file."""
    files = []
    for number in range(3):
        lines = [b'{"text": "a", "s": "%d-%d"}' % (number % 2, n) for n in range(35_000)]
        files.append(shard(f"{number}.jsonl", lines))
    given_rules = ProvenanceRules.parse("source = 's'")
    profiles = {}
    for implementation in BACKENDS:
        for threads in (1, 3):
            with on(implementation):
                result = scan(files, signals="n_tokens", provenance=given_rules, threads=threads)
                profiles[implementation.backend, threads] = result.profile.serialize()
                table = result.profile._state.provenance()["sources"]
                assert 0 < len(table["counts"]) <= MOST_NAMES
                assert table["counts"][:, :, 0].sum() + table["others"][:, 0].sum() == 105_000
    assert len(set(profiles.values())) == 1
    again = Profile.deserialize(profiles["native", 1])
    assert again.serialize() == profiles["native", 1]
    assert again.provenance()["other_sources"] is not None


# --- hostile profiles


def small_profile(shard) -> Profile:
    records = [{"text": "a b", "s": "x", "g": "m"}, {"text": "c", "s": "y"}]
    given_rules = "source = 's'\n[[rule]]\nlabel = 'synthetic_known'\ngenerator = 'g'\n"
    return scan(shard("a.jsonl", records), signals="n_tokens", provenance=ProvenanceRules.parse(given_rules)).profile


HOSTILE = {
    "level": 65,
    "n": 1 << 40,
    "unnamed": [1] * 12,
    "others": [1] + [0] * 11,
}


@pytest.mark.parametrize("table", ["sources", "months", "reasons"])
@pytest.mark.parametrize("key", HOSTILE)
def test_hostile_headers_are_refused(backend, shard, table, key):
    header, chunks, _ = parts_of(small_profile(shard).serialize())
    chunks = [chunk[1:] for chunk in chunks]
    assert Profile.deserialize(rebuilt(header, chunks)).provenance()["corpus"]["documents"] == 2
    for value in (HOSTILE[key], -1, "x", [0] * 11, [-1] * 12, 1 << 70):
        with pytest.raises(ProfileError, match="wanted"):
            Profile.deserialize(rebuilt(changed(header, f"provenance/{table}/{key}", value), chunks))


def test_hostile_tables_are_refused(backend, shard):
    header, chunks, _ = parts_of(small_profile(shard).serialize())
    chunks = [chunk[1:] for chunk in chunks]
    place = next(i for i, (kind, *_) in enumerate(chunks) if kind == b"SRCS")
    kind, n, raw = chunks[place]
    assert raw.endswith(b"xy")
    for bad in (
        raw[:-2] + b"yx",
        raw[:-2] + b"xx",
        raw[:-2] + b"x\xff",
        bytes(8) + raw[8:],
        raw[:8] + bytes(len(raw) - 10) + b"xy",
    ):
        with pytest.raises(ProfileError, match="wanted"):
            Profile.deserialize(rebuilt(header, [*chunks[:place], (kind, n, bad), *chunks[place + 1 :]]))
    for without in ("configuration", "header"):
        part = json.loads(json.dumps(header))
        del (part["configuration"] if without == "configuration" else part)["provenance"]
        with pytest.raises(ProfileError, match="wanted"):
            Profile.deserialize(rebuilt(part, chunks))


# --- the command line


@pytest.mark.parametrize("forced", [b.backend for b in BACKENDS])
def test_command_line(shard, tmp_path, forced):
    """What comes from the input is printed without its control characters and markup."""
    records = [
        {"text": "one two three", "meta": {"site": "\x1b[31m[red]evil\u202e", "by": "gpt-4[/]\n"}},
        {"text": "four", "meta": {"site": "s" * 300}},
        {"text": "five"},
    ]
    shard("in/a.jsonl.zst", records)
    rules = tmp_path / "rules.toml"
    rules.write_text('source = "meta.site"\n[[rule]]\nlabel = "synthetic_known"\ngenerator = "/meta/by"\n')
    done = textassay("scan", tmp_path / "in", "--provenance", rules, "-o", tmp_path / "out", TEXTASSAY_BACKEND=forced)
    assert done.returncode == 0, done.stderr
    printed = done.stdout.partition("Provenance")[2]
    assert r"\x1b[31m[red]evil\u202e" in printed and r"gpt-4[/]\n 1" in printed.replace("\xa0", " ")
    assert "\x1b" not in printed and "\u202e" not in printed
    corpus = next(line for line in printed.splitlines() if line.split()[:1] == ["corpus"])
    assert corpus.split() == ["corpus", "3", "5", "0.00", "%", "40.00", "%", "60.00", "%", "0.00", "%"]
    again = textassay("merge", tmp_path / "out", "--json", TEXTASSAY_BACKEND=forced)
    written = json.loads((tmp_path / "out/summary.json").read_text())
    assert json.loads(again.stdout)["provenance"] == written["provenance"]
    assert written["provenance"]["sources"][-1]["source"] == "s" * 256


@pytest.mark.parametrize("text", ["sauce = 1", RULE + "field = 'a'\nmatches = '(?=a)'", "a ="])
def test_wrong_rules_are_exit_code_2(shard, tmp_path, text):
    (tmp_path / "rules.toml").write_text(text)
    done = textassay("scan", shard("a.jsonl", ["x"]), "--provenance", tmp_path / "rules.toml")
    assert done.returncode == 2 and "rules.toml" in done.stderr and done.stdout == ""


# --- what the documentation shows

ROOT = Path(__file__).parent.parent


def block(text: str, kind: str) -> str:
    return re.search(rf"^```{kind}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[1]


def printed(*arguments: object, **options: Any) -> list[str]:
    done = textassay("scan", *arguments, **options, COLUMNS="120")
    assert done.returncode == 0, done.stderr
    return [line.rstrip().replace("\xa0", " ") for line in done.stdout.splitlines()]


def test_the_example_of_the_documentation(tmp_path):
    page = (ROOT / "docs" / "provenance.md").read_text("utf-8")
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards/web.jsonl").write_text(block(page, "jsonl"), "utf-8")
    (tmp_path / "rules.toml").write_text(block(page, "toml"), "utf-8")
    found = printed("shards", "--provenance", "rules.toml", cwd=tmp_path)
    shown = block(page, "text").splitlines()
    assert found[found.index(shown[0]) :][: len(shown)] == shown


def test_the_example_of_the_readme():
    page = (ROOT / "README.md").read_text("utf-8").partition("## Provenance")[2]
    assert ProvenanceRules.parse(block(page, "toml")).fields
    shown = block(page.partition("```\n\nThe novels")[2], "").splitlines()
    found = printed("examples", "--provenance", "examples/provenance.toml", cwd=ROOT)
    assert found[found.index(shown[0]) :][: len(shown)] == shown


# --- the labelled data


@pytest.mark.skipif(not LABELLED.exists(), reason="the labelled data is not part of the repository")
@on_every_backend
def test_labelled_data(implementation):
    """The files' own labels, as rules over their fields."""
    files = sorted(LABELLED.glob("l2r__newsarticle__*"))
    given_rules = (
        'source = "domain"\n'
        '[[rule]]\nlabel = "human_verified"\nname = "people"\nfield = "generator"\nequals = "human"\n'
        '[[rule]]\nlabel = "synthetic_suspected"\nname = "rewritten"\npath = "*gpt-4o*"\nfield = "label"\nmatches = "^synth"\n'
        '[[rule]]\nlabel = "synthetic_known"\ngenerator = "generator"\n'
    )
    with on(implementation):
        result = scan(files, documents="memory", provenance=ProvenanceRules.parse(given_rules))
    found = result.summary["provenance"]
    names = [Path(file.name).name.split("__")[2] for file in result.inputs]
    for file, name in enumerate(names):
        rows = result.documents["file"] == file
        wanted = {"human": ("human_verified", "people"), "gpt-4o": ("synthetic_suspected", "rewritten")}
        label, reason = wanted.get(name, ("synthetic_known", name))
        assert set(result.documents["provenance"][rows]) == {label}
        assert set(result.documents["provenance_reason"][rows]) == {reason}
    assert found["corpus"]["labels"]["human_unverified"]["documents"] == 0
    assert found["n_sources"] == 1
