"""report.html: what it says, that it needs nothing but itself, and that no text of a corpus can act in it."""

import base64
import hashlib
import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import textassay as ta
from implementations import BACKENDS
from textassay import _backend
from textassay.cli.app import app
from textassay.errors import OutputWarning
from textassay.report import answer, evidence, human, scan_page
from textassay.report.comparison_page import comparison_headline, comparison_page
from textassay.report.figures import Range
from textassay.report.gate_page import gate_page
from textassay.report.page import NO_BREAK, SIZE_LIMIT
from textassay.report.scan_page import ScanFindings, rank_curve, shown_bins, tracked
from textassay.report.simulation_page import simulation_page
from textassay.report.writing import write_report
from textassay.signals import LinearBins, bins_of
from textassay.spectrum import Spectrum

HOSTILE = "<script>alert('zzhostile')</script>\u202e\x1b[31m\x00\u200b<img src=x onerror=alert(1)>\"'`&{{7*7}}"
MARK = "zzhostile"
WORDS = [
    "the",
    "of",
    "and",
    "to",
    "in",
    "that",
    "it",
    "was",
    "his",
    "with",
    "as",
    "for",
    "had",
    "you",
    "not",
    "be",
    "her",
    "on",
    "at",
    "by",
    "which",
    "have",
    "or",
    "from",
    "this",
    "him",
    "but",
    "all",
    "she",
    "they",
]
MACHINE = (
    "In the tapestry of modern life, it is worth noting that we delve into a multifaceted realm, where vibrant nuances and pivotal "
    "insights underscore a testament to the transformative power of community. Moreover, this intricate journey fosters resilience, "
    "seamlessly weaving innovation, collaboration, and profound understanding. Furthermore, it highlights the crucial role of "
    "navigating complexities, embracing diversity, and unlocking potential in an ever-evolving landscape. "
)


def plain_text(random_: random.Random, n: int) -> str:
    sentences = []
    while n > 0:
        length = min(n, random_.randint(3, 30))
        sentences.append(" ".join(random_.choices(WORDS, k=length)).capitalize() + ".")
        n -= length
    return " ".join(sentences)


RULES = """
source = "site"
date = "date"
[[rule]]
label = "synthetic_known"
generator = "model"
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """A corpus with everything in it: sources, dates, suspects, malformed records, a damaged file, and hostile names."""
    folder = tmp_path_factory.mktemp("corpus")
    random_ = random.Random(0)
    records = []
    for i in range(300):
        record = {"id": f"d{i}", "text": plain_text(random_, random_.randint(5, 400)), "site": f"site{i % 5}.example"}
        record["date"] = f"202{i % 4}-{1 + i % 12:02}-03"
        records.append(record)
    records += [{"text": MACHINE * 3, "site": HOSTILE, "date": "2024-05-01"}]
    records += [{"text": f"{HOSTILE} {MACHINE}", "model": HOSTILE, "site": "machine.example"} for _ in range(3)]
    lines = [json.dumps(record) for record in records]
    (folder / "a.jsonl").write_text("\n".join([*lines[:200], '{"text": 7}', "not json", ""]) + "\n")
    data = "\n".join(lines[200:]).encode() + b"\n"
    import zstandard

    packed = zstandard.ZstdCompressor(write_checksum=True).compress(data)
    (folder / "b.jsonl.zst").write_bytes(packed)
    (folder / "c.jsonl.zst").write_bytes(packed[:-40])
    (folder / f"{MARK}<script>\u202e&'.jsonl").write_text('{"text": "one two"}\n{"text": 1}\n')
    (folder / "rules.toml").write_text(RULES)
    return folder


def scan_into(out: Path, corpus: Path, **more) -> ta.ScanResult:
    options = {"provenance": corpus / "rules.toml", "batch_tokens": 2048, "entropy_floor": 4.7, "threads": 2} | more
    return ta.scan(corpus, out, **options)


@pytest.fixture(scope="module")
def out(corpus, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "audit"
    scan_into(folder, corpus)
    return folder


@pytest.fixture(scope="module")
def page(out) -> str:
    return (out / "report.html").read_text("utf-8")


class Parsed(HTMLParser):
    """Tags with their attributes, and the text of each element kind."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        assert len({name for name, _ in attributes}) == len(attributes), tag
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "br"):
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self._open[-1] if self._open else "", data))

    def handle_decl(self, decl):
        assert decl == "doctype html"

    def all_of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def text(self) -> str:
        return " ".join(" ".join(data for kind, data in self.texts if kind not in ("style", "script")).split())


@pytest.fixture(scope="module")
def parsed(page) -> Parsed:
    return Parsed(page)


def without_performance(page: str) -> str:
    start, end = "<!-- performance", "<!-- end of performance -->"
    assert page.count(start) == page.count(end) == 1
    return page.partition(start)[0] + page.partition(end)[2]


# It needs nothing but itself

