"""Commands on a machine whose calls fail: a process with `fault_shim.c` preloaded, of which each command is a fork."""

import ctypes
import errno
import faulthandler
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
KINDS = ("write", "sync", "rename", "open", "mkdir", "unlink", "read", "link", "truncate", "allocate")
"""As the bits in `fault_shim.c`."""
WITH_MODULES = (
    "textassay.cli.app",
    "textassay.scanning",
    "textassay.report.scan_page",
    "pyarrow.parquet",
    "pyarrow.compute",
)
WITH_MODULES += ("pandas", "scipy.optimize", "matplotlib.pyplot", "textassay.report.chart", "textassay.cli.render")
"""Imported once, not in every fork; what is not installed is left out."""
LIBRARIES = ("_native.", "libzstd.so", "libz.so", "libsimdjson.so")
SECONDS = 120


@dataclass(frozen=True)
class Fault:
    """The `number`-th call of a kind below a folder fails, 0: calls are counted; `lasting`: all later ones do, too."""

    kind: str
    number: int = 0
    error: int = errno.ENOSPC
    lasting: bool = False


@dataclass(frozen=True)
class Ended:
    """How a command ended: below 0 a signal, None after SECONDS."""

    code: int | None
    calls: int
    stdout: str
    stderr: str


def has_compiler() -> bool:
    return sys.platform == "linux" and shutil.which("cc") is not None


class FaultyMachine:
    """Runs commands with faults; `place` is for files of its own, `temporary` is where those of the commands go."""

    def __init__(self, place: Path, temporary: Path | None = None) -> None:
        self._place = place
        place.mkdir(parents=True, exist_ok=True)
        library = place / "fault_shim.so"
        options = ["-shared", "-fPIC", "-O1", "-fexceptions", "-o", str(library)]
        subprocess.run(["cc", *options, str(HERE / "fault_shim.c"), "-ldl"], check=True)
        environment = os.environ | {"LD_PRELOAD": str(library), "PYTHONPATH": os.pathsep.join(sys.path)}
        environment |= {"TEXTASSAY_NUMBA_CACHE": "1"} | ({} if temporary is None else {"TMPDIR": str(temporary)})
        self._child = subprocess.Popen(
            [sys.executable, str(HERE / "faulted.py"), str(library)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )

    def run(
        self,
        *command: object,
        below: Path,
        fault: Fault | None = None,
        backend: str = "native",
        reads: tuple[int, bool] = (0, False),
    ) -> Ended:
        """`textassay COMMAND`, with calls on what lies `below` that folder failing; `reads`: most bytes that one gives (0: as
        asked for), and whether every other one is interrupted.
        """
        job = {
            "command": [os.fsdecode(one) if isinstance(one, (bytes, os.PathLike)) else str(one) for one in command],
            "below": str(below),
            "fault": None if fault is None else asdict(fault),
            "backend": backend,
            "reads": reads,
            "place": str(self._place),
        }
        self._child.stdin.write(json.dumps(job).encode() + b"\n")
        self._child.stdin.flush()
        done = json.loads(self._child.stdout.readline())
        texts = [(self._place / name).read_text("utf-8", "backslashreplace") for name in ("stdout", "stderr")]
        return Ended(done["code"], done["calls"], *texts)

    def close(self) -> None:
        self._child.stdin.close()
        self._child.wait()
        self._child.stdout.close()


def serve(library: str) -> None:
    """Runs jobs, a line of standard input each, until there are no more."""
    shim = ctypes.CDLL(library)
    shim.fault_count.restype = ctypes.c_long
    shim.fault_share()
    for module in WITH_MODULES:
        with suppress(ImportError):
            __import__(module)
    for line in sys.stdin:
        print(json.dumps(_done(shim, json.loads(line))), flush=True)


@cache
def _warm_up(backend: str, place: str) -> None:
    """Compiles what is compiled on its first call, once for all forks."""
    from textassay import scan

    sample = Path(place) / "sample.jsonl"
    sample.write_text('{"text": "a word and a word"}\n')
    scan(sample, threads=1, detector=None)


def _done(shim: ctypes.CDLL, job: dict) -> dict:
    from textassay import _backend

    with _backend.using(job["backend"]):
        _warm_up(job["backend"], job["place"])
        child = os.fork()
        if child == 0:
            _run(shim, job)
    ended = time.monotonic() + SECONDS
    while time.monotonic() < ended:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return {"code": os.waitstatus_to_exitcode(status), "calls": shim.fault_count()}
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return {"code": None, "calls": shim.fault_count()}


def _run(shim: ctypes.CDLL, job: dict) -> None:
    code = 99
    faulthandler.enable()
    try:
        for number, name in ((1, "stdout"), (2, "stderr")):
            target = os.open(f"{job['place']}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            os.dup2(target, number)
            os.close(target)
        from textassay.cli.app import app

        if fault := job["fault"]:
            for name in LIBRARIES:
                shim.fault_library(name.encode())
            kind = 1 << KINDS.index(fault["kind"])
            shim.fault_arm(
                job["below"].encode(), kind, ctypes.c_long(fault["number"]), fault["error"], fault["lasting"]
            )
        if any(job["reads"]):
            shim.fault_reads(job["below"].encode(), *job["reads"])
        try:
            app(job["command"], prog_name="textassay")
        except SystemExit as stopped:
            code = stopped.code if isinstance(stopped.code, int) else int(stopped.code is not None)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1])
