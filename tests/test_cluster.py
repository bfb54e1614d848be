"""A scan divided among processes: who scans what, what is found again, and that the sum is the scan of one machine."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from implementations import BACKENDS
from shard_texts import SHARD_TEXTS
from textassay import (
    FolderError,
    InputError,
    Profile,
    ProfileError,
    ScanInterrupted,
    UsageError,
    _backend,
    checkpoint,
    merge_profiles,
    scan,
    scan_shard,
    scan_status,
)
from textassay.atomic import create
from textassay.engines import local
from textassay.errors import InputWarning
from textassay.folder import PLAN
from textassay.inputs import Input, resolve_inputs
from textassay.merging import merge_files, merge_levels, merge_shards
from textassay.scan_settings import check_settings
from textassay.shards import MOST_SHARDS, Plan, PlanRecord, divide, make_plan, parse_shard


def command(*arguments: object, **variables: str) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("TEXTASSAY_", "SLURM_"))}
    environment |= {"TEXTASSAY_NUMBA_CACHE": "1", "COLUMNS": "100", **variables}
    line = [sys.executable, "-m", "textassay", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, env=environment, timeout=300, check=False)


# Who scans what


def entries(sizes: list[int | None]) -> list[Input]:
    return [Input(f"{n:03}", b"", size, 0, n) for n, size in enumerate(sizes)]


@given(sizes=st.lists(st.none() | st.integers(0, 1000), max_size=40), count=st.integers(1, 12))
def test_each_file_is_in_one_shard(sizes, count):
    files = entries(sizes)
    parts = divide(files, count)
    assert len(parts) == count
    assert sorted((f for part in parts for f in part), key=lambda f: f.position) == files
    assert all(part == sorted(part, key=lambda f: f.position) for part in parts)
    assert divide(files, count) == parts


@given(sizes=st.lists(st.integers(1, 1000), min_size=1, max_size=40), count=st.integers(1, 12))
def test_shards_are_about_equal(sizes, count):
    """No shard holds more than an equal share and the rest of one file (Graham's bound for any list scheduling)."""
    loads = [sum(f.size for f in part) for part in divide(entries(sizes), count)]
    assert max(loads) <= sum(sizes) / count + max(sizes) * (1 - 1 / count) + 1e-9
    if len(sizes) >= count:
        assert min(len(part) for part in divide(entries(sizes), count)) >= 1


def test_division_by_hand():
    """Largest first, to the least loaded; a naive search for the least agrees."""
    sizes = [5, 9, 3, 7, 7, 1]
    naive = [[], [], []]
    for position in sorted(range(6), key=lambda p: (-sizes[p], p)):
        min(naive, key=lambda part: (sum(sizes[p] for p in part), len(part))).append(position)
    found = [[f.position for f in part] for part in divide(entries(sizes), 3)]
    assert found == [sorted(part) for part in naive] == [[1, 5], [0, 3], [2, 4]]


def test_files_of_unknown_size_go_round():
    assert [[f.position for f in part] for part in divide(entries([None] * 5), 2)] == [[0, 2, 4], [1, 3]]


@pytest.mark.parametrize(("given", "found"), [("0/1", (0, 1)), (" 3/64 ", (3, 64)), ((2, 5), (2, 5))])
def test_shards_by_number(given, found):
    assert parse_shard(given, {}) == found


@pytest.mark.parametrize("given", ["", "3", "3/", "/3", "3/3", "-1/3", "1/0", "1.0/3", (3, 3), f"0/{MOST_SHARDS + 1}"])
def test_no_such_shard(given):
    with pytest.raises(UsageError, match="shard"):
        parse_shard(given, {})


def task(number: int, first: int, last: int, count: int) -> dict[str, str]:
    values = {"ID": number, "MIN": first, "MAX": last, "COUNT": count}
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in values.items()}


def test_shards_of_a_job_array():
    assert [parse_shard("slurm", task(n, 0, 3, 4)) for n in range(4)] == [(n, 4) for n in range(4)]
    assert [parse_shard("slurm", task(n, 1, 4, 4)) for n in range(1, 5)] == [(n, 4) for n in range(4)]
    assert parse_shard("slurm/64", task(17, 5, 17, 2)) == (17, 64)


