"""The shards of a scan on a Ray cluster (docs/cluster.md).

Workers are actors. Each scans one shard after the other, leaves the results in the folder, which all nodes must share, and
adds the profile to the one that it holds in memory. At the end it writes that one down, and tasks add those up in a tree. So
nothing but paths and small numbers goes through Ray; what a worker held in memory when it died is read from its shards'
files; and what a driver had finished when it died, the next one finds.
"""

import errno
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from textassay.anchor import Anchor
from textassay.checkpoint import SECONDS
from textassay.errors import (
    EngineError,
    FolderError,
    MissingPackageError,
    OutputError,
    ScanInterrupted,
    TextassayError,
    UsageError,
)
from textassay.folder import PLAN, SHARDS, OutputFolder
from textassay.inputs import Input, resolve_inputs
from textassay.merging import added_up, commit_merged, expand_shards, merge_files, merge_levels, merged_summary
from textassay.profile import Profile
from textassay.scan_settings import ScanSettings, check_settings
from textassay.scanning import Course, Progress, scan_files
from textassay.shards import Plan, PlanRecord, Shard, plan_settings

try:
    import ray
except ImportError as missing:
    raise MissingPackageError("the engine ray needs Ray: pip install 'textassay[ray]'") from missing

ATTEMPTS = 4
FIRST_PAUSE_SECONDS = 1.0
MOST_THREADS = 8
SHARDS_PER_WORKER = 4
FAN_IN = 16

PROCESS_BYTES = 300 << 20
THREAD_BYTES = 20 << 20
TYPE_BYTES = 96
"""Of a worker: of an interpreter with Ray, of a thread's buffers, and of a type in a profile (docs/sizing.md)."""

