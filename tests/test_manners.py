"""How the package behaves inside a program that is not ours: what it loads, prints, and leaves alone; forks and threads."""

import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest

import textassay as ta

EXAMPLES = Path(__file__).parent.parent / "examples"
TEXTS = [f"Document {n} says: it's {n % 7} o'clock. And more!" for n in range(500)]


def child(code: str, *arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", timeout=300)


def test_import_loads_the_standard_library_alone():
    """Some milliseconds, then: not even numpy is there before a name is asked for."""
    code = """
import sys
before = set(sys.modules)
import textassay
found = {name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names - {"textassay"}
assert not found, found
mine = [name for name in sys.modules if name.startswith("textassay.")]
assert not mine, mine
"""
    done = child(code)
    assert done.returncode == 0, done.stderr


def test_no_name_loads_what_is_heavy():
    """Every public name may be looked at without numba, pyarrow or scikit-learn; a call loads what it needs."""
    code = """
import sys, textassay
for name in textassay.__all__:
    getattr(textassay, name)
heavy = {"numba", "pyarrow", "scipy", "sklearn", "matplotlib", "pandas", "polars", "typer", "rich", "jinja2", "ray"}
found = heavy & {name.partition(".")[0] for name in sys.modules}
assert not found, found
"""
    done = child(code)
    assert done.returncode == 0, done.stderr


LIBRARY_USE = """
import signal, sys, threading
import textassay as ta

def handlers():
    return {one: signal.getsignal(one) for one in signal.valid_signals()}

def use(out):
    result = ta.scan(sys.argv[1], out, threads=2, batch_tokens=65536)
    ta.Profile.load(out + "/profile.tap").summary()
    ta.compare(result.profile, result.profile)
    ta.gate(out)
    ta.measure(["One two three. Four!"], threads=2)
    ta.filter_shards(sys.argv[1], out + "-filtered", hold="mattr < 0.5", scanned=out)
    ta.batch_entropy_audit([[1, 2, 3]], vocab_size=10)
    try:
        ta.scan("/nowhere/at/all")
    except ta.InputError:
        pass

before = handlers()
use(sys.argv[2] + "/main")
assert handlers() == before, "in the main thread"
other = threading.Thread(target=use, args=(sys.argv[2] + "/other",))
other.start()
other.join()
assert handlers() == before, "in another thread"
"""


def test_library_use_prints_nothing_and_installs_no_handler(tmp_path):
    done = child(LIBRARY_USE, EXAMPLES / "shards", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("", "")
    assert (tmp_path / "other" / "summary.json").exists()


def test_interrupted_scan_raises_and_leaves_nothing(tmp_path):
    """The program's own SIGINT works: KeyboardInterrupt out of `scan`, no half of a result, and no thread left."""
    code = """
import os, signal, sys, threading
import textassay as ta

def interrupt(progress):
    os.kill(os.getpid(), signal.SIGINT)

try:
    ta.scan(sys.argv[1], sys.argv[2], on_progress=interrupt)
except KeyboardInterrupt:
    assert not os.path.exists(sys.argv[2] + "/summary.json")
    assert threading.active_count() == 1
else:
    raise SystemExit("it was not interrupted")
ta.measure(["and it goes on"])
"""
    done = child(code, EXAMPLES / "shards", tmp_path / "out")
    assert done.returncode == 0, done.stderr


def test_first_use_from_many_threads():
    """Names load and the backend is chosen once, whoever comes first."""
    code = """
import threading
import textassay as ta

start, found = threading.Barrier(8), []

def use():
    start.wait()
    found.append((ta.Scanner, ta.measure(["One two three. Four!"], threads=2)["entropy_bits"][0]))

threads = [threading.Thread(target=use) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert len(found) == 8 and len(set(found)) == 1, found
"""
    done = child(code)
    assert done.returncode == 0, done.stderr


def test_threads_that_nobody_waits_for():
    """The interpreter ends while daemon threads wait for the GIL: Python before 3.14 unwinds their stacks."""
    code = """
import threading, time
import textassay as ta

texts, used = ["One two three. Four! " * 20] * 50, threading.Event()

def use():
    while True:
        ta.measure(texts, signals="mattr", threads=1)
        used.set()

for _ in range(8):
    threading.Thread(target=use, daemon=True).start()
used.wait()
time.sleep(0.2)
"""
    for _ in range(3):
        done = child(code)
        assert (done.returncode, done.stderr) == (0, "")


def figures(texts: list[str]) -> list[bytes]:
    table = ta.measure(texts, signals="n_tokens,entropy_bits,mattr", threads=2)
    scanner = ta.Scanner(signals="n_tokens,entropy_bits,mattr", threads=2)
    scanner.update(texts)
    return [table["entropy_bits"].tobytes(), table["mattr"].tobytes(), scanner.profile.serialize()]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_measure_as_their_parent(method):
    """As the workers of a data loader do: the parent has measured, with threads, before it forks."""
    expected = figures(TEXTS)
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(figures, [TEXTS] * 4) == [expected] * 4


def test_a_scanner_made_before_the_fork_goes_on_behind_it():
    """Parent and child each have their own from then on."""
    scanner = ta.Scanner(signals="n_tokens", threads=2)
    scanner.update(TEXTS)
    context = multiprocessing.get_context("fork")
    with context.Pool(1, _take_scanner, (scanner,)) as pool:
        assert pool.apply(_count_more) == 2 * len(TEXTS)
    assert scanner.profile.totals()["n_documents"] == len(TEXTS)


_taken: list[ta.Scanner] = []


def _take_scanner(scanner: ta.Scanner) -> None:
    _taken.append(scanner)


def _count_more() -> int:
    _taken[0].update(TEXTS)
    return _taken[0].profile.totals()["n_documents"]
