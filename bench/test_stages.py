"""Stages of a scan by pytest-benchmark: `pytest bench -o addopts=` on the shipped sample. Each result is checked before its time is kept.

For figures use bench/table.py; these are for before and after: `--benchmark-autosave`, then `--benchmark-compare`.
"""

import json
import os
from types import ModuleType

import numpy as np
import pytest

import inputs
from textassay import _backend

SAMPLE = inputs.ROOT / "examples" / "sample.jsonl.zst"
STAGES = ("decompress", "json", "words", "signals", "histogram")


@pytest.fixture(scope="module")
def counts() -> dict[str, int]:
    """Counted here, not cached: nothing is written beside the sample."""
    texts = [json.loads(line)["text"] for line in inputs.read_lines(SAMPLE)]
    return {
        "documents": len(texts),
        "bytes": sum(len(line) for line in inputs.read_lines(SAMPLE)),
        "n_bytes": sum(len(t.encode()) for t in texts),
        "n_chars": sum(map(len, texts)),
    }


@pytest.fixture(scope="module")
def texts() -> tuple[np.ndarray, np.ndarray]:
    raw = [json.loads(line)["text"].encode() for line in inputs.read_lines(SAMPLE)]
    return np.frombuffer(b"".join(raw), np.uint8), np.cumsum([0, *map(len, raw)], dtype=np.int64)


@pytest.fixture(scope="module", params=["native", "numba"])
def backend(request) -> ModuleType:
    with _backend.using(request.param) as module:
        return module


def scan(module: ModuleType, stage: str) -> tuple[dict, dict]:
    running = module.Scan([os.fsencode(SAMPLE)], signals=module.SIGNALS, documents=False, stage=stage)
    outcome = {}
    while (event := running.next()) is not None:
        outcome = event.get("outcome", outcome)
    return outcome, running.profile().totals() if stage == "histogram" else {}


@pytest.mark.parametrize("stage", STAGES)
def test_stage(benchmark, backend, counts, stage):
    outcome, totals = scan(backend, stage)
    assert outcome["bytes"] == counts["bytes"] and outcome["malformed"] == 0
    if stage != "decompress":
        assert outcome["documents"] == counts["documents"]
    if totals:
        assert (totals["n_bytes"], totals["n_chars"]) == (counts["n_bytes"], counts["n_chars"])
    benchmark.group = f"scan to {stage}"
    benchmark(scan, backend, stage)


@pytest.mark.parametrize(
    "signals", ["all", "mattr", "top_ngram_share", "dup_line_share", "invisible_chars", "char_entropy_bits", "none"]
)
def test_signal(benchmark, backend, texts, counts, signals):
    """What each of the dearer signals costs: texts in memory, no reading, no histogram."""
    chosen = {"all": backend.SIGNALS, "none": ()}.get(signals, (signals,))
    measurer = backend.Measurer(("n_bytes", *(s for s in chosen if s != "n_bytes")))
    assert int(measurer.measure(*texts)["n_bytes"].sum()) == counts["n_bytes"]
    benchmark.group = f"measure {signals}"
    benchmark(measurer.measure, *texts)