@pytest.mark.parametrize(
    ("given", "environment", "message"),
    [
        ("slurm", {}, "SLURM_ARRAY_TASK_ID is ''"),
        ("slurm", task(5, 5, 17, 2), "2 tasks from 5 to 17"),
        ("slurm", task(5, 5, 5, 1), "1 tasks from 5 to 5"),
        ("slurm", task(0, 0, 6, 4), "4 tasks from 0 to 6"),
        ("slurm/x", task(0, 0, 1, 2), "wanted a number of shards"),
        ("slurm/4", task(4, 1, 4, 4), "shard 4/4: wanted 0/n"),
    ],
)
def test_arrays_that_would_leave_something_out(given, environment, message):
    with pytest.raises(UsageError, match=message):
        parse_shard(given, environment)


# The sum is the scan of one machine


def test_shards_add_up_to_the_scan(corpus, tmp_path):
    """Every other shard on the other backend, in any order, one of them empty."""
    whole = scan(corpus, tmp_path / "whole", batch_tokens=40)
    for number in (5, 0, 8, 2, 1, 7, 4, 3, 6):
        with _backend.using(BACKENDS[number % 2].backend):
            done = scan_shard(corpus, tmp_path / "out", (number, 9), batch_tokens=40, threads=1 + number % 3)
        assert not done.was_there and not done.is_damaged()
        assert (done.summary is None) == (done.files == 0) == (not done.folder.exists())
    profile, summary = merge_shards(tmp_path / "out")
    assert profile.serialize() == whole.profile.serialize()
    assert (tmp_path / "out/profile.tap").read_bytes() == (tmp_path / "whole/profile.tap").read_bytes()
    for name in ("configuration", "corpus", "documents"):
        assert summary[name] == whole.summary[name]
    inputs = dict(summary["inputs"])
    assert inputs.pop("shards") == {"planned": 9, "finished": 9, "missing": []}
    assert inputs.pop("profiles") == 7
    assert inputs == whole.summary["inputs"]


def test_rows_are_those_of_the_scan(corpus, tmp_path):
    """Files of rows are numbered among all inputs, so that those of all shards fit into one folder."""
    scan(corpus, tmp_path / "whole")
    local.scan(corpus, tmp_path / "out", shards=3)
    wanted = {path.name: path.read_bytes() for path in (tmp_path / "whole/documents").iterdir()}
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").glob("shards/*/documents/*")} == wanted
    assert len(wanted) == 7


def test_rules_by_path_and_past_the_type_limit(corpus, tmp_path):
    (tmp_path / "rules.toml").write_text('[[rule]]\nlabel = "human_verified"\npath = "*/[abc].jsonl*"\n')
    options = {"provenance": tmp_path / "rules.toml", "max_types": 16, "documents": "none", "signals": "n_tokens,mattr"}
    whole = scan(corpus, **options)
    assert (
        not whole.profile.is_exact
        and whole.summary["provenance"]["corpus"]["labels"]["human_verified"]["documents"] == 18
    )
    profile, _ = local.scan(corpus, tmp_path / "out", shards=4, **options)
    assert profile.serialize() == whole.profile.serialize()


def test_what_is_done_is_found(corpus, tmp_path):
    options = {"documents": "none", "signals": "n_tokens"}
    first = scan_shard(corpus, tmp_path / "out", "1/3", **options)
    before = {path: path.stat().st_mtime_ns for path in first.folder.iterdir()}
    again = scan_shard(corpus, tmp_path / "out", "1/3", threads=1, **options)
    assert (again.was_there, again.folder, again.summary) == (True, first.folder, first.summary)
    local.scan(corpus, tmp_path / "out", shards=3, **options)
    assert {path: path.stat().st_mtime_ns for path in first.folder.iterdir()} == before


def test_a_killed_shard_is_scanned_again(corpus, tmp_path):
    """A process that dies in the middle leaves no results, and its folder to the next."""
    pipe = tmp_path / "h.jsonl"
    os.mkfifo(pipe)
    arguments = ["scan", corpus, pipe, "-o", tmp_path / "out", "--shard", "0/1", "--documents", "none"]
    line = [sys.executable, "-m", "textassay", *map(str, arguments)]
    with subprocess.Popen(line, stderr=subprocess.PIPE) as child:
        descriptor = os.open(pipe, os.O_WRONLY)  # opens once the scan reads
        child.send_signal(signal.SIGKILL)
        child.wait(60)
        os.close(descriptor)
    assert [p.name for p in (tmp_path / "out/shards").glob("*/*")] == [".partial"]
    with pytest.raises(InputError, match="none of the 1 shards in .* is finished"):
        merge_profiles([tmp_path / "out"])
    writer = threading.Thread(target=pipe.write_text, args=('{"text": "late"}\n',))
    writer.start()
    done = scan_shard([corpus, pipe], tmp_path / "out", "0/1", documents="none")
    writer.join()
    assert not done.was_there and done.summary["corpus"]["n_documents"] == sum(map(len, SHARD_TEXTS)) + 1


