"""The inputs that fuzzing has kept, through its targets once more. Those of the targets in C++ are run by `scripts/sanitize asan`; here
both backends read them, as files to be scanned.
"""

import importlib
import random
import sys
from pathlib import Path

import pytest

from implementations import BACKENDS, comparable, scan

FOLDER = Path(__file__).parent.parent / "fuzz"
INTERPRETED = ("tap", "anchor", "arpa", "model", "backends")
COMPILED = ("lines", "segmentation", "frames", "histogram")
MOST_BYTES = 2 << 20
SIGNALS = ("n_bytes", "n_chars", "n_tokens", "n_types", "n_sentences", "entropy_bits", "invisible_chars")


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


def test_kept_files_on_both_backends(tmp_path):
    """What the compiled targets got as a file, behind their parameters, as files of one scan."""
    paths = []
    for target, parameters in (("lines", 2), ("frames", 3)):
        for path in corpus(target):
            paths.append(tmp_path / f"{target}-{path.name}")
            paths[-1].write_bytes(path.read_bytes()[parameters:])
    native, numba = (scan(one.use(), paths, signals=SIGNALS, threads=3) for one in BACKENDS)
    for i, path in enumerate(paths):
        assert native.outcomes[i]["status"] == numba.outcomes[i]["status"], path
        if native.outcomes[i]["status"] == "ok":  # how much of a damaged frame comes out depends on the decoder
            assert comparable(native.outcomes[i]) == comparable(numba.outcomes[i]), path
            assert (native.errors[i], native.documents[i]) == (numba.errors[i], numba.documents[i]), path


def test_corpora_are_there_and_small():
    sizes = [path.stat().st_size for target in (*INTERPRETED, *COMPILED) for path in corpus(target)]
    assert sum(sizes) < MOST_BYTES
    assert {path.name for path in (FOLDER / "corpus").iterdir()} == {*INTERPRETED, *COMPILED}
