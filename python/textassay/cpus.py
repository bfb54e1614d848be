"""How many CPUs this process may use."""

import os
from pathlib import Path


def usable_cpus(root: Path = Path("/")) -> int:
    """The least of: affinity mask, cgroup quota (v2 or v1, rounded up), SLURM_CPUS_PER_TASK. At least 1.

    `root` is where /proc and /sys are looked for (tests).
    """
    limits = [_affinity(), _cgroup2(root), _cgroup1(root), _slurm()]
    return max(1, min(limit for limit in limits if limit is not None))


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _slurm() -> int | None:
    value = os.environ.get("SLURM_CPUS_PER_TASK", "")
    return int(value) if value.isdecimal() and int(value) > 0 else None


def _cgroup2(root: Path) -> int | None:
    """A quota binds all groups below it, so the least on the way up counts."""
    top = root / "sys/fs/cgroup"
    limits = [_quota2(folder / "cpu.max") for folder in _ways_up(top, _group(root, ""))]
    return min((limit for limit in limits if limit is not None), default=None)


def _cgroup1(root: Path) -> int | None:
    limits = []
    for mount in ("cpu", "cpu,cpuacct"):
        for folder in _ways_up(root / "sys/fs/cgroup" / mount, _group(root, "cpu")):
            limits.append(_quota1(folder))
    return min((limit for limit in limits if limit is not None), default=None)


def _group(root: Path, controller: str) -> str:
    """Path of this process's group in the hierarchy of a v1 controller, or for "" in v2. In a container often "/"."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3 and controller in parts[1].split(","):
            return parts[2]
    return "/"


def _ways_up(top: Path, group: str) -> list[Path]:
    folder = top / group.strip("/")
    return [path for path in (folder, *folder.parents) if path == top or top in path.parents]


def _quota2(path: Path) -> int | None:
    parts = _read(path).split()
    if len(parts) != 2 or not (parts[0].isdecimal() and parts[1].isdecimal()):
        return None  # "max 100000", or no such file
    return _rounded_up(int(parts[0]), int(parts[1]))


def _quota1(folder: Path) -> int | None:
    quota, period = _read(folder / "cpu.cfs_quota_us").strip(), _read(folder / "cpu.cfs_period_us").strip()
    return _rounded_up(int(quota), int(period)) if quota.isdecimal() and period.isdecimal() else None


def _rounded_up(quota: int, period: int) -> int | None:
    return -(-quota // period) if quota and period else None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