def test_another_scan_is_refused(corpus, tmp_path):
    out = tmp_path / "out"
    options = {"documents": "none", "signals": "n_tokens"}
    scan_shard(corpus, out, "0/3", **options)
    for change, message in (
        ({"signals": "n_tokens,mattr"}, "signals is .*n_tokens.* and .*mattr"),
        ({"max_types": 99}, "max_types is 16777216 and 99"),
        ({"id_field": "key", "entropy_floor": 2.0}, "entropy_floor is None and 2.0; id_field differ, too"),
        ({"documents": "jsonl"}, "documents is 'none' and 'jsonl'"),
    ):
        with pytest.raises(FolderError, match=message):
            scan_shard(corpus, out, "1/3", **(options | change))
    with pytest.raises(FolderError, match="divided into 3 shards and 4"):
        scan_shard(corpus, out, "1/4", **options)
    with pytest.raises(FolderError, match="holds shards of a scan; add to them with --shard"):
        scan(corpus, out, **options)
    os.utime(corpus / "a.jsonl", ns=(1, 1))
    with pytest.raises(FolderError, match="or have other times"):
        scan_shard(corpus, out, "1/3", **options)
    with pytest.raises(FolderError, match="holds no plan of shards, but a.jsonl, b.jsonl.zst, c.jsonl"):
        scan_shard(corpus, corpus, "0/3", **options)
    with pytest.raises(UsageError, match="one process"):
        scan_shard(corpus, out, "0/3", documents="memory")
    with pytest.raises(UsageError, match="standard input cannot be divided"):
        Plan([Input("-", 0, None, None)], check_settings(), 2)


def test_names_say_what_the_work_is(corpus):
    """Other settings, other files, another time: another name. The number of threads and of shards plays no part."""

    def names(count: int = 3, **options) -> dict[str, list[str]]:
        plan = make_plan(corpus, count, **({"documents": "none"} | options))
        return {one.name: [file.name for file in one.files] for one in plan.shards}

    before = names()
    assert len(before) == 3
    assert names(threads=7) == before
    common = set(names(5)) & set(before)
    assert common == {name for name, files in before.items() if files in names(5).values()}
    assert not set(names(tokens="char")) & set(before)
    os.utime(corpus / "g.jsonl", ns=(1, 1))
    (changed,) = set(before) - set(names())
    assert str(corpus / "g.jsonl") in before[changed]