TAGS = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "script",
    "a",
    "header",
    "nav",
    "main",
    "footer",
    "section",
    "div",
    "p",
    "h1",
    "h2",
    "h3",
}
TAGS |= {
    "ul",
    "li",
    "bdi",
    "figure",
    "figcaption",
    "svg",
    "desc",
    "path",
    "text",
    "use",
    "defs",
    "rect",
    "dl",
    "dt",
    "dd",
    "details",
    "summary",
}
TAGS |= {"table", "thead", "tbody", "tr", "th", "td", "article", "blockquote", "code", "span"}


def test_nothing_is_loaded(parsed):
    """Every attribute that can name something to load or to go to names a place in the page."""
    assert {tag for tag, _ in parsed.tags} <= TAGS
    for tag, attributes in parsed.tags:
        for name, value in attributes.items():
            if name in ("href", "xlink:href"):
                assert value.startswith("#"), (tag, value)
            assert name not in (
                "src",
                "srcset",
                "action",
                "formaction",
                "data",
                "poster",
                "background",
                "ping",
                "style",
            ), name
            assert not name.startswith("on"), name
            assert "//" not in (value or "") and "url(" not in (value or ""), (tag, name, value)
    assert not re.search(r"@import|url\(|expression", "".join(text for kind, text in parsed.texts if kind == "style"))


def test_links_lead_somewhere_and_ids_are_unique(parsed):
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in parsed.tags:
        for name in ("href", "aria-labelledby"):
            if name in attributes:
                assert attributes[name].removeprefix("#") in ids, (tag, attributes)


