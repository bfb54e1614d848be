"""Kills scans at random, goes on with them, and compares what they end with to what an unharmed scan finds.

    python bench/kill_scans.py [KILLS] [SEED]

Seven of ten kills (SIGKILL) come right before or behind a random step that leaves something on disk (an fsync, a rename, an
append), the others at a random moment. Exit code 1 where any result differs in any byte.
"""

import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from implementations import BACKENDS
from killed_scans import results_of, scan_through_kills, write_corpus
from textassay import _backend, scan

MOST_IN_A_ROW = 12
STEPS = 80
LINES = {"native": 6000, "numba": 3000}


def main(kills: int = 500, seed: int = 1) -> int:
    random_ = random.Random(seed)
    done = dict.fromkeys((one.backend for one in BACKENDS), 0)
    lost = rounds = 0
    with tempfile.TemporaryDirectory() as place:
        while sum(done.values()) < kills:
            name = random_.choice(list(done))
            rounds += 1
            with _backend.using(name):
                found, differs = one_round(Path(place) / str(rounds), random_, kills - sum(done.values()), LINES[name])
            done[name] += found
            lost += differs
            print(
                f"round {rounds}: {found} kills, {'LOST' if differs else 'the same'}; {sum(done.values())} in all",
                flush=True,
            )
    print(
        f"{kills} kills ({', '.join(f'{n} {name}' for name, n in done.items())}), {rounds} scans, {lost} with a difference"
    )
    return min(lost, 1)


def one_round(place: Path, random_: random.Random, kills: int, lines: int) -> tuple[int, bool]:
    """A scan through some kills: how many, and whether its results differ from those without."""
    place.mkdir()
    write_corpus(place / "documents", random_.randrange(lines // 4, lines))
    options = {
        "documents": random_.choice(["parquet", "jsonl", "dolma", "none"]),
        "threads": random_.randrange(1, 4),
        "batch_tokens": random_.choice([1000, 20_000, 1 << 20]),
        "max_types": random_.choice([500, 1 << 24]),
        "entropy_floor": 8.0,
        "checkpoint_seconds": 0.0,
        "report": random_.random() < 0.2,
    }
    began = time.monotonic()
    scan(place / "documents", place / "whole", **options | {"checkpoint_seconds": None})
    seconds = time.monotonic() - began
    arguments = (place / "documents", place / "out")
    found = scan_through_kills(arguments, options, random_, min(kills, MOST_IN_A_ROW), STEPS, seconds)
    return found, results_of(place / "out") != results_of(place / "whole")


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
