#!/usr/bin/env python3
"""Measures the audit of token ids against what memory gives, in one run: `python bench/audit.py [--megabytes N] [--runs N]`.

GB/s are bytes of ids per second of CPU (user + system, all threads), best of the runs. `numpy.add.reduce` and a copy go over the same
ids in memory; the audits map the file, which is in the page cache, and do everything that `textassay audit` does but print. Token ids:
words of the English corpus (inputs.py) by rank, as a tokenizer numbers them, at most 50,257; and ids drawn evenly, the worst case
for caches; and one id only, the worst case for counters. Results are checked before a time counts.
"""

import argparse
import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

import inputs
from textassay import BatchAuditor, _backend, audit_tokens

VOCABULARY = 50_257
BATCH = 1 << 20
WORD = re.compile(r"\w+|[^\w\s]|\n")


def text_ids() -> np.ndarray:
    path = inputs.INPUT / "english.u2.npy"
    if not path.exists():
        documents = [WORD.findall(json.loads(line)["text"]) for line in inputs.read_lines(inputs.english())]
        ranks = {
            word: min(rank, VOCABULARY - 1)
            for rank, (word, _) in enumerate(Counter(word for document in documents for word in document).most_common())
        }
        np.save(path, np.array([ranks[word] for document in documents for word in document], np.uint16))
    return np.load(path)


def token_files(megabytes: int) -> dict[str, Path]:
    n = megabytes * 500_000
    text = text_ids()
    made = {
        "words by rank, uint16": np.resize(text, n),
        "even, uint16": np.random.default_rng(1).integers(0, VOCABULARY, n // 4).astype(np.uint16),
        "one id, uint16": np.zeros(n // 4, np.uint16),
        "words by rank, int32": np.resize(text, n // 4).astype(np.int32),
    }
    paths = {}
    for name, ids in made.items():
        paths[name] = inputs.INPUT / f"ids-{re.sub('[^a-z0-9]+', '-', name)}.npy"
        np.save(paths[name], ids)
    return paths


def measured(work: Callable[[], object], n_bytes: int, runs: int) -> tuple[float, float]:
    """GB per second of CPU, and of wall time."""
    found = []
    for _ in range(runs):
        cpu, wall = time.process_time(), time.perf_counter()
        work()
        found.append((time.process_time() - cpu, time.perf_counter() - wall))
    return tuple(n_bytes / min(times) / 1e9 for times in zip(*found, strict=True))


def check(path: Path) -> None:
    ids = np.load(path, mmap_mode="r")[:BATCH]
    row = next(audit_tokens(path, vocab_size=VOCABULARY, batch_tokens=BATCH).batches.rows())
    shares = np.bincount(ids) / len(ids)
    entropy = -np.sum(shares[shares > 0] * np.log2(shares[shares > 0]))
    if abs(row["entropy_bits"] - entropy) > 1e-9 or row["n_types"] != np.count_nonzero(shares):
        raise SystemExit(f"{path.name}: {row}; numpy has {entropy}")


def show(name: str, what: str, figures: tuple[float, float]) -> None:
    print(f"| {name} | {what} | {figures[0]:.2f} | {figures[1]:.2f} |", flush=True)


def measure_files(megabytes: int, runs: int) -> None:
    print("| ids | what | GB/s of CPU | GB/s |\n| --- | --- | ---: | ---: |")
    for name, path in token_files(megabytes).items():
        ids = np.load(path)
        other = np.empty_like(ids)
        show(name, "numpy.add.reduce", measured(lambda ids=ids: np.add.reduce(ids), ids.nbytes, runs))
        show(name, "copy", measured(lambda ids=ids, other=other: np.copyto(other, ids), ids.nbytes, runs))
        size = ids.nbytes
        del ids, other
        for backend in ("native", "numba"):
            with _backend.using(backend):
                check(path)
                for threads in (1, 2) if backend == "native" else (1,):
                    options = {"vocab_size": VOCABULARY, "batch_tokens": BATCH, "threads": threads}
                    what = f"audit, {backend}, {threads} thread{'s' * (threads > 1)}"
                    show(name, what, measured(lambda o=options, p=path: audit_tokens(p, **o), size, runs))


def measure_training(runs: int) -> None:
    text = text_ids()
    print("\n| batch of a training loop | microseconds |\n| --- | ---: |")
    for dtype in (np.int64, np.int32, np.uint16):
        batches = [np.resize(text[i * 65_536 :], (32, 2048)).astype(dtype) for i in range(20)]
        auditor = BatchAuditor(VOCABULARY, floor=3.2)
        gb, _ = measured(
            lambda b=batches, a=auditor: [a.update(one) for one in b], sum(b.nbytes for b in batches), runs
        )
        print(f"| 32 x 2,048 {dtype.__name__}, {VOCABULARY:,} ids | {batches[0].nbytes / gb / 1e3:.0f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5)
    chosen = parser.parse_args()
    print(f"load average {os.getloadavg()[0]:.1f}\n")
    measure_files(chosen.megabytes, chosen.runs)
    measure_training(chosen.runs)


if __name__ == "__main__":
    main()
