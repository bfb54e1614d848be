"""Figures for MLflow, W&B and Prometheus: what is in them, and that their own readers take them."""

import json
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

import textassay as ta
from textassay.cli.app import app
from textassay.scan_results import ScanResults

MLFLOW_NAME = re.compile(r"[A-Za-z0-9_\-. :/]{1,250}")


def run(*arguments: object):
    return CliRunner().invoke(app, [str(one) for one in arguments])


def samples_of(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """By name and labels; the collector of node_exporter refuses what occurs twice, and so do we."""
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.type == "gauge" and family.documentation, family.name
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("metrics")
    lines = [{"text": f"Document {n} says: it's {n % 7} o'clock. And more! " * 20} for n in range(50)]
    (folder / "shard.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + "not json\n\n")
    return ta.scan(folder / "shard.jsonl", folder / "out", batch_tokens=1000, entropy_floor=9.0)


def test_flat_is_the_summary_by_path(scanned):
    """Each name leads to its value in the summary, by the paths that a policy uses."""
    flat = scanned.flat()
    assert flat == ta.flat_metrics(scanned.summary)
    results = ScanResults(scanned.out)
    for name, value in flat.items():
        assert type(value) is float and math.isfinite(value), name
        assert results.figure(name) == value, name
        assert MLFLOW_NAME.fullmatch(name), name
    for name in (
        "corpus.entropy_bits",
        "documents.mattr.quantiles.0.5",
        "inputs.malformed",
        "performance.seconds",
        "provenance.synthetic_fraction.fraction",
        "batches.below_floor",
    ):
        assert name in flat, name


def test_flat_leaves_out_what_is_no_figure(scanned):
    parts = {part for name in scanned.flat() for part in name.split(".")}
    assert not parts & {"configuration", "spectrum", "bin_widths", "balanced", "top", "worst", "damaged"}
    assert ta.flat_metrics({"a": {"b": None, "c": True, "d": "x", "e": [1], "f": float("nan")}, "g": 2}) == {"g": 2.0}


def test_textfile_holds_the_summary(tmp_path, shard):
    """Read by Prometheus' own parser, figure by figure."""
    path = shard("one.jsonl", ["One two three. Four five!", "the second text", b"not json", b"{}"])
    target = tmp_path / "corpus.prom"
    done = run("scan", path, "--json", "--quiet", "--metrics-textfile", target, "--malformed-budget", 9)
    assert done.exit_code == 0, done.output
    summary, found = json.loads(done.stdout), samples_of(target.read_text("utf-8"))

    def value(name: str, **labels: str) -> float:
        return found[f"textassay_{name}", tuple(sorted(labels.items()))]

    assert value("documents") == 2 and value("tokens") == 8 and value("malformed_records") == 2
    assert value("malformed_records_by_reason", reason="not_json") == 1
    for account, number in summary["inputs"]["accounted"].items():
        assert value("bytes", account=account.removeprefix("bytes_")) == number
    assert value("entropy_bits") == summary["corpus"]["entropy_bits"]
    for signal, figures in summary["documents"].items():
        if figures["mean"] is None:
            assert ("textassay_document_signal_mean", (("signal", signal),)) not in found
            continue
        assert value("document_signal_mean", signal=signal) == figures["mean"]
        for quantile, number in figures["quantiles"].items():
            assert value("document_signal", signal=signal, quantile=quantile) == number
    assert value("version_info", version=ta.__version__) == 1


def test_synthetic_share_and_floor(scanned, tmp_path):
    ta.write_metrics(tmp_path / "a.prom", scanned.summary)
    found = samples_of((tmp_path / "a.prom").read_text())
    share, labels = (
        scanned.summary["provenance"]["synthetic_fraction"],
        scanned.summary["provenance"]["corpus"]["labels"],
    )
    ends = [("synthetic_fraction", "fraction"), ("synthetic_fraction_low", "low"), ("synthetic_fraction_high", "high")]
    for name, key in ends:
        assert found.get((f"textassay_{name}", ())) == share[key]
    for label, figures in labels.items():
        assert found["textassay_provenance_tokens", (("label", label),)] == figures["tokens"]
    assert found["textassay_batches_below_floor", ()] == scanned.summary["batches"]["below_floor"] > 0


def test_audit_writes_them_too(tmp_path):
    np.save(tmp_path / "ids.npy", np.arange(1000, dtype=np.uint16) % 60)
    target = tmp_path / "ids.prom"
    options = ("--vocab-size", 50, "--malformed-budget", "50%", "--metrics-textfile", target)
    assert run("audit", tmp_path / "ids.npy", "--quiet", *options, "--metrics-label", "split=train").exit_code == 0
    found = samples_of(target.read_text())
    assert found["textassay_outside_ids", (("split", "train"),)] == 160
    assert found["textassay_tokens", (("split", "train"),)] == 840
    result = ta.audit_tokens(tmp_path / "ids.npy", vocab_size=50)
    assert result.flat()["inputs.outside"] == 160


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_labels_come_back(tmp_path_factory, value):
    target = tmp_path_factory.mktemp("labels") / "a.prom"
    summary = {"inputs": {"files": 1, "accounted": {}}, "batches": {"n_batches": 0, "distributions": {}}}
    ta.write_metrics(target, summary, {"corpus": value})
    assert samples_of(target.read_bytes().decode())["textassay_files", (("corpus", value),)] == 1


@pytest.mark.parametrize(
    "labels",
    [{"1st": "a"}, {"__name": "a"}, {"a-b": "a"}, {"": "a"}, {"signal": "a"}, {"version": "a"}, {"corpus": "\ud800"}],
)
def test_labels_that_are_refused(tmp_path, scanned, labels):
    with pytest.raises(ta.UsageError, match="label"):
        ta.write_metrics(tmp_path / "a.prom", scanned.summary, labels)
    assert not list(tmp_path.iterdir())


def test_what_is_wrong_is_said_before_the_work(tmp_path, shard):
    """No hours of scanning for a folder that is not there."""
    path = shard("one.jsonl", ["text"])
    done = run("scan", path, "-o", tmp_path / "out", "--metrics-textfile", tmp_path / "missing/a.prom")
    assert done.exit_code == 4 and "missing" in done.stderr
    assert run("scan", path, "-o", tmp_path / "out", "--metrics-textfile", tmp_path).exit_code == 4
    done = run("scan", path, "-o", tmp_path / "out", "--metrics-textfile", tmp_path / "a.prom", "--metrics-label", "a")
    assert done.exit_code == 2 and "NAME=VALUE" in done.stderr
    assert not (tmp_path / "out").exists()


def test_written_of_damaged_input_too(tmp_path, shard):
    """An alarm needs the figures most when something is wrong."""
    path, target = shard("one.jsonl.zst", ["text"], junk=b"junk"), tmp_path / "a.prom"
    target.write_text("the last scan's")
    assert run("scan", path, "--quiet", "--metrics-textfile", target).exit_code == 3
    assert samples_of(target.read_text())["textassay_files_damaged", ()] == 1
    assert [one.name for one in tmp_path.iterdir() if "partial" in one.name] == []