def test_policy_allows_what_is_there_and_nothing_else(page, parsed):
    (policy,) = [one["content"] for one in parsed.all_of("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert set(rules) == {"default-src", "style-src", "script-src", "base-uri", "form-action"}
    for kind in ("style", "script"):
        (content,) = re.findall(rf"<{kind}>(.*?)</{kind}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[f"{kind}-src"] == f"'sha256-{digest}'"
    assert page.index("Content-Security-Policy") < page.index("<style>")


def test_text_of_a_corpus_cannot_act(page, parsed):
    assert len(parsed.all_of("script")) == len(parsed.all_of("style")) == 1
    assert not parsed.all_of("img")
    for tag, attributes in parsed.tags:
        for name, value in attributes.items():
            assert MARK not in name and MARK not in (value or ""), (tag, name, value)
    shown = parsed.text()
    assert "<script>alert('zzhostile')</script>\\u202e\\x1b[31m\\x00\\u200b<img" in shown
    assert f"{MARK}<script>\\u202e&'.jsonl" in shown
    assert "{{7*7}}" in shown
    assert all(char.isprintable() or char in ("\n", NO_BREAK) for char in page)


def test_readable_without_eyes_and_pointer(parsed):
    assert parsed.all_of("html") == [{"lang": "en"}]
    assert len(parsed.all_of("h1")) == len(parsed.all_of("main")) == len(parsed.all_of("nav")) == 1
    for picture in parsed.all_of("svg"):
        assert picture.get("aria-hidden") == "true" or picture["role"] == "img"
        assert picture.get("aria-hidden") == "true" or "aria-labelledby" in picture or "aria-label" in picture
    for head in parsed.all_of("th"):
        assert head["scope"] == "col"
    for region in (one for one in parsed.all_of("div") if one.get("class") == "scroll"):
        assert region["tabindex"] == "0" and region["aria-label"]


# What it says


def test_answer_comes_first(parsed, out):
    summary = json.loads((out / "summary.json").read_text())
    text = parsed.text()
    assert (
        text.index("What this corpus is")
        < text.index("How synthetic it is")
        < text.index("What to do")
        < text.index("Frequency by rank")
    )
    assert f"{summary['corpus']['n_documents']:,} documents" in text
    fraction = summary["provenance"]["synthetic_fraction"]
    assert fraction["is_blind"] and "blind below 10 %" in text
    assert answer.percent(fraction["high"]).replace(NO_BREAK, " ") in text
    for step in (
        "Fetch 1 damaged file again",
        "malformed records",
        "below the floor of 4.7 bits",
        "textassay anchor build",
    ):
        assert step in text, step
    for title in (
        "Growth of the vocabulary",
        "Rare and frequent",
        "Entropy along the corpus",
        "By month",
        "Variety of words",
        "Damaged files",
    ):
        assert title in text, title


def test_suspects_are_explained(parsed, out):
    suspects = json.loads((out / "summary.json").read_text())["suspects"]
    assert suspects and suspects == sorted(
        suspects, key=lambda row: (-row["synthetic_logit"], row["file"], row["line"])
    )
    text = parsed.text()
    assert "In the tapestry of modern life" in text and "Weighs towards synthetic" in text
    assert f"line {suspects[0]['line']:,}" in text


def test_every_byte_is_accounted_for(parsed, out):
    inputs = json.loads((out / "summary.json").read_text())["inputs"]
    text = parsed.text()
    assert f"{inputs['bytes']:,} in all" in text
    for key in ("bytes_parsed", "bytes_malformed"):
        assert f"{inputs['accounted'][key]:,} B" in text


@pytest.mark.parametrize(
    ("fraction", "low", "high", "is_blind", "wanted"),
    [
        (0.03, 0.0, 0.06, True, "At most about 10 %"),
        (0.03, 0.0, 0.14, True, "At most about 14 %"),
        (0.4, 0.35, 0.45, True, "About 40 %"),
        (0.0, 0.0, 0.004, False, "No synthetic text"),
        (0.01, 0.0, 0.03, False, "at most 3.0 %"),
        (0.02, 0.01, 0.03, False, "About 2.0 %"),
    ],
)
def test_headline(fraction, low, high, is_blind, wanted):
    found = {"fraction": fraction, "low": low, "high": high, "is_blind": is_blind}
    summary = {"corpus": {"n_documents": 5}, "provenance": {"synthetic_fraction": found}}
    assert wanted in answer.headline(summary).replace(NO_BREAK, " ")


def test_headline_without_an_estimate():
    assert "nothing could tell" in answer.headline({"corpus": {"n_documents": 5}})
    assert "no document" in answer.headline({"corpus": {"n_documents": 0}})


@pytest.mark.parametrize(
    ("share", "wanted"),
    [(None, "–"), (0, "0 %"), (1, "100 %"), (1e-6, "less than 0.01 %"), (0.0012, "0.12 %"), (0.034, "3.4 %"), (0.5, "50 %"), (0.9999999, "more than 99.99 %"), (0.997, "99.70 %")],
)  # fmt: skip
def test_percent(share, wanted):
    assert answer.percent(share).replace(NO_BREAK, " ") == wanted


# The same for the same


def test_same_input_same_page(corpus, out, page, tmp_path):
    scan_into(tmp_path / "again", corpus, threads=1)
    assert without_performance((tmp_path / "again/report.html").read_text()) == without_performance(page)


def test_backends_agree(corpus, tmp_path):
    """On whole files: where damage begins, each decoder finds for itself."""
    found = []
    for implementation in BACKENDS:
        with _backend.using(implementation.backend):
            options = {"provenance": corpus / "rules.toml", "batch_tokens": 2048, "entropy_floor": 4.7}
            ta.scan([corpus / "a.jsonl", corpus / "b.jsonl.zst"], tmp_path / implementation.backend, **options)
        found.append(without_performance((tmp_path / implementation.backend / "report.html").read_text()))
    assert len(found) > 1 and len(set(found)) == 1


def test_report_is_made_again_from_its_folder(out, page, tmp_path):
    target = tmp_path / "page.html"
    assert write_report(out, target) == target
    assert target.read_text() == page


def test_settings_of_matplotlib_do_not_matter(out, page, tmp_path):
    import matplotlib

    with matplotlib.rc_context({"font.size": 30, "axes.grid": False, "svg.fonttype": "path", "lines.linewidth": 9}):
        write_report(out, tmp_path / "page.html")
        assert matplotlib.rcParams["font.size"] == 30
    assert (tmp_path / "page.html").read_text() == page


def test_documents_as_lines_give_the_same_page(corpus, page, tmp_path):
    """Batches are JSONL then: a page can be made of them as well."""
    scan_into(tmp_path / "lines", corpus, documents="jsonl")
    found = (tmp_path / "lines/report.html").read_text()
    assert without_performance(found) == without_performance(page)
    write_report(tmp_path / "lines", tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == found


# Its size


def test_page_is_small_whatever_it_shows(out, tmp_path):
    """All names are as long and as bad as they may be, all lists are full."""
    profile = ta.Profile.load(out / "profile.tap")
    summary = json.loads((out / "summary.json").read_text())
    manifest = json.loads((out / "manifest.json").read_text())
    long = "&\U000e0041\u202e" * 100_000
    provenance = summary["provenance"]
    source, reason, month = (provenance[kind][0] for kind in ("sources", "reasons", "months"))
    provenance["sources"] = [source | {"source": f"{i}{long}"} for i in range(100)]
    provenance["reasons"] = [reason | {"reason": f"{i}{long}"} for i in range(100)]
    provenance["months"] = [month | {"month": f"{1000 + i // 12}-{1 + i % 12:02}"} for i in range(1200)]
    provenance |= {"n_sources": 10**9, "n_months": 1200, "n_reasons": 10**9}
    summary["suspects"] = [summary["suspects"][0] | {"file": long}] * 20
    summary["batches"]["worst"] = [summary["batches"]["worst"][0] | {"file": long}] * 10
    summary["corpus"]["top"] = [{"token": long, "count": 10**12, "documents": 10**9}] * 50
    inputs = summary["inputs"]
    inputs["damaged"] = [inputs["damaged"][0] | {"file": long, "reason": long}] * 100
    inputs["malformed_by_reason"] = {f"{i}{long[:300]}": 10**9 for i in range(5000)}
    manifest["inputs"] = [manifest["inputs"][0] | {"path": long[:4096]}] * 20_000
    errors = [{"file": long, "line": 10**9, "byte_offset": 10**15, "reason": long}] * 30
    rows = {"entropy_bits": np.random.default_rng(0).uniform(0, 20, 100_000), "n_tokens": np.full(100_000, 2048.0)}
    summary["batches"]["n_batches"] = 100_000
    page = scan_page.scan_page(ScanFindings(summary, profile, [rows], manifest, errors, None, ta.Detector.default()))
    assert len(page) < SIZE_LIMIT
    Parsed(page.decode())


def test_pages_of_next_to_nothing(shard, tmp_path):
    for name, records in {"empty": [], "one": ["word"], "no-words": ["...", ""], "bad": [b"x"]}.items():
        ta.scan(shard(f"{name}.jsonl", records), tmp_path / name)
        assert "What to do" in Parsed((tmp_path / name / "report.html").read_text()).text()
    for tokens in ("byte", "char"):
        ta.scan(shard("a.jsonl", ["a few words\x00\x07"]), tmp_path / tokens, tokens=tokens)
        assert "\\x00" in Parsed((tmp_path / tokens / "report.html").read_text()).text()
    ta.scan(shard("a.jsonl", ["a few words"]), tmp_path / "bigram", tokens="bigram")
    assert "2-grams" in Parsed((tmp_path / "bigram/report.html").read_text()).text()
    ta.scan(shard("a.jsonl", ["a few"]), tmp_path / "signals", signals="marker_rate", detector=None, documents="none")
    assert "Nothing looked for synthetic text" in Parsed((tmp_path / "signals/report.html").read_text()).text()


def test_page_of_estimates(shard, tmp_path):
    """Past the type limit: errors are shown, curves still fall."""
    random_ = random.Random(1)
    texts = [" ".join(f"w{int(random_.paretovariate(0.6)) % 50_000}" for _ in range(300)) for _ in range(60)]
    ta.scan(shard("a.jsonl", texts), tmp_path / "out", max_types=500)
    text = Parsed((tmp_path / "out/report.html").read_text()).text()
    assert "±" in text and "estimates" in text


# Without the extra, and when something fails


@pytest.fixture
def without_extra(monkeypatch):
    from importlib import util

    real = util.find_spec
    monkeypatch.setattr(
        "textassay.report.find_spec", lambda name, *more: None if name == "matplotlib" else real(name, *more)
    )


def test_without_the_extra_a_line_says_so(without_extra, shard, tmp_path):
    with pytest.warns(OutputWarning, match=r"textassay\[report\]"):
        ta.scan(shard("a.jsonl", ["one two"]), tmp_path / "out")
    assert (tmp_path / "out/summary.json").exists() and not (tmp_path / "out/report.html").exists()
    with pytest.raises(ta.UsageError, match=r"textassay\[report\]"):
        write_report(tmp_path / "out")


def test_no_report(shard, tmp_path):
    ta.scan(shard("a.jsonl", ["one two"]), tmp_path / "out", report=False)
    assert not (tmp_path / "out/report.html").exists()
    done = CliRunner().invoke(
        app, ["scan", str(shard("a.jsonl", ["one"])), "-o", str(tmp_path / "o"), "--no-report", "-q"]
    )
    assert done.exit_code == 0 and not (tmp_path / "o/report.html").exists()


def test_a_page_that_fails_does_not_cost_the_scan(shard, tmp_path, monkeypatch):
    monkeypatch.setattr(scan_page, "scan_page", lambda findings: 1 / 0)
    with pytest.warns(OutputWarning, match="ZeroDivisionError"):
        result = ta.scan(shard("a.jsonl", ["one two"]), tmp_path / "out")
    assert ta.Profile.load(tmp_path / "out/profile.tap").digest() == result.profile.digest()
    assert not (tmp_path / "out/report.html").exists()


def test_scan_loads_the_extra_only_for_a_page():
    code = "import sys, textassay.scanning, textassay.report; print([m for m in ('jinja2', 'matplotlib') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_merged_profiles_have_a_page(out, tmp_path):
    done = CliRunner().invoke(app, ["merge", str(out), str(out), "-o", str(tmp_path / "merged")])
    assert done.exit_code == 0, done.output
    page = (tmp_path / "merged/report.html").read_text()
    assert "2 profiles" in Parsed(page).text()
    write_report(tmp_path / "merged", tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == page


def test_command(out, page, tmp_path):
    done = CliRunner().invoke(app, ["report", str(out), "-o", str(tmp_path / "page.html")])
    assert done.exit_code == 0 and (tmp_path / "page.html").read_text() == page


def test_command_refuses_what_is_no_scan(out, tmp_path):
    def told(folder: Path, *more: str) -> str:
        done = CliRunner().invoke(app, ["report", str(folder), *more])
        assert done.exit_code in (2, 3), done.output
        assert not (folder / "report.html").exists()
        return done.output

    told(tmp_path / "missing")
    broken = tmp_path / "broken"
    shutil.copytree(out, broken)
    (broken / "report.html").unlink()
    summary = json.loads((out / "summary.json").read_text())
    for spoil in (
        lambda one: one.update(schema="other/1"),
        lambda one: one.pop("inputs"),
        lambda one: one["corpus"].update(n_types="<script>"),
        lambda one: one["inputs"].update(damaged=7),
        lambda one: one["batches"].update(n_batches="7"),
        lambda one: one["provenance"]["corpus"]["labels"].clear(),
    ):
        content = json.loads(json.dumps(summary))
        spoil(content)
        (broken / "summary.json").write_text(json.dumps(content))
        told(broken)
    (broken / "summary.json").write_text("[" * 100_000)
    told(broken)
    shutil.copy(out / "summary.json", broken)
    (broken / "errors.jsonl").write_bytes(b"x" * (1 << 20))
    told(broken)
    shutil.copy(out / "errors.jsonl", broken)
    (broken / "batches.parquet").write_bytes(b"PAR1")
    told(broken)
    shutil.copy(out / "batches.parquet", broken)
    data = (out / "profile.tap").read_bytes()
    (broken / "profile.tap").write_bytes(data[: len(data) // 2])
    told(broken)


# Beside an anchor


@pytest.fixture(scope="module")
def anchored(tmp_path_factory) -> tuple[Path, Path]:
    """The folder of a scan with an anchor, and the anchor."""
    folder = tmp_path_factory.mktemp("anchored")
    random_ = random.Random(2)
    for name, n in (("human", 80), ("other", 40)):
        records = [
            {"text": " ".join(f"w{int(random_.paretovariate(0.7)) % 3000}" for _ in range(200))} for _ in range(n)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    ta.build_anchor(folder / "human.jsonl", folder / "human.anchor", note=HOSTILE)
    ta.scan(folder / "other.jsonl", folder / "out", anchor=folder / "human.anchor")
    return folder / "out", folder / "human.anchor"


def test_anchor_is_drawn_beside_the_corpus(anchored, tmp_path):
    folder, anchor = anchored
    page = (folder / "report.html").read_text()
    text = Parsed(page).text()
    assert "Tail retention" in text and "<script>alert('zzhostile')</script>\\u202e" in text
    assert page.count(">anchor</text>") >= 4
    write_report(folder, tmp_path / "with.html", anchor=anchor)
    assert (tmp_path / "with.html").read_text() == page
    write_report(folder, tmp_path / "without.html")
    assert "Tail retention" not in Parsed((tmp_path / "without.html").read_text()).text()


def test_only_its_own_anchor_fits(anchored, corpus, out, tmp_path):
    folder, anchor = anchored
    ta.build_anchor(corpus / "a.jsonl", tmp_path / "other.anchor")
    with pytest.raises(ta.UsageError, match="not the anchor of this scan"):
        write_report(folder, anchor=tmp_path / "other.anchor")
    write_report(out, tmp_path / "page.html", anchor=anchor)
    assert "Tail retention" in Parsed((tmp_path / "page.html").read_text()).text()


def test_ranges_are_the_anchors_own(anchored):
    folder, anchor = anchored
    profile, reference = ta.Profile.load(folder / "profile.tap"), ta.load_anchor(anchor).profile
    for signal in ("entropy_bits", "mattr"):
        quantiles = reference.distributions()[signal]["quantiles"]
        found, _ = human.human_range(signal, profile, reference, None)
        assert found == Range(quantiles["0.05"], quantiles["0.95"], "anchor")
    assert human.human_range("perplexity", profile, reference, None)[0] is None


# Ranges of human text


def test_shipped_ranges_are_mixed_by_length(shard):
    bands = {band["from_tokens"]: band for band in human._shipped()["bands"]}
    random_ = random.Random(3)
    texts = [plain_text(random_, 80)] * 30 + [plain_text(random_, 300)] * 10
    profile = ta.scan(shard("a.jsonl", texts)).profile
    pooled = sorted(bands[64]["mattr"] * 3 + bands[256]["mattr"])
    found, _ = human.human_range("mattr", profile, None, None)
    assert found.low == pooled[math.ceil(0.05 * len(pooled)) - 1]
    assert found.high == pooled[math.ceil(0.95 * len(pooled)) - 1]


def test_no_range_for_lengths_that_are_not_known(shard):
    profile = ta.scan(shard("a.jsonl", ["two words"] * 30 + [plain_text(random.Random(4), 100)] * 9)).profile
    found, words = human.human_range("mattr", profile, None, None)
    assert found is None and "77 % of the documents" in words
    bytes_ = ta.scan(shard("a.jsonl", ["some text"]), tokens="byte").profile
    assert human.human_range("mattr", bytes_, None, None)[0] is None


def test_shipped_ranges_are_sound():
    shipped = human._shipped()
    begins = [band["from_tokens"] for band in shipped["bands"]]
    assert begins == [begins[0] * 2**k for k in range(len(begins))]
    for band in shipped["bands"]:
        assert band["sources"] >= 2 and band["passages"] >= 60
        for signal in ("entropy_bits", "mattr", "burstiness"):
            assert len(band[signal]) == len(shipped["probabilities"])
            assert band[signal] == sorted(band[signal])


# Evidence


def test_evidence_is_shown_only_of_the_text_that_was_scanned(corpus, out):
    suspect = json.loads((out / "summary.json").read_text())["suspects"][0]
    manifest = json.loads((out / "manifest.json").read_text())
    detector = ta.Detector.default()
    found = evidence.evidence_of(suspect, manifest, detector)
    assert "tapestry" in found.excerpt and found.synthetic
    assert evidence.evidence_of(suspect, manifest, None) is None
    other = suspect | {"synthetic_logit": suspect["synthetic_logit"] + 0.5}
    assert evidence.evidence_of(other, manifest, detector) is None
    for changed in ({"byte_offset": suspect["byte_offset"] + 1}, {"byte_offset": 1 << 50}, {"file": "gone"}):
        assert evidence.evidence_of(suspect | changed, manifest, detector) is None
    touched = {"inputs": [one | {"mtime_ns": 1} for one in manifest["inputs"]]}
    assert evidence.evidence_of(suspect, manifest | touched, detector) is None


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.zst", "a.jsonl.gz"])
def test_text_is_read_again_at_its_offset(shard, tmp_path, name):
    import gzip

    lines = [json.dumps({"text": plain_text(random.Random(i), 50)}) for i in range(30)] + [
        json.dumps({"text": f"é{MACHINE * 3}"})
    ]
    path = tmp_path / name
    data = ("\n".join(lines) + "\n").encode()
    if name.endswith(".zst"):
        path = shard(name, [line.encode() for line in lines])
    else:
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    ta.scan(path, tmp_path / "out")
    assert "éIn the tapestry" in Parsed((tmp_path / "out/report.html").read_text()).text()


# Figures


@given(
    entropy=st.lists(st.floats(0, 20) | st.just(math.nan), max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=4),
    full=st.lists(st.booleans(), min_size=60, max_size=60),
    columns=st.integers(1, 20),
)
def test_track_against_one_loop(entropy, cuts, full, columns):
    tokens = [100 if one else 7 for one in full[: len(entropy)]]
    places = sorted({0, *(min(cut, len(entropy)) for cut in cuts), len(entropy)})
    pieces = [
        {"entropy_bits": np.array(entropy[begin:end]), "n_tokens": np.array(tokens[begin:end])}
        for begin, end in pairwise(places)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan_page, "TRACK_COLUMNS", columns)
        found, is_full = tracked(pieces, len(entropy), 100)
    known = [i for i, value in enumerate(entropy) if not math.isnan(value)]
    chosen = [i for i in known if tokens[i] == 100] or known
    if not chosen:
        assert found is None
        return
    assert is_full == any(tokens[i] == 100 for i in known)
    width = min(len(entropy), columns)
    groups: dict[int, list[float]] = {}
    for i in chosen:
        groups.setdefault(i * width // len(entropy), []).append(entropy[i])
    assert found.low.tolist() == [min(values) for _, values in sorted(groups.items())]
    assert found.high.tolist() == [max(values) for _, values in sorted(groups.items())]
    assert found.mean == pytest.approx([sum(values) / len(values) for _, values in sorted(groups.items())])


@pytest.mark.parametrize("signal", ["n_tokens", "mattr", "entropy_bits", "perplexity", "burstiness", "synthetic_logit"])
@given(data=st.data())
def test_shown_bins_hold_what_is_in_the_middle(signal, data):
    kind = bins_of(signal)
    counts = data.draw(st.dictionaries(st.integers(0, kind.count - 1), st.integers(1, 1000), min_size=1, max_size=12))
    histogram = np.zeros(kind.count, np.uint64)
    for place, count in counts.items():
        histogram[place] = count
    edges, shown = shown_bins(signal, histogram)
    assert len(edges) == len(shown) + 1 and np.all(np.diff(edges) > 0)
    assert len(shown) <= scan_page.SHOWN_BINS + 2
    total = sum(counts.values())
    assert 0.99 * total - 1 <= shown.sum() <= total
    if not isinstance(kind, LinearBins):
        assert edges[0] > 0


@given(st.dictionaries(st.integers(1, 500), st.integers(1, 30), min_size=1, max_size=30))
def test_rank_curve_against_the_list_of_types(spectrum):
    counts = np.array(sorted(spectrum), np.int64)
    weights = np.array([spectrum[count] for count in counts.tolist()], np.int64)
    ordered = sorted((count for count, n in spectrum.items() for _ in range(n)), reverse=True)
    curve = rank_curve(Spectrum(int(counts @ weights), counts, weights), "corpus", "corpus")
    assert curve.x[0] == 1 and curve.x[-1] == len(ordered)
    for rank, per_million in zip(curve.x.tolist(), curve.y.tolist(), strict=True):
        assert per_million == pytest.approx(1e6 * ordered[int(rank) - 1] / sum(ordered))


# Notebooks


def test_notebooks_show_a_piece_of_it(corpus, shard):
    result = ta.scan(shard("a.jsonl", [HOSTILE, *([plain_text(random.Random(5), 200)] * 3)]))
    for found in (result._repr_html_(), result.profile._repr_html_()):
        piece = Parsed(found)
        assert {tag for tag, _ in piece.tags} <= {
            "div",
            "p",
            "strong",
            "br",
            "table",
            "tbody",
            "tr",
            "th",
            "td",
            "ul",
            "li",
            "code",
        }
        assert "Zipf exponent" in piece.text() and "4 documents" in piece.text()
    assert ta.Profile()._repr_html_()


def test_notebooks_without_the_extra(monkeypatch):
    monkeypatch.setattr("textassay.profile.has_report", lambda: False)
    assert ta.Profile()._repr_html_() is None


# The pages of a comparison, of a gate and of a simulation


def corpus_of(name: str, **more) -> dict:
    found = {"name": name, "n_documents": 5, "n_tokens": 1000, "n_types": 200, "tokens": "word", "is_estimate": False}
    return found | more


@pytest.fixture(scope="module")
def documents(tmp_path_factory) -> dict[str, dict]:
    """What compare, gate and simulate print with --json, of hostile words and names."""
    folder = tmp_path_factory.mktemp(f"{MARK}'<b>")
    random_ = random.Random(6)
    texts = {name: [plain_text(random_, 60) for _ in range(40)] for name in ("before", "after")}
    texts["after"] += [f"the {MARK} word " * 20] * 3
    profiles = {}
    for name, told in texts.items():
        profiles[name] = folder / f"{name}\u202e<script>.tap"
        profile = ta.Profile()
        profile.update(told)
        profile.save(profiles[name])
    labels = [f"{i}{HOSTILE}" for i in range(6)]
    found = ta.compare_timeline(profiles["before"], [profiles["before"]] * 3 + [profiles["after"]] * 3, labels)
    ta.scan([__file__], folder / "out", report=False)
    done = CliRunner().invoke(app, ["gate", str(folder / "out"), "--json"])
    gate = json.loads(done.stdout)
    (folder / "a.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts["after"]))
    run = [
        "simulate",
        str(folder / "a.jsonl"),
        "--generations",
        "3",
        "--generation-tokens",
        "2K",
        "--entropy-floor",
        "3",
        "--json",
        "-q",
    ]
    simulation = json.loads(CliRunner().invoke(app, run).stdout)
    return {"comparison": found.to_dict(), "gate": gate, "simulation": simulation}


MAKERS = {"comparison": comparison_page, "gate": gate_page, "simulation": simulation_page}


@pytest.mark.parametrize("kind", MAKERS)
def test_other_pages_need_nothing_either(documents, kind):
    page = MAKERS[kind](documents[kind]).decode()
    parsed = Parsed(page)
    test_nothing_is_loaded(parsed)
    test_links_lead_somewhere_and_ids_are_unique(parsed)
    test_policy_allows_what_is_there_and_nothing_else(page, parsed)
    test_readable_without_eyes_and_pointer(parsed)
    assert len(parsed.all_of("script")) == 1 and not parsed.all_of("img")
    assert not any(MARK in (value or "") for _, attributes in parsed.tags for value in attributes.values())
    assert all(char.isprintable() or char in ("\n", NO_BREAK) for char in page)
    assert MAKERS[kind](json.loads(json.dumps(documents[kind]))).decode() == page


def test_comparison_says_how_far_and_in_what(documents):
    text = Parsed(comparison_page(documents["comparison"]).decode()).text()
    assert f"5{HOSTILE[:20]}" in text and "has moved" in text
    assert re.search(rf"More: [^.]*{MARK}", text) and "×" in text
    assert "6 corpora, in the order given" in text


@pytest.mark.parametrize(
    ("jsd", "chance", "wanted"), [(0, 0.1, "the same as"), (0.11, 0.1, "as chance allows"), (0.3, 0.1, "0.300 bits")]
)
def test_headline_of_a_comparison(jsd, chance, wanted):
    current = {"label": "new", "figures": {"jsd_bits": jsd, "jsd_by_chance_bits": chance}}
    assert wanted in comparison_headline(corpus_of("old"), current)


def test_gate_says_what_is_missed(documents):
    checks = [check for out in documents["gate"]["outs"] for check in out["checks"]]
    missed = [check for check in checks if check["outcome"] != "passed" and check["mode"] == "enforce"]
    text = Parsed(gate_page(documents["gate"]).decode()).text()
    assert missed and f"{len(missed)} enforced limit" in text
    for check in missed:
        assert f"{check['name']} is" in text


def test_gates_page_is_small_whatever_it_shows(documents):
    long = "&\u202e<" * 10_000
    (out,) = documents["gate"]["outs"]
    place = {"kind": "file", "name": long, "note": long}
    check = out["checks"][0] | {"name": long, "message": long, "outcome": "failed", "places": [place] * 100}
    many = documents["gate"] | {"outs": [out | {"out": long, "checks": [check] * 200}] * 300, "passed": False}
    assert len(gate_page(many)) < SIZE_LIMIT


def test_comparisons_page_is_small_whatever_it_shows(documents):
    long = "&\u202e<" * 10_000
    found = json.loads(json.dumps(documents["comparison"]))
    last = found["comparisons"][-1] | {"label": long, "signals_left_out": {f"{i}{long[:99]}": long for i in range(999)}}
    last["movers"] = {
        kind: [(rows or last["movers"]["rising"])[0] | {"token": long}] * 500 for kind, rows in last["movers"].items()
    }
    last["features"] = [last["features"][0] | {"name": long, "examples": [long] * 50}] * 500
    found["comparisons"] = [last] * 1000
    found["change_points"] = [
        {"figure": "jsd_bits", "label": long, "index": i, "before": 0, "after": 1, "size": 9} for i in range(1, 999)
    ]
    assert len(comparison_page(found)) < SIZE_LIMIT


def test_simulation_says_what_was_lost(documents):
    found = documents["simulation"]
    text = Parsed(simulation_page(found).decode()).text()
    assert "After 3 generations" in text and "entropy bits below 3" in text
    for generation in found["generations"]:
        assert f"{generation['n_types']:,}" in text
    long = found | {"generations": [one | {"generation": i} for i, one in enumerate(found["generations"] * 2500)]}
    assert len(simulation_page(long)) < SIZE_LIMIT


def test_folders_of_compare_and_simulate_hold_their_pages(out, tmp_path):
    done = CliRunner().invoke(app, ["compare", str(out), str(out), "-o", str(tmp_path / "compared")])
    assert done.exit_code == 0, done.output
    run = [
        "simulate",
        str(Path(__file__).parent.parent / "examples" / "sample.jsonl.zst"),
        "--generation-tokens",
        "20K",
    ]
    done = CliRunner().invoke(app, [*run, "--generations", "2", "-o", str(tmp_path / "simulated"), "-q"])
    assert done.exit_code == 0, done.output
    for name in ("compared", "simulated"):
        page = (tmp_path / name / "report.html").read_text()
        write_report(tmp_path / name, tmp_path / "page.html")
        assert (tmp_path / "page.html").read_text() == page
        with pytest.raises(ta.UsageError, match="does not hold|wanted the schema"):
            file = next((tmp_path / name).glob("*o*.json"))
            file.write_text(json.dumps({"schema": json.loads(file.read_text())["schema"]}))
            write_report(tmp_path / name)


def test_gate_writes_its_page(out, tmp_path):
    done = CliRunner().invoke(app, ["gate", str(out), "--page", str(tmp_path / "gate.html"), "--json"])
    assert done.exit_code == 1, done.output
    assert (tmp_path / "gate.html").read_bytes() == gate_page(json.loads(done.stdout))


def test_notebooks_show_a_comparison(documents, out):
    piece = Parsed(ta.compare(out, out)._repr_html_())
    assert "is the same as" in piece.text() and "Jensen-Shannon" in piece.text()


# In a browser

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
SCREENS = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 375, "height": 812}}


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
def test_in_a_browser(browser, out, tmp_path, screen, scheme):
    """No dialog, nothing on the console, no request but for the page; nothing hangs over the side. Set
    REPORT_SCREENSHOTS to a folder to look at it.
    """
    context = browser.new_context(viewport=SCREENS[screen], color_scheme=scheme)
    tab, events = context.new_page(), []
    for event in ("console", "dialog", "pageerror", "request", "download", "popup"):
        tab.on(event, lambda found, event=event: events.append((event, getattr(found, "url", None) or str(found))))
    address = (out / "report.html").absolute().as_uri()
    tab.goto(address)
    assert events == [("request", address)]
    assert tab.evaluate("document.documentElement.scrollWidth") <= SCREENS[screen]["width"]
    dark = scheme == "dark"
    red = tab.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]")
    assert (int(red) < 64) == dark
    # Where styles were refused, paths would be black and text of the browser's own size.
    assert tab.evaluate("getComputedStyle(document.querySelector('.stroke-corpus')).stroke") != "none"
    folder = Path(os.environ.get("REPORT_SCREENSHOTS", tmp_path))
    tab.screenshot(path=folder / f"report-{screen}-{scheme}.png", full_page=True)
    assert (folder / f"report-{screen}-{scheme}.png").stat().st_size > 50_000
    context.close()


def test_tables_are_sorted_by_keyboard(browser, out):
    context = browser.new_context(viewport=SCREENS["desktop"])
    tab = context.new_page()
    tab.goto((out / "report.html").absolute().as_uri())
    table = tab.locator("table.sortable").filter(has_text="machine.example").first
    head = table.locator("th button", has_text="tokens").first
    column = [h.strip() for h in table.locator("th").all_inner_texts()].index("tokens")

    def cells() -> list[int]:
        return [
            int(row.locator("td").nth(column).inner_text().replace(",", "")) for row in table.locator("tbody tr").all()
        ]

    head.focus()
    before = Counter(cells())
    tab.keyboard.press("Enter")
    assert cells() == sorted(before.elements(), reverse=True) and len(before) > 1
    tab.keyboard.press("Enter")
    assert cells() == sorted(before.elements())
    assert table.locator("th[aria-sort=ascending]").count() == 1
    context.close()
