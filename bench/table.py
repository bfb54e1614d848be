#!/usr/bin/env python3
"""Measures textassay and its peers on the same files in the same run, prints tables and writes a record.

Usage:  python bench/table.py [--runs N] [--only SECTION,...] [--record FILE] [--readme]

Sections: stages, scan, threads, backends, languages, anchor, simulate, peers, memory. Every job runs in its own process and its result is checked
before its time counts. CPU is user + system of the work, all threads; the median of N runs stands in the table, all runs in the
record. `x zstd` is the CPU as a multiple of `zstd -dc` of the same file to /dev/null, measured in between. See README.md here.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import inputs

HERE = Path(__file__).parent
STAGES = ("decompress", "json", "words", "signals", "histogram")

PACKAGES = ("textassay", "numpy", "numba", "zstandard", "orjson", "pyarrow", "duckdb", "polars")


class WrongResult(Exception):
    """A job came out with something else than plain Python counted."""


class Bench:
    def __init__(self, runs: int) -> None:
        self.runs = runs
        self.rows: list[dict[str, Any]] = []

    def measure(
        self, section: str, label: str, job: str, paths: list[Path], check, runs: int | None = None, **options: Any
    ) -> dict:
        """Runs a job several times; `check(result)` raises or returns whether the result is right."""
        command = [
            sys.executable,
            str(HERE / "jobs.py"),
            job,
            *map(str, paths),
            *(f"{k}={v}" for k, v in options.items()),
        ]
        found = []
        for _ in range(runs or self.runs):
            answer = subprocess.run(command, capture_output=True, text=True, check=False)
            if answer.returncode != 0:
                raise WrongResult(f"{label}: {answer.stderr.strip()[-2000:]}")
            one = json.loads(answer.stdout.splitlines()[-1])
            if not check(one["result"]):
                raise WrongResult(f"{label}: {one['result']}")
            found.append(one)
        return self.add(section, label, command, found, paths)

    def zstd(self, section: str, label: str, paths: list[Path], runs: int | None = None) -> dict:
        """The measure of everything: user + system of `zstd -dc`."""
        program = shutil.which("zstd")
        if program is None:
            sys.exit("the zstd program is needed: it is what everything is compared with")
        command = [program, "-dcq", *map(str, paths)]
        found = []
        for _ in range(runs or self.runs):
            began = time.perf_counter()
            child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode != 0:
                raise WrongResult(f"zstd -dc: exit {child.returncode}")
            cpu = usage.ru_utime + usage.ru_stime
            found.append({"cpu": cpu, "wall": time.perf_counter() - began})
        return self.add(section, label, command, found, paths)

    def add(self, section: str, label: str, command: list[str], found: list[dict], paths: list[Path]) -> dict:
        row = {
            "section": section,
            "label": label,
            "command": [Path(command[0]).name, *(a.replace(f"{inputs.ROOT}/", "") for a in command[1:])],
            "cpu": statistics.median(f["cpu"] for f in found),
            "wall": statistics.median(f["wall"] for f in found),
            "bytes": sum(inputs.count(p)["bytes"] for p in paths),
            "runs": [{k: round(f[k], 4) for k in ("cpu", "wall", "peak_kib") if k in f} for f in found],
        }
        if "peak_kib" in found[0]:
            row["peak_mb"] = statistics.median(f["peak_kib"] for f in found) / 1024
        self.rows.append(row)
        print(f"  {label}: {row['cpu']:.2f} s CPU, {row['wall']:.2f} s", file=sys.stderr, flush=True)
        return row


def whole(counts: dict[str, int]):
    """What every scan of a file must have seen."""

    def check(result: dict[str, Any]) -> bool:
        totals = result.get("totals", {})
        return (
            result["bytes"] == counts["bytes"]
            and result["malformed"] == 0
            and result["documents"] == counts["documents"]
            and (not totals or (totals["n_bytes"], totals["n_chars"]) == (counts["text_bytes"], counts["chars"]))
        )

    return check


def measure_stages(bench: Bench) -> None:
    path = inputs.english()
    counts = inputs.count(path)
    for backend in ("native", "numba"):
        bench.measure("stages", f"words of ASCII documents, {backend} (check)", "ascii_words", [path],
                      lambda r: all(r[k] == counts[k] for k in r), runs=1, backend=backend)  # fmt: skip
    base = bench.zstd("stages", "zstd -dc", [path])
    for stage in STAGES:
        check = (lambda r: r["bytes"] == counts["bytes"]) if stage == "decompress" else whole(counts)
        row = bench.measure("stages", f"to {stage}", "stage", [path], check, stage=stage)
        row["times_zstd"] = row["cpu"] / base["cpu"]
    row = bench.measure("stages", "to histogram, all signals", "stage", [path], whole(counts), signals="all")
    row["times_zstd"] = row["cpu"] / base["cpu"]


def measure_scan(bench: Bench) -> None:
    out = inputs.INPUT / "out"
    for times, paths in (("", [inputs.english()]), (", four times over", inputs.english_again())):
        counts = {k: len(paths) * v for k, v in inputs.count(paths[0]).items()}
        base = bench.zstd("scan", f"zstd -dc{times}", paths)
        for label, options in (
            ("without detector, documents: none", {"detector": "none", "documents": "none"}),
            ("without detector, documents: parquet", {"detector": "none", "documents": "parquet"}),
            ("documents: none", {"documents": "none"}),
            ("documents: parquet", {"documents": "parquet"}),
            ("documents: jsonl", {"documents": "jsonl"}),
        ):
            row = bench.measure("scan", f"scan, {label}{times}", "scan", paths, whole(counts), out=out, **options)
            row["times_zstd"] = row["cpu"] / base["cpu"]


def measure_threads(bench: Bench) -> None:
    for label, paths in (
        ("one file, one frame", [inputs.english()]),
        ("one file, many frames", [inputs.english_frames()]),
        (f"{inputs.FILES} files", inputs.english_files()),
    ):
        counts = {k: sum(inputs.count(p)[k] for p in paths) for k in inputs.count(paths[0])}
        one = None
        for threads in sorted({1, 2, min(4, os.cpu_count() or 1)}):
            if threads > (os.cpu_count() or 1):
                continue
            row = bench.measure(
                "threads", f"{label}, {threads} threads", "stage", paths, whole(counts), threads=threads
            )
            one = one or row
            row["speed_up"] = one["wall"] / row["wall"]


def measure_backends(bench: Bench) -> None:
    path = inputs.english()
    base = bench.zstd("backends", "zstd -dc", [path])
    native = None
    for backend in ("native", "numba"):
        row = bench.measure("backends", backend, "stage", [path], whole(inputs.count(path)), backend=backend)
        native = native or row
        row |= {"times_zstd": row["cpu"] / base["cpu"], "times_native": row["cpu"] / native["cpu"]}


def measure_languages(bench: Bench) -> None:
    found = {"English": inputs.english(), **inputs.languages()}
    english = None
    for language, path in found.items():
        # Small files: so many passes that a run is not lost in the noise.
        counts = inputs.count(path)
        passes = max(1, round(60e6 / counts["bytes"]))
        total = {k: v * passes for k, v in counts.items()}
        row = bench.measure("languages", language, "stage", [path] * passes, whole(total))
        row["ns_per_byte"] = row["cpu"] * 1e9 / row["bytes"]
        english = english or row["ns_per_byte"]
        row["times_english"] = row["ns_per_byte"] / english


def measure_anchor(bench: Bench) -> None:
    """Perplexity under a model of the same text, the worst case: nearly every look-up finds something."""
    path, anchor = inputs.english(), inputs.INPUT / "english.anchor"
    counts = inputs.count(path)
    base = bench.zstd("anchor", "zstd -dc", [path])
    row = bench.measure("anchor", "anchor build", "build_anchor", [path], whole(counts), runs=1, out=anchor)
    row["times_zstd"] = row["cpu"] / base["cpu"]
    one = None
    for label, options in (
        ("default signals", {}),
        ("and the detector", {"detector": "default"}),
        ("and oov_rate, tail_share", {"anchor": anchor, "signals": "default,-perplexity"}),
        ("and perplexity", {"anchor": anchor}),
        ("and perplexity, 2 threads", {"anchor": anchor, "threads": 2}),
    ):
        row = bench.measure("anchor", label, "stage", [path], whole(counts), **options)
        row["times_zstd"] = row["cpu"] / base["cpu"]
        if label == "and perplexity":
            one = row
    row["speed_up"] = one["wall"] / row["wall"]


def measure_simulate(bench: Bench) -> None:
    """Tokens of all generations per minute of CPU: drawn, counted, fitted and measured; reading and generation 0 are in the time."""
    path, tokens, generations = inputs.english(), 10_000_000, 3
    for label, options in (("native", {}), ("native, 2 threads", {"threads": 2}), ("numba", {"backend": "numba"})):
        bench.measure(
            "simulate", label, "simulate_generations", [path],
            lambda result: len(result["tokens"]) == generations + 1 and min(result["tokens"][1:]) >= tokens,
            tokens=tokens, generations=generations, **options,
        )  # fmt: skip
        row = bench.rows[-1]
        row["tokens_per_minute"] = 60e-6 * tokens * generations / row["cpu"]


def measure_peers(bench: Bench) -> None:
    path = inputs.english()
    counts = inputs.count(path)
    base = bench.zstd("peers", "zstd -dc", [path])
    row = bench.measure("peers", "plain Python, default signals", "plain_python_signals", [path],
                        lambda r: (r["documents"], r["chars"]) == (counts["documents"], counts["chars"]), runs=1)  # fmt: skip
    row["times_zstd"] = row["cpu"] / base["cpu"]
    for label, job, options, tokens in (
        ("textassay, default signals", "stage", {}, None),
        ("textassay, histogram only", "stage", {"signals": "none"}, None),
        ("plain Python, histogram only", "plain_python", {}, "python_split"),
        ("DuckDB, histogram only, white space", "duckdb", {"split": "space"}, "ascii_space_split"),
        ("DuckDB, histogram only, blanks", "duckdb", {"split": "blank"}, "blank_split"),
        ("Polars, histogram only, blanks", "polars", {}, "blank_split"),
    ):
        check = whole(counts) if tokens is None else (lambda r, tokens=tokens: r["tokens"] == counts[tokens])
        row = bench.measure("peers", label, job, [path], check, runs=min(3, bench.runs), **options)
        row["times_zstd"] = row["cpu"] / base["cpu"]
    ours = next(r for r in bench.rows if r["label"] == "textassay, default signals")
    for row in bench.rows:
        if row["section"] == "peers":
            row["times_textassay"] = row["cpu"] / ours["cpu"]


def measure_memory(bench: Bench) -> None:
    path = inputs.million_types()
    counts = inputs.count(path)
    bench.zstd("memory", "zstd -dc", [path], runs=1)
    for threads in (1, 64):
        bench.measure(
            "memory",
            f"{threads} thread{'s' * (threads > 1)}, 1 M types",
            "stage",
            [path],
            whole(counts),
            runs=1,
            threads=threads,
        )


MEASURES = {
    "stages": measure_stages,
    "scan": measure_scan,
    "threads": measure_threads,
    "backends": measure_backends,
    "languages": measure_languages,
    "anchor": measure_anchor,
    "simulate": measure_simulate,
    "peers": measure_peers,
    "memory": measure_memory,
}

COLUMNS = {
    "cpu": ("CPU s", "{:.2f}"),
    "times_zstd": ("x zstd", "{:.2f}"),
    "times_textassay": ("x textassay", "{:.2f}"),
    "times_native": ("x native", "{:.2f}"),
    "wall": ("wall s", "{:.2f}"),
    "speed_up": ("speed-up", "{:.2f}"),
    "megabytes": ("MB/s of CPU", "{:.0f}"),
    "ns_per_byte": ("ns/byte", "{:.2f}"),
    "times_english": ("x English", "{:.2f}"),
    "peak_mb": ("peak MB", "{:.0f}"),
    "tokens_per_minute": ("M tokens a CPU minute", "{:.0f}"),
}


def print_tables(rows: list[dict[str, Any]]) -> None:
    for section in MEASURES:
        of_section = [r for r in rows if r["section"] == section and "(check)" not in r["label"]]
        if not of_section:
            continue
        for row in of_section:
            row["megabytes"] = row["bytes"] / row["cpu"] / 1e6
        shown = [c for c in COLUMNS if any(c in r for r in of_section)]
        print(f"\n### {section}\n")
        print("| what | " + " | ".join(COLUMNS[c][0] for c in shown) + " |")
        print("| --- |" + " ---: |" * len(shown))
        for row in of_section:
            cells = [COLUMNS[c][1].format(row[c]) if c in row else "" for c in shown]
            print(f"| {row['label']} | " + " | ".join(cells) + " |")


def readme_figures(record: dict[str, Any]) -> str:
    """The few lines that the README shows, all of one record."""
    rows = {(r["section"], r["label"]): r for r in record["rows"]}
    chosen = (
        ("`zstd -dc`", "scan", "zstd -dc"),
        ("textassay, without the detector", "scan", "scan, without detector, documents: none"),
        ("textassay, and a row per document to Parquet", "scan", "scan, without detector, documents: parquet"),
        ("textassay, as it comes: with verdicts", "scan", "scan, documents: none"),
        ("textassay, and Parquet", "scan", "scan, documents: parquet"),
        (
            "textassay, without the detector, the same text four times over",
            "scan",
            "scan, without detector, documents: none, four times over",
        ),
        ("textassay, with verdicts, four times over", "scan", "scan, documents: none, four times over"),
        ("textassay, default signals and perplexity, nothing written", "anchor", "and perplexity"),
        ("textassay, all signals, nothing written", "stages", "to histogram, all signals"),
        ("textassay, numba path, nothing written", "backends", "numba"),
        (
            "plain Python, orjson, `re`: the same signals, simpler words and sentences",
            "peers",
            "plain Python, default signals",
        ),
        ("plain Python, orjson: split and count", "peers", "plain Python, histogram only"),
        ("DuckDB: split at white space and count", "peers", "DuckDB, histogram only, white space"),
        ("DuckDB: split at blanks and count", "peers", "DuckDB, histogram only, blanks"),
        ("Polars: split at blanks and count", "peers", "Polars, histogram only, blanks"),
    )
    lines = ["| one thread, CPU time | x `zstd -dc` | MB/s |", "| --- | ---: | ---: |"]
    for shown, section, label in chosen:
        row = rows[section, label]
        lines.append(f"| {shown} | {row.get('times_zstd', 1):.1f} | {row['bytes'] / row['cpu'] / 1e6:.0f} |")
    speed_ups = [
        f"{r['speed_up']:.2f}x ({label.removesuffix(', 2 threads')})"
        for (section, label), r in rows.items()
        if section == "threads" and label.endswith(", 2 threads")
    ]
    languages = [
        f"{label} {r['times_english']:.1f}x"
        for (section, label), r in rows.items()
        if section == "languages" and label != "English"
    ]
    memory = [
        f"{r['peak_mb']:.0f} MB with {label.split(',')[0]}"
        for (section, label), r in rows.items()
        if section == "memory" and "peak_mb" in r
    ]
    machine_of = record["machine"]
    # Wall times of a machine that has other things to do say nothing.
    quiet = record["load"] < 0.5
    lines += [
        "",
        (f"Two threads against one: {', '.join(speed_ups)}. " if quiet else "")
        + f"Per byte against English: {', '.join(languages)}.",
        f"Peak memory of the process for 400 MB of text with one million types: {', '.join(memory)}.",
        "",
        f"Measured on {machine_of['cpu']}, {machine_of['cpus']} CPUs, commit {record['commit']}, {record['date']}: 123 MB of JSONL (novels and",
        "documentation), medians; interpreter start and imports left out for all. The others only count what stands between blanks.",
        "`python bench/table.py --readme` measures it again; [bench/README.md](bench/README.md) says how to read it and what is unfair.",
    ]
    return "\n".join(lines)


def write_readme(record: dict[str, Any]) -> None:
    path = inputs.ROOT / "README.md"
    before, begin, rest = path.read_text(encoding="utf-8").partition("<!-- figures: bench/table.py -->\n")
    _, end, after = rest.partition("<!-- end of figures -->\n")
    path.write_text(f"{before}{begin}{readme_figures(record)}\n{end}{after}", encoding="utf-8")


def machine() -> dict[str, Any]:
    cpuinfo = Path("/proc/cpuinfo")
    names = (
        [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        if cpuinfo.exists()
        else []
    )
    return {
        "cpu": names[0] if names else platform.processor(),
        "cpus": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
    }


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    code = "import json; from textassay import _backend; print(json.dumps(_backend.get().backend_info()))"
    found["backend"] = json.loads(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    )
    found["zstd program"] = subprocess.run(
        ["zstd", "--version"], capture_output=True, text=True, check=True
    ).stdout.strip()
    return found


def commit() -> str:
    asked = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=inputs.ROOT, capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or "unknown"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default=",".join(MEASURES), help="sections, separated by commas")
    parser.add_argument("--readme", action="store_true", help="put the figures into README.md; needs all sections")
    parser.add_argument("--record", type=Path, default=inputs.INPUT / "record.json")
    chosen = parser.parse_args()
    bench = Bench(chosen.runs)
    load = os.getloadavg()[0]
    if load >= 0.5:
        print(f"load average {load:.1f}: wall times and speed-ups will mean little", file=sys.stderr)
    for section in chosen.only.split(","):
        if section not in MEASURES:
            sys.exit(f"no section {section!r}: wanted one of {', '.join(MEASURES)}")
        print(section, file=sys.stderr)
        MEASURES[section](bench)
    record = {
        "command": ["python", "bench/table.py", *sys.argv[1:]],
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "load": load,
        "versions": versions(),
        "input": "../shared/data/corpora" if inputs.CORPORA.exists() else "examples",
        "rows": bench.rows,
    }
    chosen.record.parent.mkdir(parents=True, exist_ok=True)
    chosen.record.write_text(json.dumps(record, indent=1) + "\n")
    print(
        f"{record['machine']['cpu']}, {record['machine']['cpus']} CPUs; commit {record['commit']}; input {record['input']}"
    )
    print_tables(bench.rows)
    if chosen.readme:
        write_readme(record)


if __name__ == "__main__":
    main()
