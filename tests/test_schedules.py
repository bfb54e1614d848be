"""Threads that sleep wherever they let go of a lock find what one thread does: schedules that a quiet machine never makes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from faulted import has_compiler
from killed_scans import results_of, write_corpus
from textassay import scan

pytestmark = pytest.mark.skipif(not has_compiler(), reason="needs a C compiler on Linux")
HERE = Path(__file__).parent
ROUNDS, THREADS = 4, 8
CHOICES = {"batch_tokens": 5000, "max_record_bytes": 200_000, "entropy_floor": 8.0, "report": False}
CODE = """
import sys
from textassay import _backend, scan
with _backend.using("native"):
    for number in range(int(sys.argv[3])):
        scan(sys.argv[1], f"{sys.argv[2]}/{number}", **eval(sys.argv[4]))
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    library = tmp_path_factory.mktemp("shim") / "schedule_shim.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(HERE / "schedule_shim.c"), "-ldl"]
    subprocess.run(command, check=True)
    return library


def assert_alike(shim, corpus, out, choices) -> None:
    """Some scans by threads that sleep, against one by one thread."""
    scan(corpus, out / "one", **choices | {"threads": 1})
    wanted = results_of(out / "one")
    environment = os.environ | {"LD_PRELOAD": str(shim), "PYTHONPATH": os.pathsep.join(sys.path)}
    line = [sys.executable, "-c", CODE, str(corpus), str(out), str(ROUNDS), repr(choices | {"threads": THREADS})]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    for number in range(ROUNDS):
        assert results_of(out / str(number)) == wanted


@pytest.mark.parametrize("checkpoint_seconds", [None, 0.05])
@pytest.mark.parametrize("documents", ["jsonl", "none"])
def test_files_of_all_kinds(shim, tmp_path, documents, checkpoint_seconds):
    write_corpus(tmp_path / "corpus", 1500)
    assert_alike(
        shim,
        tmp_path / "corpus",
        tmp_path,
        CHOICES | {"documents": documents, "checkpoint_seconds": checkpoint_seconds},
    )


def test_many_small_files(shim, tmp_path):
    """The batch that a file's end closes is counted once, by whoever is last."""
    (tmp_path / "corpus").mkdir()
    write_corpus(tmp_path / "source", 60)
    for number in range(120):
        for path in (tmp_path / "source").iterdir():
            shutil.copy(path, tmp_path / "corpus" / f"{number:03}-{path.name}")
    assert_alike(shim, tmp_path / "corpus", tmp_path, CHOICES | {"documents": "none", "checkpoint_seconds": None})