def test_one_process_writes_the_plan(tmp_path):
    found: list[bool] = []
    threads = [threading.Thread(target=lambda n=n: found.append(create(tmp_path / "p", b"%d" % n))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [False] * 7 + [True]
    assert len((tmp_path / "p").read_bytes()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["p"]


@pytest.mark.parametrize(
    "change",
    [
        lambda plan: plan | {"more": 1},
        lambda plan: plan | {"schema": "textassay.plan/2"},
        lambda plan: plan | {"shards": [{"name": "../../../etc", "files": 1, "bytes": 1}]},
        lambda plan: plan | {"shards": [plan["shards"][0] | {"files": -1}]},
        lambda plan: plan | {"shards": [plan["shards"][0] | {"bytes": 1.5}]},
        lambda plan: plan | {"shards": [plan["shards"][0] | {"more": 1}]},
        lambda plan: plan | {"shards": 7},
        lambda plan: [],
    ],
)
def test_hostile_plans(corpus, tmp_path, change):
    make_plan(corpus, 3, documents="none").claim(tmp_path / "out")
    path = tmp_path / "out" / PLAN
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(FolderError, match="wanted a plan of shards"):
        PlanRecord.read(tmp_path / "out")


def test_shards_are_no_corpus(corpus, tmp_path):
    scan_shard(corpus, corpus / "audit", "0/3", documents="jsonl")
    with pytest.warns(InputWarning, match="audit holds the results of a scan: left out"):
        assert len(resolve_inputs(corpus)) == 7


# Sums of many


@pytest.fixture(scope="module")
def profiles(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("profiles")
    paths = []
    for number in range(150):
        profile = Profile("n_tokens", max_types=64, batch_tokens=8, detector=None)
        profile.update([f"w{number % 40} x{n} y" for n in range(number % 9)], detector=None, threads=1)
        paths.append(folder / f"{number}.tap")
        profile.save(paths[-1])
    return paths


@pytest.mark.parametrize(("fan_in", "threads"), [(2, 1), (7, 3), (64, 2), (149, 1), (150, 1), (1000, 2), (None, 3)])
def test_any_tree_gives_the_same_bytes(profiles, fan_in, threads, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    wanted = merge_profiles(profiles)[0].serialize()
    assert merge_profiles(profiles, fan_in=fan_in, threads=threads)[0].serialize() == wanted
    assert list(tmp_path.iterdir()) == [], "temporary files are left"


def test_a_level_has_as_many_files_as_said(profiles, tmp_path):
    """Nine to one, then nine to one; what has been added up is gone, the profiles themselves are not."""
    levels = []

    def run(jobs: list) -> None:
        levels.append([len(files) for files, _ in jobs])
        for files, target in jobs:
            merge_files(files, target)

    left = merge_levels(profiles, 9, tmp_path, run)
    assert levels == [[9] * 16 + [6], [9, 8]]
    assert sorted(tmp_path.iterdir()) == sorted(left) and len(left) == 2
    assert all(path.exists() for path in profiles)


def test_few_files_are_open_at_a_time(profiles, tmp_path):
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24));"
        "from textassay import merge_profiles;"
        "merge_profiles(sys.argv[2:], fan_in=50, threads=3)[0].save(sys.argv[1])"
    )
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 24
    subprocess.run([sys.executable, "-c", code, tmp_path / "sum.tap", *profiles], check=True, timeout=120)
    assert (tmp_path / "sum.tap").read_bytes() == merge_profiles(profiles)[0].serialize()


def test_a_damaged_profile_is_named(profiles, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    bad = tmp_path / "bad.tap"
    bad.write_bytes(profiles[8].read_bytes()[:-3])
    with pytest.raises(ProfileError, match="bad.tap: byte"):
        merge_profiles([*profiles[:40], bad], fan_in=4, threads=2)
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize("options", [{"fan_in": 1}, {"fan_in": 0}, {"threads": 0}])
def test_numbers_out_of_range(profiles, options):
    with pytest.raises(UsageError, match="wanted at least"):
        merge_profiles(profiles, **options)


# The command line


def test_job_array(corpus, tmp_path):
    """As `sbatch --array=1-3` would run it; one task is lost, named, and run again alone."""
    out, options = tmp_path / "out", ("--documents", "none", "--signals", "n_tokens", "-q")
    for number in (1, 3):
        done = command("scan", corpus, "-o", out, "--shard", "slurm", *options, **task(number, 1, 3, 3))
        assert done.returncode == 0, done.stderr
        assert "1 profile" not in done.stdout and f"written to {out}/shards/" in done.stderr
    done = command("merge", out, "-o", out, "--json")
    lost = make_plan(corpus, 3, documents="none", signals="n_tokens").shards[1]
    assert done.returncode == 3
    assert f"1 of 3 shards are missing: 1 ({lost.name})\n" in done.stderr
    missing = {"folder": str(out), "shard": 1, "name": lost.name, "files": len(lost.files), "bytes": lost.bytes}
    assert json.loads(done.stdout)["inputs"]["shards"] == {"planned": 3, "finished": 2, "missing": [missing]}
    assert command("scan", corpus, "-o", out, "--shard", "slurm/3", *options, **task(1, 1, 1, 1)).returncode == 0
    again = command("scan", corpus, "-o", out, "--shard", "1/3", "--json", *options)
    assert "shard 1/3 was finished before" in again.stderr and json.loads(again.stdout)["inputs"]["files"]
    done = command("merge", out, "-o", out, "--fan-in", "2", "-j", "2")
    assert done.returncode == 0 and "3 profiles" in done.stdout
    whole = scan(corpus, documents="none", signals="n_tokens").profile.serialize()
    assert (out / "profile.tap").read_bytes() == whole


def test_damage_in_a_shard_is_said(corpus, tmp_path):
    path = corpus / "f.jsonl.zst"
    path.write_bytes(path.read_bytes()[:-6])
    arguments = ("scan", corpus, "-o", tmp_path / "out", "--documents", "none")
    done = command(*arguments, "--shards", "3")
    assert done.returncode == 3 and "1 damaged file\n" in done.stderr and "f.jsonl.zst at byte" in done.stdout
    codes = [command(*arguments, "--shard", f"{n}/3").returncode for n in range(3)]
    assert sorted(codes) == [0, 0, 3], "also said of a shard that was finished before"


def test_a_shard_without_files(corpus, tmp_path):
    done = command("scan", corpus, "-o", tmp_path / "out", "--shard", "8/9")
    assert (done.returncode, done.stdout) == (0, "") and "shard 8/9 has no files" in done.stderr
    done = command("scan", corpus, "-o", tmp_path / "out", "--shard", "8/9", "--json")
    assert json.loads(done.stdout) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shard", "0/2"], "wanted -o OUT"),
        (["--shards", "2"], "wanted -o OUT"),
        (["--engine", "ray"], "wanted -o OUT"),
        (["--engine", "dask", "-o", "out"], "wanted one of local, ray"),
        (["--shard", "0/2", "--shards", "2", "-o", "out"], "wanted one or the other"),
        (["--shard", "2/2", "-o", "out"], "shard 2/2: wanted 0/n to n-1/n"),
        (["--shard", "0", "-o", "out"], "wanted i/n"),
        (["--address", "auto", "-o", "out"], "are for --engine ray"),
    ],
)
def test_usage_errors(corpus, options, message):
    done = command("scan", corpus, *options)
    assert done.returncode == 2 and message in done.stderr


def test_several_processes_at_once(corpus, tmp_path):
    """All tasks of an array begin at the same time, each of them with a folder that is not there yet."""
    line = [sys.executable, "-m", "textassay", "scan", corpus, "-o", tmp_path / "out", "--documents", "none", "--shard"]
    children = [subprocess.Popen([*line, f"{n}/3"], stdout=subprocess.DEVNULL) for n in range(3)]
    assert [child.wait(120) for child in children] == [0, 0, 0]
    assert merge_profiles([tmp_path / "out"])[0].serialize() == scan(corpus, documents="none").profile.serialize()


# The page


def test_the_page_says_what_is_there():
    root = Path(__file__).parent.parent
    page = (root / "docs/cluster.md").read_text("utf-8") + (root / "docs/sizing.md").read_text("utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", page):
        assert (root / "docs" / target).exists(), target
    helped = command("scan", "--help").stdout + command("merge", "--help").stdout
    for option in set(re.findall(r"(?<=[ `])--[a-z][a-z-]+", page)) - {"--array"}:
        assert option in helped, option


# Interrupted


def test_a_shard_that_was_begun_is_gone_on_with(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "LARGEST_SHARE", 1.0)
    options = {"batch_tokens": 1000, "report": False, "threads": 1}
    commits = {"checkpoint_seconds": 0.0, "should_stop": lambda: True}
    with pytest.raises(ScanInterrupted) as caught:
        local.scan(corpus, tmp_path / "out", shards=2, **options, **commits)
    assert caught.value.out == tmp_path / "out"
    found = scan_status(tmp_path / "out")
    assert (found["state"], found["shards"]) == ("stopped", {"finished": 0, "running": 0, "stopped": 1, "waiting": 1})
    assert found["files_total"] == len(SHARD_TEXTS) and found["bytes_total"] == sum(
        p.stat().st_size for p in corpus.iterdir()
    )
    local.scan(corpus, tmp_path / "out", shards=2, **options)
    found = scan_status(tmp_path / "out")
    assert (found["state"], found["files"], found["documents"]) == (
        "finished",
        len(SHARD_TEXTS),
        sum(map(len, SHARD_TEXTS)),
    )
    one = scan(corpus, tmp_path / "one", **options)
    assert (tmp_path / "out" / "profile.tap").read_bytes() == (tmp_path / "one" / "profile.tap").read_bytes()
    assert one.summary["inputs"]["documents"] == found["documents"]


def test_status_of_shards_for_a_person(corpus, tmp_path):
    scan_shard(corpus, tmp_path / "out", (0, 3), report=False)
    told = command("status", tmp_path / "out")
    assert told.returncode == 0 and "shards     1 finished, 2 waiting" in told.stdout
