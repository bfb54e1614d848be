#!/usr/bin/env python3
"""Makes the golden files of the tests: one of each format, as this version of textassay writes it.

Usage:  python tools/make_golden.py tests/data/golden

A file that is there is left alone: it stands for all that users have. Who changes a format raises its version, runs this, and adds
the new files beside the old ones (docs/formats.md). The corpus is made up by arithmetic, so the same files come out everywhere.
"""

import json
import os
import shutil
import sys
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import textassay as ta
from textassay.folder import json_text
from textassay.gating import gate_all, report
from textassay.tail_probes import make_probes, write_probes

MADE = 1_700_000_000
"""When the corpus was changed last, as its files say: seconds since 1970."""

SYLLABLES = [first + second for first in "bdfgklmnprst" for second in "aeiou"]
RULES = """source = "source"

[[rule]]
label = "synthetic_known"
name = "by model"
field = "model"
matches = "^(gpt|claude)"
"""
POLICY = """mode = "monitor"

[mattr]
min = 0.1

[batch_entropy_bits]
min = 1.0
allowed = 0.1

[[limit]]
figure = "corpus.n_tokens"
min = 1

[[drift]]
figure = "jsd_bits"
max = 0.5
"""


def words() -> list[str]:
    """Of three syllables each; no generator of numbers, which another version might change."""
    return [SYLLABLES[i % 60] + SYLLABLES[i * 7 % 60] + SYLLABLES[i * 13 // 60 % 60] for i in range(150)]


def texts(n: int, step: int) -> list[str]:
    """Four sentences each, of words of which few are frequent."""
    known, state, made = words(), 1, []
    for _ in range(n):
        sentences = []
        for _ in range(4):
            chosen = []
            for _ in range(12):
                state = (state * 1_103_515_245 + step) % (1 << 31)
                chosen.append(known[state % (1 + (state >> 8) % 150)])
            sentences.append(" ".join(chosen).capitalize() + ".")
        made.append(" ".join(sentences))
    return made


def write_corpus(path: Path, n: int, step: int) -> None:
    records = [
        {"id": f"d{i}", "text": text, "source": f"s{i % 3}", "model": "gpt-4" if i % 5 == 0 else None}
        for i, text in enumerate(texts(n, step))
    ]
    path.write_bytes(b"".join(json.dumps(record).encode() + b"\n" for record in records) + b'{"text": 1}\n\n')
    os.utime(path, (MADE, MADE))


def write_labelled(path: Path) -> None:
    """What the synthetic side adds is what the shipped detector knows; every fourth text is without it."""
    telling = (
        " In conclusion, it is important to note that a rich tapestry of insights underscores this crucial journey."
    )
    records = []
    for i, text in enumerate(texts(120, 99)):
        long = " ".join([text, texts(1 + i % 3, i)[-1], texts(2 + i % 3, i)[-1]])
        for side in ("human", "synthetic"):
            added = telling * (i % 4) if side == "synthetic" else ""
            records.append({"text": f"{side[i % 3 :]} {long}{added}", "label": side, "group": f"g{i}"})
    path.write_bytes(b"".join(json.dumps(record).encode() + b"\n" for record in records))
    os.utime(path, (MADE, MADE))


def without_performance(path: Path) -> None:
    content = json.loads(path.read_bytes())
    content.pop("performance", None)
    path.write_bytes(json_text(content).encode())


def make() -> None:
    """All files, into the current folder."""
    write_corpus(Path("corpus.jsonl"), 30, 12_345)
    write_corpus(Path("later.jsonl"), 20, 54_321)
    Path("rules.toml").write_text(RULES)
    Path("policy-1.toml").write_text(POLICY)
    options: dict[str, Any] = {"threads": 1, "batch_tokens": 500}
    ta.build_anchor("corpus.jsonl", "anchor-1.anchor", note="golden", threads=1)
    ta.scan("corpus.jsonl", "results-1", documents="jsonl", provenance="rules.toml", **options)
    ta.scan("later.jsonl", "later", **options).profile.save("profile-1.tap")
    ta.scan("later.jsonl", max_types=8, **options).profile.save("profile-bounded-1.tap")
    ta.scan("later.jsonl", anchor="anchor-1.anchor", provenance="rules.toml", **options).profile.save(
        "profile-labelled-1.tap"
    )
    ta.scan_shard("corpus.jsonl", "shards", "0/1", **options)
    shutil.copy("shards/plan.json", "plan-1.json")
    items, _ = make_probes("corpus.jsonl", "anchor-1.anchor", per_decade=3)
    write_probes(items, "probes-1.jsonl")
    ta.sample_documents("corpus.jsonl", "sample-1.jsonl", 4, threads=1)
    write_labelled(Path("labelled.jsonl"))
    ta.calibrate("labelled.jsonl", group_field="group", fpr=0.05, threads=1).save("calibration-1.json")
    policy = ta.GatePolicy.load("policy-1.toml")
    found = report(gate_all(["results-1"], policy, reference="profile-1.tap"), policy)
    Path("gate-1.json").write_bytes(json_text(found).encode())
    Path("comparison-1.json").write_bytes(
        json_text(ta.compare_timeline("profile-1.tap", ["results-1"]).to_dict()).encode()
    )
    for name in ("summary.json", "manifest.json"):
        without_performance(Path("results-1") / name)
    for leftover in ("later.jsonl", "labelled.jsonl", "rules.toml", "results-1/report.html"):
        Path(leftover).unlink(missing_ok=True)
    for leftover in ("later", "shards"):
        shutil.rmtree(leftover)


def main(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        with chdir(folder):
            make()
        for made in sorted(Path(folder).iterdir()):
            if (target / made.name).exists():
                print(f"{made.name} is there")
            else:
                shutil.move(made, target / made.name)
                print(f"{made.name} made")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
