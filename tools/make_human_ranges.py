#!/usr/bin/env python3
"""Measures how entropy, MATTR and burstiness of human English text are spread, by its length.

Usage:  python tools/make_human_ranges.py ../shared/data python/textassay/report/human_english.json

Human text only: novels, documentation, short quotations, and the human side of the labelled sets (essays, news, reviews, papers and
others), no code. Every text is cut, between paragraphs, into passages of 16 to 65,536 tokens in turn; a passage counts in the band
of its own length, from a power of two to below the next. In a band every source weighs the same, so that novels do not drown
reviews. What is kept are quantiles, no text. A report mixes the bands as the lengths of its own documents are mixed.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import numpy as np
import zstandard

import textassay as ta

CORPORA = ("english-novels-000", "en-misc-docs-000", "linux-kernel-docs-000", "fortunes-en-000")
SIGNALS = ("entropy_bits", "mattr", "burstiness")
BANDS = [2**k for k in range(4, 16)]
PROBABILITIES = [(i + 0.5) / 40 for i in range(40)]
LEAST = 30
"""Passages that a source must have in a band to count there."""

LEAST_SOURCES = 2

DOCUMENTS = 2000
"""Of a source: more would not move the quantiles."""


def texts_of(path: Path) -> Iterator[str]:
    with path.open("rb") as stream, zstandard.ZstdDecompressor().stream_reader(stream) as lines:
        data = lines.read().decode()
    for line in data.removesuffix("\n").split("\n")[:DOCUMENTS]:
        record = json.loads(line)
        if record.get("label", "human") == "human":
            yield record["text"]


def passages_of(text: str) -> Iterator[str]:
    paragraphs = [part for part in text.replace("\r\n", "\n").split("\n\n") if part.strip()]
    targets, held, size = cycle(BANDS), [], 0
    target = next(targets)
    for paragraph in paragraphs:
        held.append(paragraph)
        size += len(paragraph.split())
        if size >= target:
            yield "\n\n".join(held)
            held, size, target = [], 0, next(targets)
    if held:
        yield "\n\n".join(held)


def quantiles(values: list[np.ndarray]) -> list[float]:
    """Of a mixture in which every array weighs the same."""
    pooled = np.concatenate(values)
    weights = np.concatenate([np.full(len(one), 1 / len(one)) for one in values])
    order = np.argsort(pooled, kind="stable")
    reached = np.cumsum(weights[order]) / weights.sum()
    places = np.searchsorted(reached, PROBABILITIES).clip(0, len(order) - 1)
    return [round(float(value), 3) for value in pooled[order][places]]


def main(data: Path, target: Path) -> None:
    paths = [data / "corpora" / f"{name}.jsonl.zst" for name in CORPORA]
    paths += [path for path in sorted((data / "labelled").glob("*__human__*.jsonl.zst")) if "__code__" not in path.name]
    found: dict[int, dict[str, np.ndarray]] = defaultdict(dict)
    for path in paths:
        passages = [passage for text in texts_of(path) for passage in passages_of(text)]
        table = ta.measure(passages, ["n_tokens", *SIGNALS], detector=None)
        bands = np.searchsorted(BANDS, table["n_tokens"], side="right") - 1
        for place, band in enumerate(BANDS):
            chosen = (bands == place) & (table["n_tokens"] < 2 * band)
            if np.count_nonzero(chosen) >= LEAST:
                found[band][path.name] = np.stack([table[name][chosen] for name in SIGNALS])
    bands = [
        {
            "from_tokens": band,
            "sources": len(found[band]),
            "passages": sum(one.shape[1] for one in found[band].values()),
            **{
                name: quantiles([known for one in found[band].values() if len(known := one[i][~np.isnan(one[i])])])
                for i, name in enumerate(SIGNALS)
            },
        }
        for band in BANDS
        if len(found[band]) >= LEAST_SOURCES
    ]
    about = "English prose by people: novels, documentation, quotations, essays, news, reviews, papers"
    text = json.dumps({"about": about, "probabilities": PROBABILITIES, "bands": bands}, separators=(",", ":"))
    target.write_text(text.replace('{"from', '\n{"from') + "\n", "utf-8")
    for band in bands:
        ends = {name: (band[name][1], band[name][19], band[name][37]) for name in SIGNALS}
        print(band["from_tokens"], band["sources"], band["passages"], ends)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
