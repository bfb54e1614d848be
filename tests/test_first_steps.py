"""What a person meets who uses textassay for the first time: mistakes are named with what to do, and nothing is cut or untrue."""

import json
import pickle
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from typer.main import get_command
from typer.testing import CliRunner

import textassay as ta
from textassay.cli.app import app
from textassay.cli.render_curation import print_mix
from textassay.first_record import advice
from textassay.formatting import entropy_range
from textassay.inputs import resolve_inputs
from textassay.report.answer import headline
from textassay.report.gate_page import gate_page
from textassay.report.human import human_range
from textassay.share import TYPICAL_ERROR

ROOT = Path(__file__).parent.parent
WORDS = [
    "the",
    "rain",
    "in",
    "spain",
    "stays",
    "mainly",
    "on",
    "the",
    "plain",
    "and",
    "nobody",
    "has",
    "ever",
    "asked",
    "it",
    "why",
]


def run(*arguments: object, columns: int = 80):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": str(columns)})


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


# --- a file that is not what was meant


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"content": "Some words."}\n', "no text under text, but under content: try --text-field content"),
        ('\n\r\n{"id": 7, "a": {"b": "long enough", "c": "x"}}\n', "under a.b, a.c: try --text-field a.b"),
        ('{"a.b": "Some words."}\n', "try --text-field /a.b"),
        ('{"text": null, "n": 5}\n', "has no text in its first record, under text or any other name"),
        ('[{"text": "a"},\n{"text": "b"}]\n', "is a JSON array"),
        ('[{"text": "a"}]', "is a JSON array"),
        ('{\n "text": "a"\n}\n', "has records of several lines"),
        ("Some words.\n", "does not begin with a JSON record"),
        ('"Some words."\n', "does not begin with a JSON record"),
    ],
)
def test_a_scan_says_what_the_file_is(tmp_path, text, wanted):
    path = written(tmp_path / "x.jsonl", text)
    done = run("scan", path)
    assert done.exit_code == 3 and wanted in done.stderr and "x.jsonl" in done.stderr
    assert wanted in run("scan", path, "--json").stderr


def test_the_field_that_is_named_is_the_right_one(tmp_path):
    """Keys as strange as they get: what is advised finds the text."""
    for name, record in enumerate([{"a/b": "one"}, {"a~b.c": {"d": "two"}}, {"": {"x": "three"}}, {"/x": "four"}]):
        path = written(tmp_path / f"{name}.jsonl", json.dumps(record) + "\n")
        field = re.search(r"--text-field (\S+)$", advice(resolve_inputs(path), ["text"]))
        assert ta.scan(path, text_fields=[field[1]]).profile.totals()["n_tokens"] > 0, record


def test_nothing_is_advised_where_nothing_is_wrong(tmp_path):
    mostly_good = written(tmp_path / "good.jsonl", '{"text": "Some words."}\n' * 3 + '{"content": "No."}\n')
    done = run("scan", mostly_good)
    assert done.exit_code == 3 and "--text-field" not in done.stderr
    assert advice(resolve_inputs(mostly_good), ["text"]) == ""
    assert advice(resolve_inputs(written(tmp_path / "empty.jsonl", "")), ["text"]) == ""
    assert advice(resolve_inputs(written(tmp_path / "cut.zst", "no frame")), ["text"]) != ""
    (tmp_path / "damaged.zst").write_bytes(b"\x28\xb5\x2f\xfd\xff")
    assert advice(resolve_inputs(tmp_path / "damaged.zst"), ["text"]) == ""


def test_text_of_a_corpus_is_shown_safely(tmp_path):
    path = written(tmp_path / "x.jsonl", json.dumps({"\x1b[31m\u202e": "words"}) + "\n")
    assert not re.search("[\x1b\u202e]", run("scan", path).stderr)


@pytest.mark.parametrize(
    "command",
    [
        ("anchor", "build", "x.jsonl", "-o", "x.anchor"),
        ("simulate", "x.jsonl", "-o", "generations"),
        ("sample", "x.jsonl", "-o", "review.jsonl"),
    ],
)
def test_who_needs_text_says_where_it_is(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "x.jsonl", '{"content": "Some words."}\n')
    done = run(*command)
    assert done.exit_code == 2 and "try --text-field content" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["x.jsonl"]


# --- names that are wrong


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        (("scan", "x.jsonl", "--anchor", "nowhere"), "nowhere: no such anchor; textassay anchor build makes one"),
        (("scan", "x.jsonl", "--provenance", "nowhere"), "rules nowhere: No such file or directory\n"),
        (("scan", "x.jsonl", "--detector", "nowhere"), "detector nowhere: model.json: No such file or directory\n"),
        (("scan", "x.jsonl", "--markers", "nowhere"), "lexicon nowhere: No such file or directory\n"),
        (("--config", "nowhere", "scan", "x.jsonl"), "settings in nowhere: No such file or directory\n"),
        (("gate", "audit", "--policy", "nowhere"), "policy nowhere: No such file or directory\n"),
        (("gate", "audit", "--policy", "misspelt.toml"), "mattr: wanted min or max, found 'minn'\n"),
    ],
)
def test_wrong_names(tmp_path, monkeypatch, command, wanted):
    monkeypatch.chdir(tmp_path)
    ta.scan(written(tmp_path / "x.jsonl", '{"text": "Some words."}\n'), out="audit", report=False)
    written(tmp_path / "misspelt.toml", "[mattr]\nminn = 3\n")
    done = run(*command)
    assert done.exit_code == 2 and wanted in done.stderr


