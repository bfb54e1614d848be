"""Scans a corpus over and over through a pipe, in one process, and says whether anything grows.

    python bench/soak.py [--minutes 30] [--gigabytes 100] [--threads N] [--json RECORD] [SHARD...]

The scan gets the shards again and again on its standard input until both so many minutes and so many (uncompressed) gigabytes are
over, and the shards are whole. Meanwhile memory (resident), open files, threads and CPU time are read from /proc. The slopes are
Theil and Sen's (medians of all pairs' slopes), over what comes behind the first tenth: until then vocabularies and buffers fill. Speed is
CPU time a gigabyte, beside that of `zstd -dc` of the same shards now and then, since the machine may have other work.

At the end the profile is held against that of the shards scanned once: every count must be so many times as large. Exit code 1 where
one is not.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from fcntl import fcntl
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from inputs import CORPORA, ENGLISH
from textassay import Profile

SAMPLE_SECONDS = 5.0
REFERENCE_SECONDS = 120.0
PIPE_BYTES = 1 << 20
SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ of Linux
WARM_UP = 0.1
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--gigabytes", type=float, default=100)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", type=Path, help="where every sample goes")
    parser.add_argument("shards", nargs="*", type=Path, default=[CORPORA / f"{name}.jsonl.zst" for name in ENGLISH])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        soak = Soak(asked.shards, Path(place), asked.threads)
        soak.run(asked.minutes * 60, asked.gigabytes * 1e9)
        found = soak.figures() | {"counts_differ": soak.differences()}
    if asked.json is not None:
        asked.json.write_text(json.dumps(found | {"samples": soak.samples}, indent=1))
    for name, value in found.items():
        print(f"{name:28} {value}")
    return min(len(found["counts_differ"]), 1)


class Soak:
    """One scan. `samples` are taken while it runs."""

    def __init__(self, shards: Sequence[Path], place: Path, threads: int) -> None:
        self.content = b"".join(path.read_bytes() for path in shards)
        self.shards, self.place, self.threads = list(shards), place, threads
        command = ["scan", *map(str, shards), "-o", str(place / "once"), *self._options()]
        subprocess.run([sys.executable, "-m", "textassay", *command], check=True, stdout=subprocess.DEVNULL)
        self.bytes_once = json.loads((place / "once" / "summary.json").read_bytes())["inputs"]["bytes"]
        self.repetitions = 0
        self.samples: list[dict[str, float]] = []
        self.references: list[float] = []

    def _options(self) -> list[str]:
        return ["--threads", str(self.threads), "--no-report", "--quiet"]

    def run(self, seconds: float, size: float) -> None:
        command = ["scan", "-", "-o", str(self.place / "soaked"), *self._options()]
        began = time.monotonic()
        with subprocess.Popen(
            [sys.executable, "-m", "textassay", *command], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        ) as scan:
            done = threading.Event()
            sampler = threading.Thread(target=self._sample, args=(scan.pid, began, done))
            sampler.start()
            assert scan.stdin is not None
            with scan.stdin as pipe:
                fcntl(pipe, SET_PIPE_SIZE, PIPE_BYTES)
                while time.monotonic() - began < seconds or self.repetitions * self.bytes_once < size:
                    pipe.write(self.content)
                    self.repetitions += 1
            done.set()
            sampler.join()
        if scan.returncode != 0:
            raise SystemExit(f"the scan exited with {scan.returncode}")

    def _sample(self, process: int, began: float, done: threading.Event) -> None:
        reference_at = 0.0
        while not done.wait(SAMPLE_SECONDS):
            now = time.monotonic() - began
            if now >= reference_at:
                self.references.append(self._reference())
                reference_at = now + REFERENCE_SECONDS
            self.samples.append(
                {"seconds": now, "gigabytes": self.repetitions * self.bytes_once / 1e9} | usage_of(process)
            )

    def _reference(self) -> float:
        """CPU seconds a gigabyte of `zstd -dc`."""
        before = os.times()
        subprocess.run(["zstd", "-dcq", *map(str, self.shards)], check=True, stdout=subprocess.DEVNULL)
        after = os.times()
        spent = (after.children_user - before.children_user) + (after.children_system - before.children_system)
        return spent / (self.bytes_once / 1e9)

    def figures(self) -> dict[str, Any]:
        warm = [one for one in self.samples if one["gigabytes"] > WARM_UP * self.samples[-1]["gigabytes"]]
        volume = np.array([one["gigabytes"] for one in warm])
        resident = np.array([one["resident_mib"] for one in warm])
        cost = np.array([one["cpu_seconds"] for one in warm])
        middle = len(warm) // 2
        first = (cost[middle] - cost[0]) / (volume[middle] - volume[0])
        second = (cost[-1] - cost[middle]) / (volume[-1] - volume[middle])
        return {
            "minutes": round(self.samples[-1]["seconds"] / 60, 1),
            "gigabytes": round(self.repetitions * self.bytes_once / 1e9, 1),
            "repetitions": self.repetitions,
            "threads": self.threads,
            "resident_mib": f"{resident[0]:.0f} to {resident[-1]:.0f}, most {resident.max():.0f}",
            "resident_slope": f"{1024 * theil_sen(volume, resident):.1f} KiB a gigabyte",
            "cpu_seconds_a_gigabyte": f"{first:.2f} in the first half, {second:.2f} in the second ({100 * (second / first - 1):+.1f} %)",
            "zstd_cpu_seconds_a_gigabyte": f"{min(self.references):.2f} to {max(self.references):.2f}",
            "open_files": sorted({int(one["open_files"]) for one in warm}),
            "threads_seen": sorted({int(one["threads"]) for one in warm}),
        }

    def differences(self) -> list[str]:
        """What is not so many times that of the shards scanned once."""
        once, soaked = (counts_of(self.place / name / "profile.tap") for name in ("once", "soaked"))
        return sorted(
            name for name in once.keys() | soaked.keys() if self.repetitions * once.get(name, 0) != soaked.get(name, 0)
        )[:10]


def counts_of(path: Path) -> dict[str, int]:
    """Every count of a profile but those of batches, which begin elsewhere when the corpus does."""
    profile = Profile.load(path)
    counts = {name: number for name, number in profile.totals().items() if name != "n_batches"}
    for row in profile.top(1 << 30):
        counts |= {f"tokens {row['token']}": row["count"], f"documents {row['token']}": row["documents"]}
    for signal in profile.configuration.signals:
        counts |= {f"{signal} {place}": int(n) for place, n in enumerate(profile.histogram(signal)) if n}
    return counts


def usage_of(process: int) -> dict[str, float]:
    folder = Path(f"/proc/{process}")
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    return {
        "resident_mib": int((folder / "statm").read_text().split()[1]) * PAGE / (1 << 20),
        "cpu_seconds": (int(fields[11]) + int(fields[12])) / TICKS,
        "threads": int(fields[17]),
        "open_files": len(list((folder / "fd").iterdir())),
    }


def theil_sen(x: Any, y: Any) -> float:
    """Median slope of all pairs of samples (Theil 1950, Sen 1968)."""
    first, second = np.triu_indices(len(x), 1)
    rise, run = y[second] - y[first], x[second] - x[first]
    return float(np.median(rise[run > 0] / run[run > 0]))


if __name__ == "__main__":
    sys.exit(main())
