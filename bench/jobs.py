"""One job of the comparison, run in a process of its own: `python bench/jobs.py JOB FILE... [name=value...]`.

Prints one JSON object: what came out (`result`), CPU and wall seconds of the work itself, without the interpreter's start and
imports, and the peak memory of the whole process. The peers do what a data engineer would write, on one thread unless told otherwise.
"""

import json
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

TINY = Path(__file__).parent.parent / "examples" / "shards" / "shard-001.jsonl.zst"

JOBS: dict[str, Callable[..., Callable[[], dict[str, Any]]]] = {}


def job(function):
    """A job prepares (imports, compiles) and returns the work to be timed."""
    JOBS[function.__name__] = function
    return function


@job
def stage(
    paths: list[str],
    stage: str = "histogram",
    backend: str = "native",
    threads: int = 1,
    signals: str = "default",
    anchor: str = "",
    detector: str = "none",
):
    """The backend's scan, stopped after a stage; nothing is written and no document columns are made. `detector` is default
    or none.
    """
    import numpy  # noqa: F401  the first array would import it

    from textassay import _backend
    from textassay.anchor import load_anchor
    from textassay.detector import Detector
    from textassay.lexicon import default_lexicon
    from textassay.signals import parse_signals

    with _backend.using(backend) as module:
        names = () if signals == "none" else parse_signals(signals, bool(anchor), detector != "none")
        looking = None if detector == "none" else Detector.default().for_backend()
        compared = load_anchor(anchor).for_backend if anchor else None
        markers = default_lexicon().phrases

    def run() -> dict[str, Any]:
        running = module.Scan(
            [os.fsencode(p) for p in paths],
            signals=names,
            markers=markers,
            anchor=compared,
            detector=looking,
            threads=threads,
            documents=False,
            stage=stage,
        )
        outcomes = []
        while (event := running.next()) is not None:
            if "outcome" in event:
                outcomes.append(event["outcome"])
        totals = running.profile().totals() if stage == "histogram" else {}
        return {
            "bytes": sum(o["bytes"] for o in outcomes),
            "documents": sum(o["documents"] for o in outcomes),
            "malformed": sum(o["malformed"] for o in outcomes),
            "totals": totals,
        }

    if backend == "numba":
        warm_up(module, names)
    return run


@job
def build_anchor(paths: list[str], out: str = "", threads: int = 1):
    """An anchor of all the text, written to `out`."""
    from textassay.anchor.build import build_anchor as build

    def run() -> dict[str, Any]:
        inputs = build(paths, out, threads=threads).summary["inputs"]
        return {name: inputs[name] for name in ("bytes", "documents", "malformed")}

    return run


@job
def simulate_generations(
    paths: list[str], tokens: int = 10_000_000, generations: int = 3, threads: int = 1, backend: str = "native"
):
    """Reading the corpus twice; then of each generation sampling, fit and figures."""
    from textassay import _backend
    from textassay.simulate import Settings, simulate_corpus

    _backend.using(backend).__enter__()  # for the life of this process
    simulate_corpus(TINY, settings=Settings(tokens=1000, generations=1), threads=threads)

    def run() -> dict[str, Any]:
        result = simulate_corpus(paths, settings=Settings(tokens=tokens, generations=generations), threads=threads)
        return {"tokens": [one["n_tokens"] for one in result.generations]}

    return run


@job
def ascii_words(paths: list[str], backend: str = "native"):
    """Words and number of the documents that are all ASCII: those can be counted by one regular expression (inputs.py)."""
    from textassay import _backend

    with _backend.using(backend) as module:
        pass

    def run() -> dict[str, Any]:
        running = module.Scan([os.fsencode(p) for p in paths], signals=("n_bytes", "n_chars", "n_tokens"))
        documents = words = 0
        while (event := running.next()) is not None:
            if "documents" in event:
                columns = event["documents"]
                is_ascii = columns["n_bytes"] == columns["n_chars"]
                documents += int(is_ascii.sum())
                words += int(columns["n_tokens"][is_ascii].sum())
        return {"ascii_documents": documents, "ascii_words": words}

    return run