def test_results_go_to_no_store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = written(tmp_path / "x.jsonl", '{"text": "Some words."}\n')
    done = run("scan", path, "-o", "s3://bucket/out")
    assert done.exit_code == 2 and "results go to a folder of a file system" in done.stderr
    assert not (tmp_path / "s3:").exists()
    assert run("scan", path, "-o", tmp_path / "a:b").exit_code == 0


def commands(group, prefix=()):
    for name, command in group.commands.items():
        yield from commands(command, (*prefix, name)) if hasattr(command, "commands") else [((*prefix, name), command)]


@pytest.mark.parametrize(("name", "command"), list(commands(get_command(app))), ids=lambda value: "")
def test_every_help_ends_with_an_example_that_is_right(name, command):
    words = shlex.split(command.epilog.removeprefix("For example: textassay "))
    assert tuple(words[: len(name)]) == name
    command.make_context(name[-1], words[len(name) :])  # raises on what the command does not know


# --- what is printed


def test_readme_shows_what_is_printed():
    """Line by line, but for the clock's; `...` stands for what is left out."""
    text = (ROOT / "README.md").read_text("utf-8")
    shown = re.search(r"^```\n( textassay  5 files.*?)^```", text, re.MULTILINE | re.DOTALL)[1].splitlines()
    printed = iter([line.rstrip() for line in run("scan", ROOT / "examples", columns=90).stdout.splitlines()])
    for line in shown:
        if line.strip() not in ("", "...") and "read in" not in line:
            assert any(line == other for other in printed), line


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """Two that have little in common, and long names."""
    folder = tmp_path_factory.mktemp("corpora")
    random = np.random.default_rng(5)
    for name, words in (("reference", WORDS), ("current", [word[::-1] * 4 for word in WORDS])):
        lines = [
            json.dumps({"id": f"{name}/{'deep/' * 9}{n}", "text": " ".join(random.choice(words, 90 + 40 * n))})
            for n in range(40)
        ]
        shard = folder / f"{name}-{'x' * 40}.jsonl"
        written(shard, "\n".join(lines))
        ta.scan(shard, out=folder / name, report=False)
    return folder


def test_no_figure_is_cut_on_a_narrow_terminal(corpora):
    done = run("compare", corpora / "reference", corpora / "current")
    assert done.exit_code == 0
    table = done.stdout.partition("Signals")[2]
    assert "1e-9" in table and "…" not in table
    ta.build_anchor(next(corpora.glob("reference-*")), corpora / "h.anchor")
    checked = run("anchor", "check", corpora / "h.anchor", next(corpora.glob("reference-*"))).stdout
    rows = [line.split() for line in checked.splitlines() if ".jsonl" in line]
    assert rows and all(re.fullmatch(r"\d+\.\d\d", row[0]) and row[1] == "%" for row in rows), checked


def test_words_stay_with_their_figures(corpora):
    """Rich breaks lines at any blank."""
    done = run("compare", corpora / "reference", corpora / "current", columns=60).stdout
    for heading in ("Vanished", "New"):
        part = re.search(rf"^ {heading}  (.*?)^\s*$", done, re.MULTILINE | re.DOTALL)[1]
        assert all(re.fullmatch(r"( *\S+ [\d,]+×)+ *", line) for line in part.splitlines()), part
    top = re.search(r"^ Top  (.*?)^\s*$", run("scan", ROOT / "examples", columns=60).stdout, re.MULTILINE | re.DOTALL)[
        1
    ]
    assert all(re.fullmatch(r"( *\S+ [\d.]+ %)+ *", line) for line in top.splitlines()), top


def test_signals_that_are_not_compared_share_their_reason(corpora):
    other = corpora / "few"
    ta.scan(next(corpora.glob("current-*")), out=other, signals="mattr", detector=None, report=False)
    printed = " ".join(run("compare", corpora / "reference", other).stdout.split())
    assert printed.count("the current corpus does not measure it") == 1
    assert "does not measure it: n_bytes, n_chars, n_tokens" in printed


def test_a_batch_that_never_filled_is_not_called_full(tmp_path):
    path = written(tmp_path / "x.jsonl", '{"text": "Some words and more."}\n')
    assert "Batches  1, closed at 1.05 M tokens; entropy 2.00 bits" in run("scan", path).stdout
    assert entropy_range({"0.05": 1, "0.5": 2, "0.95": 3}) == "entropy 1.00 to 3.00 bits, median 2.00"


def test_a_corpus_without_a_tail_says_so(corpora):
    assert "no tail: the rarest tokens" in " ".join(
        run("compare", corpora / "reference", corpora / "current").stdout.split()
    )