TRANSIENT = frozenset(
    number
    for name in (
        *("EAGAIN", "EBUSY", "EINTR", "EIO", "EREMOTEIO", "ESTALE", "ETIMEDOUT", "ENOTCONN"),
        *("ECONNRESET", "ECONNABORTED", "ECONNREFUSED", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH"),
    )
    if (number := getattr(errno, name, None)) is not None
)
"""What a shared file system may say and take back. A full disk or a missing permission is not among it."""


def scan(
    inputs: str | PathLike[str] | Iterable[str | PathLike[str]],
    out: str | PathLike[str],
    *,
    shards: int | None = None,
    address: str | None = None,
    memory: int | None = None,
    fan_in: int = FAN_IN,
    threads: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    restart: bool = False,
    checkpoint_seconds: float | None = SECONDS,
    should_stop: Callable[[], bool] | None = None,
    **options: Any,
) -> tuple[Profile, dict[str, Any]]:
    """Scans what is not finished yet of `inputs`, adds all shards up, and leaves the sum in `out`, too. The profile is that of
    one machine's scan, byte for byte.

    `address` is that of a cluster, as "auto"; without one, it is RAY_ADDRESS or a Ray that is started here, unless Ray is
    initialised already. A worker has `threads` (up to 8 by default) and declares that many CPUs, and `memory` bytes, which are
    estimated from the settings by default. `shards` is four for each worker by default, and what it was in an earlier run
    into `out`. At most `fan_in` profiles are added up by one task. `restart` is for shards that have been begun, which another
    worker otherwise goes on with. Other `options` are those of `scan`; paths among them, the
    inputs and `out` must mean the same on all nodes.

    Shards of workers that die are scanned again, and those that fail with what may pass; after four attempts, or after any
    other error, `EngineError` is raised. Also raises what `scan_shard` raises.
    """
    files = [_anywhere(file) for file in resolve_inputs(inputs, allow_remote=True)]
    with _connected(address):
        used_threads = _usable_threads() if threads is None else threads
        given = _portable(options) | {"threads": used_threads}
        settings = plan_settings(**given)
        declared = {"num_cpus": used_threads, "memory": memory or worker_memory(settings)}
        most = _room_for(declared)
        if shards is None:
            earlier = (Path(out) / PLAN).exists()
            shards = len(PlanRecord.read(out).shards) if earlier else max(1, min(len(files), SHARDS_PER_WORKER * most))
        plan = Plan(files, settings, shards)
        plan.claim(out)
        with OutputFolder(out, beside_shards=True) as folder:
            course = Course(None, restart, checkpoint_seconds)
            crew = _Crew(
                plan, folder.path.absolute(), given | {"documents": settings.documents}, course, declared, most
            )
            scratch = folder.partial.absolute() / "sums"
            scratch.mkdir()
            try:
                crew.scan_all(on_progress, should_stop)
                sums = crew.hand_over(scratch)
            finally:
                crew.dismiss()
            profile = _added_up(sums, fan_in, scratch, declared["memory"])
            summary = merged_summary(profile, *expand_shards([out]))
            commit_merged(folder, profile, summary, [out])
    return profile, summary


def worker_memory(settings: ScanSettings) -> int:
    """Bytes that a worker needs at most: a shard's profile and the sum of those before, both full, and its threads."""
    threads = settings.threads * (THREAD_BYTES + settings.max_record_bytes)
    return PROCESS_BYTES + threads + 2 * settings.configuration.max_types * TYPE_BYTES


class Worker:
    """What runs on a node. It answers an error that it knows with a `Failure`, since not every exception survives the way."""

    def __init__(self, options: Mapping[str, Any], course: Course, described: Mapping[str, Any]) -> None:
        self._options = dict(options)
        self._course = course
        self._described = dict(described)
        self._settings: ScanSettings | None = None
        self._sum: Profile | None = None

    def scan(self, shard: Shard, out: Path, pause: float) -> Any:
        """Scans a shard; returns its numbers of bytes and documents, or a `Failure`."""
        time.sleep(pause)
        try:
            if not (out / PLAN).exists():
                return _failure(f"{out} is not the driver's folder: wanted one that all nodes share", False)
            if self._settings is None:
                self._settings = check_settings(**self._options)
            if self._settings.described() != self._described:
                return _failure("settings are not what they are for the driver: wanted one textassay everywhere", False)
            result = scan_files(shard.files, self._settings, out / SHARDS / shard.name, self._course)
        except (TextassayError, OSError) as error:
            return _failure(str(error), is_transient(error))
        if self._sum is None:
            self._sum = result.profile
        else:
            self._sum.merge(result.profile)
        return {name: result.summary["inputs"][name] for name in ("bytes", "documents")}

    def write_sum(self, path: Path) -> None:
        if self._sum is not None:
            self._sum.save(path)


def _failure(reason: str, is_transient: bool) -> dict[str, Any]:
    return {"failure": reason, "is_transient": is_transient}


def is_transient(error: BaseException) -> bool:
    """Whether the same may go well a little later. That another process writes to a folder is said for a while where a node
    has died with a lock.
    """
    if isinstance(error, FolderError):
        return "another process" in str(error)
    cause = error.__cause__ if isinstance(error, OutputError) else error
    return isinstance(cause, OSError) and cause.errno in TRANSIENT


class _Crew:
    """The workers, what each is doing, and the shards whose profiles it holds."""

    def __init__(
        self, plan: Plan, out: Path, options: Mapping[str, Any], course: Course, declared: Mapping[str, Any], most: int
    ) -> None:
        self._plan, self._out, self._declared, self._most = plan, out, declared, most
        self._instructions = options, course, plan.settings.described()
        records = plan.record.shards
        unfinished = [shard for shard in plan.shards if not records[shard.index].is_finished(out)]
        self._n_files, self._volume = sum(one.files for one in records), sum(one.bytes for one in records)
        self._sizes_known = all(file.size is not None for shard in plan.shards for file in shard.files)
        self._waiting = deque(sorted(unfinished, key=lambda shard: -shard.bytes))
        self._failures: dict[int, int] = {}
        self._busy: dict[Any, tuple[Any, Shard]] = {}
        self._held: dict[Any, list[Shard]] = {}
        self._counts = {"bytes": 0, "documents": 0}

    def scan_all(self, on_progress: Callable[[Progress], None] | None, should_stop: Callable[[], bool] | None) -> None:
        self._tell(on_progress)
        while self._waiting or self._busy:
            while self._waiting and len(self._busy) < self._most:
                self._start(self._waiting.popleft(), self._idle() or self._hire())
            if should_stop is not None and should_stop():
                raise ScanInterrupted(self._out)
            ready, _ = ray.wait(list(self._busy), timeout=1.0)
            for reference in ready:
                self._take(reference)
            self._tell(on_progress)

    def hand_over(self, folder: Path) -> list[Path]:
        """Sums of all shards: those that workers held, and the profiles of shards that none holds."""
        sums = {}
        for number, worker in enumerate(self._held):
            sums[worker] = folder / f"worker-{number}.tap"
        written = {worker: worker.write_sum.remote(path) for worker, path in sums.items()}
        for worker, reference in written.items():
            try:
                ray.get(reference)
            except ray.exceptions.RayError:
                self._held[worker] = []
        held = {shard.index for shards in self._held.values() for shard in shards}
        rest = [one for one in self._plan.record.shards if one.files and one.index not in held]
        profiles = [one.folder(self._out) / "profile.tap" for one in rest]
        return [path for worker, path in sums.items() if self._held[worker]] + profiles

    def dismiss(self) -> None:
        for worker in self._held:
            with suppress(ray.exceptions.RayError):
                ray.kill(worker)

    def _idle(self) -> Any:
        busy = {worker for worker, _ in self._busy.values()}
        return next((worker for worker in self._held if worker not in busy), None)

    def _hire(self) -> Any:
        worker = ray.remote(Worker).options(**self._declared).remote(*self._instructions)
        self._held[worker] = []
        return worker

    def _start(self, shard: Shard, worker: Any) -> None:
        failures = self._failures.get(shard.index, 0)
        pause = FIRST_PAUSE_SECONDS * 2 ** (failures - 1) if failures else 0.0
        self._busy[worker.scan.remote(shard, self._out, pause)] = worker, shard

    def _take(self, reference: Any) -> None:
        worker, shard = self._busy.pop(reference)
        try:
            found = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            raise EngineError(f"shard {shard.index} ({shard.name}): {error}") from error
        except ray.exceptions.RayError as error:  # the worker is gone, and what it held
            del self._held[worker]
            found = _failure(f"its worker died: {str(error).strip().splitlines()[0]}", True)
        if "failure" in found:
            self._retry(shard, found)
            return
        self._held[worker].append(shard)
        for name in self._counts:
            self._counts[name] += found[name]

    def _retry(self, shard: Shard, found: Mapping[str, Any]) -> None:
        failures = self._failures[shard.index] = self._failures.get(shard.index, 0) + 1
        if not found["is_transient"] or failures == ATTEMPTS:
            times = f" {failures} times" if failures > 1 else ""
            raise EngineError(f"shard {shard.index} ({shard.name}) failed{times}: {found['failure']}")
        self._waiting.append(shard)

    def _tell(self, on_progress: Callable[[Progress], None] | None) -> None:
        if on_progress is None:
            return
        left = [*self._waiting, *(shard for _, shard in self._busy.values())]
        files = self._n_files - sum(len(shard.files) for shard in left)
        done = self._volume - sum(shard.bytes for shard in left)
        total = self._volume if self._sizes_known else None
        on_progress(Progress(files, self._n_files, done, total, **self._counts))


def _added_up(sums: Sequence[Path], fan_in: int, scratch: Path, memory: int) -> Profile:
    """Sums of sums by tasks; the last one here, where the summary is made of it. Ray runs a task again whose worker died."""
    if fan_in < 2:
        raise UsageError(f"fan_in={fan_in}: wanted at least 2")
    merge = ray.remote(merge_files).options(num_cpus=1, memory=memory, max_retries=ATTEMPTS - 1)
    try:
        left = merge_levels(sums, fan_in, scratch, lambda jobs: ray.get([merge.remote(*job) for job in jobs]))
    except ray.exceptions.RayError as error:
        raise EngineError(f"adding up failed: {error}") from error
    return added_up(left)


@contextmanager
def _connected(address: str | None) -> Iterator[None]:
    if ray.is_initialized():
        yield
        return
    used = address or os.environ.get("RAY_ADDRESS") or "local"
    try:
        ray.init(
            used,
            log_to_driver=False,
            logging_level="error",
            **({"include_dashboard": False} if used == "local" else {}),
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UsageError(f"cannot reach Ray at {used!r}: {error}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _resources() -> list[Mapping[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _usable_threads() -> int:
    return max(1, min(MOST_THREADS, int(max((one.get("CPU", 0) for one in _resources()), default=1))))


def _room_for(declared: Mapping[str, Any]) -> int:
    """How many workers the cluster has room for now. Raises `UsageError` where it has none: they would wait for ever."""
    wanted = declared["num_cpus"], declared["memory"]
    rooms = [min(one.get("CPU", 0) // wanted[0], one.get("memory", 0) // wanted[1]) for one in _resources()]
    if sum(rooms) < 1:
        raise UsageError(
            f"no node of this cluster has {wanted[0]} CPUs and {wanted[1] >> 20} MiB for a worker; "
            "wanted fewer threads, less memory or fewer max_types"
        )
    return int(sum(rooms))


def _anywhere(file: Input) -> Input:
    """Workers may have another current folder. The name stays as it was given."""
    return replace(file, source=os.path.abspath(file.source)) if isinstance(file.source, bytes) else file


def _portable(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that mean the same in another current folder. An anchor is mapped by each worker from its file."""
    found = dict(options)
    if isinstance(found.get("anchor"), Anchor):
        found["anchor"] = found["anchor"].path
    for name in ("anchor", "provenance", "detector", "tokenizer"):
        value = found.get(name)
        if isinstance(value, PathLike) or (isinstance(value, str) and value != "default"):
            found[name] = os.path.abspath(value)
    return found