def warm_up(module: Any, names: tuple[str, ...]) -> None:
    """numba compiles at the first call, once per installation where its cache is on: not part of the work."""
    running = module.Scan([os.fsencode(TINY)], signals=names, documents=False)
    while running.next() is not None:
        pass


@job
def scan(
    paths: list[str],
    out: str = "",
    documents: str = "none",
    backend: str = "native",
    threads: int = 1,
    detector: str = "default",
):
    """textassay.scan as users call it, default signals; `detector` is default or none. A first scan of next to nothing takes the imports out of the time."""
    import tempfile

    import textassay
    from textassay import _backend

    _backend.using(backend).__enter__()  # for the life of this process
    options = {"documents": documents, "threads": threads, "detector": None if detector == "none" else detector}
    with tempfile.TemporaryDirectory() as first:
        textassay.scan([TINY], out=first, **options)

    def run() -> dict[str, Any]:
        result = textassay.scan(paths, out=out or None, **options)
        inputs = result.summary["inputs"]
        found = {name: inputs[name] for name in ("bytes", "documents", "malformed")}
        return {**found, "totals": result.profile.totals()}

    return run


@job
def plain_python(paths: list[str]):
    """zstandard, orjson, lower, split, Counter: the script that everybody has."""
    import io

    import orjson
    import zstandard

    def run() -> dict[str, Any]:
        counts, frequencies, documents = Counter(), Counter(), 0
        for path in paths:
            with open(path, "rb") as raw:
                reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
                for line in io.BufferedReader(reader, 1 << 20):
                    tokens = orjson.loads(line)["text"].lower().split()
                    counts.update(tokens)
                    frequencies.update(set(tokens))
                    documents += 1
        return {"documents": documents, "tokens": sum(counts.values()), "types": len(counts)}

    return run


@job
def plain_python_signals(paths: list[str]):
    """The default signals, batches and histogram as one would write them in Python: a regular expression for words and one for
    sentence ends (both simpler than UAX #29), Counter for the rest. No account of bad lines."""
    import io
    import math
    import re

    import orjson
    import zstandard

    from textassay.lexicon import default_lexicon

    word = re.compile(r"\w+(?:[.:'’]\w+)*")
    sentence_end = re.compile(r"(?<=[.!?])\s+|\n+")
    invisible = re.compile("[\u200b-\u200f\u2060\ufeff\u061c\u202a-\u202e\u2066-\u2069]")
    phrases = [b" ".join(phrase).decode() for phrase in default_lexicon().phrases]
    marker = re.compile(r"\b(?:" + "|".join(map(re.escape, sorted(phrases, key=len, reverse=True))) + r")\b")
    window = 100

    def entropy(counts: Counter, total: int) -> float:
        return math.log2(total) - sum(c * math.log2(c) for c in counts.values()) / total if total else 0.0

    def moving_ttr(tokens: list[str]) -> float:
        last: dict[str, int] = {}
        distinct = 0
        for i, token in enumerate(tokens):
            distinct += min(i - last.get(token, -window), window)
            last[token] = i
        return distinct / max(1, window * len(tokens))

    def signals(text: str, tokens: list[str], counts: Counter) -> list[float]:
        lengths = [n for s in sentence_end.split(text) if (n := len(word.findall(s)))]
        mean = sum(lengths) / max(1, len(lengths))
        sigma = math.sqrt(sum((n - mean) ** 2 for n in lengths) / max(1, len(lengths)))
        lines = [line for raw in text.split("\n") if (line := raw.strip())]
        hapaxes = sum(c == 1 for c in counts.values())
        bits = entropy(counts, len(tokens))
        return [
            len(text.encode()), len(text), len(tokens), len(counts), len(lengths), bits,
            bits + (len(counts) - 1) / max(1, 2 * len(tokens) * math.log(2)), entropy(Counter(text), len(text)),
            len(counts) / max(1, len(tokens)), moving_ttr(tokens), hapaxes / max(1, len(counts)), sigma / max(1, mean),
            (sigma - mean) / max(1, sigma + mean), 1 - len(set(lines)) / max(1, len(lines)),
            1000 * sum(1 for _ in marker.finditer(text.lower())) / max(1, len(tokens)), len(invisible.findall(text)),
        ]  # fmt: skip

    def run() -> dict[str, Any]:
        counts, frequencies, batch, rows, batches, chars = Counter(), Counter(), Counter(), [], [], 0
        for path in paths:
            with open(path, "rb") as raw:
                reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
                for line in io.BufferedReader(reader, 1 << 20):
                    text = orjson.loads(line)["text"]
                    tokens = word.findall(text.lower())
                    of_document = Counter(tokens)
                    rows.append(signals(text, tokens, of_document))
                    frequencies.update(of_document.keys())
                    batch.update(of_document)
                    chars += len(text)
                    if batch.total() >= 1 << 20:
                        batches.append((batch.total(), len(batch), entropy(batch, batch.total()), moving_ttr(tokens)))
                        counts.update(batch)
                        batch.clear()
        counts.update(batch)
        return {"documents": len(rows), "chars": chars, "types": len(counts), "batches": len(batches)}

    return run


