"""The inputs that fuzzing has kept, through its targets once more. Those of the targets in C++ are run by `scripts/sanitize asan`; here
both backends read them, as files to be scanned.
"""

import importlib
import random
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "fuzz"
INTERPRETED = ("tap", "anchor", "arpa", "model", "backends")
COMPILED = ("lines", "segmentation", "frames", "histogram")
MOST_BYTES = 2 << 20


@pytest.fixture(autouse=True)
def targets_can_be_imported(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    yield
    for name in (*INTERPRETED, "mutation"):
        sys.modules.pop(name, None)


def corpus(target: str) -> list[Path]:
    return sorted((FOLDER / "corpus" / target).iterdir())


@pytest.mark.parametrize("target", INTERPRETED)
def test_kept_inputs(target):
    module = importlib.import_module(target)
    assert corpus(target)
    for path in corpus(target):
        module.check(path.read_bytes())


@pytest.mark.parametrize("target", INTERPRETED)
def test_mutations_of_seeds(target):
    module = importlib.import_module(target)
    rng = random.Random(0)
    for seed in module.seeds():
        module.check(seed)
        module.check(module.mutate(seed, rng))


def test_kept_lines_and_frames_on_both_backends():
    backends = importlib.import_module("backends")
    for target, parameters in (("lines", 2), ("frames", 3)):
        for path in corpus(target):
            backends.check(bytes(4) + path.read_bytes()[parameters:])


def test_corpora_are_there_and_small():
    sizes = [path.stat().st_size for target in (*INTERPRETED, *COMPILED) for path in corpus(target)]
    assert sum(sizes) < MOST_BYTES
    assert {path.name for path in (FOLDER / "corpus").iterdir()} == {*INTERPRETED, *COMPILED}
