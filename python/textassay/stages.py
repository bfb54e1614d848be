"""What each stage of a scan costs, on the user's own files and machine."""

import os
import resource
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import Any

from textassay import _backend
from textassay.configuration import BATCH_TOKENS, MAX_TYPES, configure
from textassay.errors import InputError, TextassayError
from textassay.fields import parse_field
from textassay.inputs import Input, resolve_inputs
from textassay.parquet import sources_of

STAGES = ("decompress", "json", "words", "signals", "histogram")
"""Each includes those before it."""

ZSTD = "zstd -dc"


def time_stages(
    inputs: str | PathLike[str] | Iterable[str | PathLike[str]],
    *,
    signals: str | Iterable[str] = "default",
    text_fields: Sequence[str] = ("text",),
    runs: int = 3,
    threads: int = 1,
) -> dict[str, Any]:
    """Times the stages of a scan, and `zstd -dc` if that program is there, in turn, `runs` times.

    Returns `files`, `bytes_compressed`, `bytes`, `documents`, `threads`, `runs`, `backend` and `rows`: of each
    stage the CPU and wall seconds (medians, and all runs), bytes per CPU second, and the CPU time as a multiple of
    that of decompression alone and of `zstd -dc`. Raises `TextassayError` where two runs do not find the same: then
    there is nothing to compare.
    """
    configuration, lexicon = configure(signals, "word", BATCH_TOKENS, MAX_TYPES, None)
    files = resolve_inputs(inputs)
    if any(isinstance(file.source, int) for file in files):
        raise InputError("standard input cannot be read several times: wanted files")
    options = {
        "signals": list(configuration.signals),
        "text_fields": [parse_field(path) for path in text_fields],
        "markers": lexicon.phrases,
        "threads": threads,
    }
    sizes = _run_stage(files, options, STAGES[-1])[1]  # also warms the page cache, and compiles the numba path
    program = shutil.which("zstd") if _all_zstd(files) else None
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in ([ZSTD] if program else []) + list(STAGES)}
    for _ in range(runs):
        for name, times in measured.items():
            times.append(_run_zstd(program, files) if name == ZSTD else _checked(files, options, name, sizes))
    rows = _rows(measured, sizes)
    info = _backend.get().backend_info()
    return {"files": len(files)} | sizes | {"threads": threads, "runs": runs, "backend": info, "rows": rows}


def _checked(
    files: Sequence[Input], options: Mapping[str, Any], stage: str, sizes: Mapping[str, int]
) -> tuple[float, float]:
    times, found = _run_stage(files, options, stage)
    wanted = ("bytes_compressed", "bytes") if stage == "decompress" else tuple(sizes)
    unlike = [f"{name}: {found[name]}, before {sizes[name]}" for name in wanted if found[name] != sizes[name]]
    if unlike:
        raise TextassayError(f"stage {stage} found something else than the warm-up: {'; '.join(unlike)}")
    return times


def _run_stage(
    files: Sequence[Input], options: Mapping[str, Any], stage: str
) -> tuple[tuple[float, float], dict[str, int]]:
    sizes = dict.fromkeys(("bytes_compressed", "bytes", "documents"), 0)
    cpu, wall = time.process_time(), time.perf_counter()
    sources = sources_of(files, options["text_fields"])
    running = _backend.get().Scan(sources, documents=False, stage=stage, **options)
    while (event := running.next()) is not None:
        if "outcome" in event:
            for name in sizes:
                sizes[name] += event["outcome"][name]
    return (time.process_time() - cpu, time.perf_counter() - wall), sizes


def _run_zstd(program: str | None, files: Sequence[Input]) -> tuple[float, float]:
    assert program is not None
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    # Damaged files end it early, with an error: then it had less to do, as had we.
    command = [os.fsencode(program), b"-dcq", *(file.source for file in files if isinstance(file.source, bytes))]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.perf_counter() - wall


def _all_zstd(files: Sequence[Input]) -> bool:
    def begins_as_zstd(file: Input) -> bool:
        with open(file.source, "rb") as stream:
            magic = stream.read(4)
        return magic == b"\x28\xb5\x2f\xfd" or magic[1:] == b"\x2a\x4d\x18" and magic[0] >> 4 == 5

    return all(file.size is not None and begins_as_zstd(file) for file in files)


def _rows(measured: Mapping[str, list[tuple[float, float]]], sizes: Mapping[str, int]) -> list[dict[str, Any]]:
    cpu = {name: statistics.median(times[0] for times in runs) for name, runs in measured.items()}
    rows = []
    for name, runs in measured.items():
        seconds = max(cpu[name], 1e-9)
        rows.append(
            {
                "stage": name,
                "cpu_seconds": cpu[name],
                "wall_seconds": statistics.median(times[1] for times in runs),
                "cpu_seconds_of_runs": [times[0] for times in runs],
                "bytes_compressed_per_second": sizes["bytes_compressed"] / seconds,
                "bytes_per_second": sizes["bytes"] / seconds,
                "times_decompress": seconds / max(cpu["decompress"], 1e-9),
                "times_zstd": seconds / max(cpu[ZSTD], 1e-9) if ZSTD in cpu else None,
            }
        )
    return rows