@job
def duckdb(paths: list[str], split: str = "space", threads: int = 1):
    """The histogram alone: no document frequencies, no signals. `split`: "space" (all white space) or "blank" (U+0020 only)."""
    import duckdb

    connection = duckdb.connect(config={"threads": threads})
    pieces = r"regexp_split_to_array(lower(text), '\s+')" if split == "space" else "string_split(lower(text), ' ')"
    kept = "WHERE token <> ''" if split == "space" else ""
    query = f"""
        SELECT sum(n), count(*) FROM (SELECT token, count(*) AS n FROM (SELECT unnest({pieces}) AS token FROM read_json(
            {paths}, format = 'newline_delimited', columns = {{text: 'VARCHAR'}}, maximum_object_size = 67108864)) {kept} GROUP BY token)
    """

    def run() -> dict[str, Any]:
        tokens, types = connection.sql(query).fetchall()[0]
        return {"tokens": int(tokens), "types": types}

    return run


@job
def polars(paths: list[str], threads: int = 1):
    """The histogram alone, split at U+0020."""
    os.environ["POLARS_MAX_THREADS"] = str(threads)
    import polars

    def run() -> dict[str, Any]:
        counts = (
            polars.scan_ndjson(
                paths, schema_overrides={"id": polars.String, "text": polars.String, "source": polars.String}
            )
            .select(polars.col("text").str.to_lowercase().str.split(" ").explode().alias("token"))
            .group_by("token")
            .len()
            .collect()
        )
        return {"tokens": int(counts["len"].sum()), "types": counts.height}

    return run


def cpu_seconds() -> float:
    mine, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return mine.ru_utime + mine.ru_stime + children.ru_utime + children.ru_stime


def peak_kib() -> int:
    """Not ru_maxrss: that begins with what the parent held when it started us."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM:"))


def main() -> None:
    name, *arguments = sys.argv[1:]
    paths = [a for a in arguments if "=" not in a]
    options = {k: int(v) if v.isdecimal() else v for k, v in (a.split("=", 1) for a in arguments if "=" in a)}
    run = JOBS[name](paths, **options)
    cpu, wall = cpu_seconds(), time.perf_counter()
    result = run()
    measured = {"cpu": cpu_seconds() - cpu, "wall": time.perf_counter() - wall}
    print(json.dumps({"result": result, **measured, "peak_kib": peak_kib()}))


if __name__ == "__main__":
    main()
