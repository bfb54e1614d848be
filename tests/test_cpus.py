"""How many threads a scan takes by default."""

import os

import pytest

from textassay import cpus


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    monkeypatch.setattr(cpus, "_affinity", lambda: 64)
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)


def write(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({}, 64),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, 64),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "400000 100000\n"}, 4),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 2),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "1000 100000\n"}, 1),
        (
            {
                "proc/self/cgroup": "0::/slice/job\n",
                "sys/fs/cgroup/slice/job/cpu.max": "max 100000\n",
                "sys/fs/cgroup/slice/cpu.max": "300000 100000\n",
            },
            3,
        ),
        (
            {
                "proc/self/cgroup": "12:cpu,cpuacct:/docker/x\n3:memory:/docker/x\n",
                "sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us": "500000\n",
                "sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_period_us": "100000\n",
            },
            5,
        ),
        (
            {
                "proc/self/cgroup": "12:cpu,cpuacct:/docker/x\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            64,
        ),
        ({"proc/self/cgroup": "nonsense\n", "sys/fs/cgroup/cpu.max": "nonsense"}, 64),
    ],
)
def test_quotas(tmp_path, files, wanted):
    write(tmp_path, files)
    assert cpus.usable_cpus(tmp_path) == wanted


@pytest.mark.parametrize(("value", "wanted"), [("8", 8), ("128", 64), ("0", 64), ("", 64), ("x", 64)])
def test_slurm(tmp_path, monkeypatch, value, wanted):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", value)
    assert cpus.usable_cpus(tmp_path) == wanted


def test_this_machine(monkeypatch):
    monkeypatch.undo()
    assert 1 <= cpus.usable_cpus() <= (os.cpu_count() or 1)