def test_merged_profiles_have_no_size(corpora):
    first = run("merge", corpora / "reference" / "profile.tap", "-o", corpora / "sum.tap").stdout.splitlines()[0]
    assert re.fullmatch(r" textassay  1 profile · 40 documents · \S+ k word tokens *", first), first


def test_the_gates_page_shows_the_value_of_a_place():
    place = {"kind": "file", "name": "a.jsonl", "value": 0.9238, "note": "mean probability of 149 documents"}
    check = {
        "name": "synthetic_ratio by estimate",
        "outcome": "failed",
        "mode": "enforce",
        "value": 1.0,
        "unit": "share",
    }
    check |= {"min": None, "max": 0.6, "excess": 0.4, "message": "", "places": [place]}
    out = {"out": "audit", "passed": False, "checks": [check]}
    page = gate_page({"passed": False, "outs": [out], "policy": {"origin": "p.toml", "limits": [check]}}).decode()
    assert "92.38\N{NO-BREAK SPACE}%" in page or "92.38 %" in page


@pytest.mark.parametrize(("n", "wanted"), [(1, "do not meet this limit"), (2, "these limits clash")])
def test_a_mix_that_cannot_be(n, wanted, capsys):
    conflicts = [{"limit": f"min_human_verified = 0.{n}", "needed": None} for n in range(1, n + 1)]
    print_mix({"feasible": False, "tokens_at_most": None, "conflicts": conflicts})
    shown = capsys.readouterr().out
    assert wanted in shown and "nothing" in shown


# --- how sure it is


@pytest.mark.parametrize(
    ("reference", "is_blind", "fraction", "wanted"),
    [
        ("detector", True, 0.0, "At most about 10"),
        ("detector", True, 0.5, "About 50"),
        (
            "detector",
            True,
            1.0,
            "Most documents resemble synthetic text, perhaps all",
        ),
        ("anchor", False, 1.0, "Most documents"),
        ("calibration", False, 1.0, "About 100"),
    ],
)
def test_the_answer_claims_no_more_than_is_known(reference, is_blind, fraction, wanted):
    found = {"fraction": fraction, "low": fraction, "high": fraction, "n_documents": 9, "is_blind": is_blind}
    summary = {"corpus": {"n_documents": 9}, "provenance": {"synthetic_fraction": found | {"reference": reference}}}
    assert headline(summary).startswith(wanted)


def test_documentation_and_code_know_the_same_errors():
    text = (ROOT / "docs" / "provenance.md").read_text("utf-8")
    errors = [f"{100 * TYPICAL_ERROR[name]:.0f}" for name in ("detector", "anchor")]
    assert f"{errors[0]} and {errors[1]} points on average" in text
    assert f"off by {errors[0]} points" in (ROOT / "README.md").read_text("utf-8")
    rows = re.findall(
        r"^\| (\d+) % \| \d+ % \| (\d+)(?: points)? \| [^|]+ \| \d+ % \| (\d+)(?: points)? \|", text, re.MULTILINE
    )
    for column, error in zip((1, 2), errors, strict=True):
        assert round(np.mean([int(row[column]) for row in rows])) == int(error)


def test_a_share_says_that_it_is_rough(corpora):
    """A human reference that is nowhere near: all documents look synthetic, or none does."""
    found = ta.scan(next(corpora.glob("current-*"))).summary["provenance"]["synthetic_fraction"]
    printed = run("scan", next(corpora.glob("current-*"))).stdout
    assert ("rough: off by 22 points" in printed) == (found["fraction"] >= 0.1)
    assert ("blind below 10 %" in printed) == (found["fraction"] < 0.1)


def test_the_band_of_human_text_writes_shares_like_the_page(tmp_path):
    profile = ta.scan(written(tmp_path / "x.jsonl", '{"text": "Too short."}\n')).profile
    assert "100 % of the documents are shorter" in human_range("mattr", profile, None, None)[1]


# --- in an interpreter


def test_results_print_a_line(corpora):
    result = ta.scan(next(corpora.glob("current-*")))
    for one in (result, result.profile, ta.compare(result.profile, result.profile)):
        assert len(repr(one)) < 200 and "\n" not in repr(one)
    assert repr(result).startswith("<ScanResult of 1 file: <Profile of 40 documents")


def test_a_mapping_is_no_column():
    with pytest.raises(TypeError, match="pass one of its columns"):
        ta.measure({"text": ["Some words."]})


def test_a_profile_says_how_it_travels(corpora):
    profile = ta.Profile.load(corpora / "reference" / "profile.tap")
    with pytest.raises(TypeError, match="serialize"):
        pickle.dumps(profile)
    assert ta.Profile.deserialize(profile.serialize()).serialize() == profile.serialize()


def test_a_column_of_nulls_is_one_of_texts():
    polars = pytest.importorskip("polars")
    frame = ta.scan(ROOT / "examples" / "shards" / "shard-000.jsonl.zst", documents="memory").documents.to_polars()
    assert frame["provenance_reason"].null_count() == len(frame)
    assert {frame[name].dtype for name in ("id", "provenance", "provenance_reason")} == {polars.String}
