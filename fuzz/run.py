"""Fuzzes a target that is written in Python, with atheris: `python fuzz/run.py TARGET [OPTIONS OF libFuzzer] FOLDER...`.

A target is a module of this folder: `check(data)` raises on a finding, `mutate(data, rng)` changes an input in a way that leaves its
checksums right, `seeds()` yields inputs to begin with.
"""

import importlib
import random
import sys
from pathlib import Path

import atheris

READERS = [
    "textassay.anchor",
    "textassay.calibration.file",
    "textassay.configuration",
    "textassay.detector",
    "textassay.tap_reader",
]
"""Whose branches guide the search. What numba compiles can't be among them."""


def main() -> None:
    name, *options = sys.argv[1:]
    with atheris.instrument_imports(include=READERS):
        target = importlib.import_module(name)
    folder = Path(next(option for option in options if not option.startswith("-")))
    for number, seed in enumerate(target.seeds()):
        (folder / f"seed-{number}").write_bytes(seed)
        target.check(seed)  # compiles what numba has to: no single input may take so long

    def mutator(data: bytes, max_size: int, seed: int) -> bytes:
        rng = random.Random(seed)
        changed = target.mutate(data, rng) if rng.randrange(4) else atheris.Mutate(data, max_size)
        return changed if len(changed) <= max_size else data[:max_size]

    atheris.Setup([sys.argv[0], *options], target.check, custom_mutator=mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
