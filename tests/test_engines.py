"""Engines: whoever runs the shards, the profile is that of one machine's scan, byte for byte. Run on a local Ray of two CPUs and by
datatrove's local executor, where these are installed.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from shard_texts import SHARD_TEXTS
from textassay import (
    Detector,
    Profile,
    ProfileError,
    Scanner,
    UsageError,
    build_anchor,
    merge_profiles,
    scan,
    scan_shard,
)
from textassay.engines import local
from textassay.errors import EngineError, FolderError, MissingPackageError, OutputError
from textassay.folder import OutputFolder
from textassay.scanning import Course
from textassay.shards import make_plan

OPTIONS = {"max_types": 1 << 12, "batch_tokens": 50}


def test_local(corpus, tmp_path):
    """Interrupted between two shards, it goes on where it was."""
    seen = []

    def interrupt(progress: object) -> None:
        seen.append(progress)
        if len(seen) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        local.scan(corpus, tmp_path / "out", shards=5, on_progress=interrupt, **OPTIONS)
    done = {path.parent.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("shards/*/manifest.json")}
    assert 0 < len(done) < 5
    profile, _ = local.scan(corpus, tmp_path / "out", shards=5, **OPTIONS)
    assert profile.serialize() == scan(corpus, **OPTIONS).profile.serialize()
    assert Profile.load(tmp_path / "out/profile.tap").digest() == profile.digest()
    now = {path.parent.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("shards/*/manifest.json")}
    assert len(now) == 5 and {name: now[name] for name in done} == done


@pytest.mark.parametrize("engine", ["ray", "datatrove"])
def test_what_is_not_installed_is_said(engine):
    code = f"import sys; sys.modules[{engine!r}] = None; import textassay.engines.{engine}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"MissingPackageError: the engine {engine} needs" in done.stderr
    assert f"pip install 'textassay[{engine}]'" in done.stderr
    assert issubclass(MissingPackageError, UsageError) and issubclass(MissingPackageError, ImportError)


# Ray

quiet_ray = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def on_ray():
    """The engine, with a Ray of two CPUs."""
    ray = pytest.importorskip("ray")
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    from textassay.engines import ray as engine

    yield engine
    ray.shutdown()


def holder(path: Path) -> int:
    """The process that has a file open, this one aside. There is one soon."""
    for _ in range(3000):
        for process in Path("/proc").glob("[0-9]*"):
            try:
                names = [os.readlink(link) for link in (process / "fd").iterdir()]
            except OSError:
                continue
            if str(path) in names and int(process.name) != os.getpid():
                return int(process.name)
        time.sleep(0.01)
    raise AssertionError(f"nobody opens {path}")


def kill(process: int, pipe: Path) -> None:
    """Returns once nobody reads the pipe any more: a process takes its time to die."""
    os.kill(process, signal.SIGKILL)
    with suppress(OSError):
        while True:
            os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
            time.sleep(0.001)


def feed(path: Path, text: str) -> None:
    """Writes a pipe once somebody reads it."""
    with path.open("w") as pipe:
        pipe.write(text)


@quiet_ray
def test_ray(on_ray, corpus, tmp_path):
    """Two workers, more shards than workers, a tree of tasks: the same bytes, and the rows of one scan."""
    seen = []
    options = OPTIONS | {"detector": Detector.default().at(0.05)}
    profile, summary = on_ray.scan(
        corpus, tmp_path / "out", threads=1, shards=6, fan_in=2, on_progress=seen.append, **options
    )
    whole = scan(corpus, tmp_path / "whole", **options)
    assert profile.serialize() == whole.profile.serialize()
    assert (tmp_path / "out/profile.tap").read_bytes() == (tmp_path / "whole/profile.tap").read_bytes()
    assert summary["inputs"]["shards"] == {"planned": 6, "finished": 6, "missing": []}
    rows = {path.name: path.read_bytes() for path in (tmp_path / "whole/documents").iterdir()}
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").glob("shards/*/documents/*")} == rows
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        *("manifest.json", "plan.json", "profile.tap", "report.html", "shards", "summary.json")
    ]
    total = sum(path.stat().st_size for path in corpus.iterdir())
    assert (seen[0].files, seen[0].n_files, seen[0].bytes_total) == (0, 7, total)
    assert (seen[-1].files, seen[-1].bytes_compressed, seen[-1].documents) == (7, total, sum(map(len, SHARD_TEXTS)))


@quiet_ray
def test_relative_paths_anchor_and_rules(on_ray, corpus, tmp_path, monkeypatch):
    """Workers have another current folder; settings arrive as paths or as they are."""
    monkeypatch.chdir(tmp_path)
    build_anchor(corpus / "g.jsonl", "g.anchor", min_count=1)
    Path("rules.toml").write_text('[[rule]]\nlabel = "human_verified"\npath = "*/[abc].*"\n')
    options = OPTIONS | {"anchor": "g.anchor", "provenance": "rules.toml", "documents": "none"}
    profile, _ = on_ray.scan("in", "out", threads=1, shards=3, **options)
    assert profile.serialize() == scan("in", **options).profile.serialize()
    again, _ = on_ray.scan("in", "out", threads=1, **options)
    assert again.serialize() == profile.serialize(), "as many shards as before"


@quiet_ray
def test_a_killed_worker_changes_nothing(on_ray, corpus, tmp_path):
    """It dies in the middle of a shard, holding the sum of others. A pipe among the inputs tells when and who."""
    pipe, text = tmp_path / "h.jsonl", '{"text": "the pipe"}\n'
    os.mkfifo(pipe)
    killed = []

    def kill_and_feed() -> None:
        with pipe.open("w"):
            killed.append(holder(pipe))
            kill(killed[0], pipe)
        feed(pipe, text)

    thread = threading.Thread(target=kill_and_feed)
    thread.start()
    profile, summary = on_ray.scan([corpus, pipe], tmp_path / "out", threads=1, shards=4, documents="none", **OPTIONS)
    thread.join(60)
    assert killed and not thread.is_alive()
    pipe.unlink()
    pipe.write_text(text)
    assert profile.serialize() == scan([corpus, pipe], documents="none", **OPTIONS).profile.serialize()
    assert summary["inputs"]["shards"]["finished"] == 4 and not (tmp_path / "out/.partial").exists()


@quiet_ray
def test_a_shard_that_kills_its_workers(on_ray, corpus, tmp_path, monkeypatch):
    """Given up after some attempts, by name. What the others did stays."""
    monkeypatch.setattr(on_ray, "ATTEMPTS", 2)
    pipe = tmp_path / "h.jsonl"
    os.mkfifo(pipe)

    def kill_twice() -> None:
        for _ in range(2):
            with pipe.open("w"):
                kill(holder(pipe), pipe)

    thread = threading.Thread(target=kill_twice)
    thread.start()
    with pytest.raises(EngineError, match=r"shard \d \([0-9a-f]{32}\) failed 2 times: its worker died"):
        on_ray.scan([corpus, pipe], tmp_path / "out", threads=1, shards=4, documents="none", **OPTIONS)
    thread.join(60)
    assert not (tmp_path / "out/.partial").exists() and not (tmp_path / "out/profile.tap").exists()
    assert list((tmp_path / "out").glob("shards/*/manifest.json"))


@quiet_ray
def test_a_driver_that_dies(on_ray, corpus, tmp_path):
    """The next one scans only what is not finished."""
    pipe, text = tmp_path / "h.jsonl", '{"text": "the pipe"}\n'
    os.mkfifo(pipe)
    code = (
        "import sys; from textassay.engines.ray import scan;"
        f"scan(sys.argv[1:3], sys.argv[3], threads=1, shards=4, documents='none', **{OPTIONS})"
    )
    out = tmp_path / "out"
    driver = subprocess.Popen([sys.executable, "-c", code, corpus, pipe, out], stderr=subprocess.DEVNULL)
    with pipe.open("w"):  # the shard with the pipe is the smallest, and so the last
        worker = holder(pipe)
        driver.send_signal(signal.SIGKILL)
        driver.wait(60)
        kill(worker, pipe)
    done = {path: path.stat().st_mtime_ns for path in out.glob("shards/*/manifest.json")}
    assert 2 <= len(done) <= 3
    thread = threading.Thread(target=feed, args=(pipe, text))
    thread.start()
    profile, _ = on_ray.scan([corpus, pipe], out, threads=1, documents="none", **OPTIONS)
    thread.join(60)
    assert {path: path.stat().st_mtime_ns for path in done} == done
    pipe.unlink()
    pipe.write_text(text)
    assert profile.serialize() == scan([corpus, pipe], documents="none", **OPTIONS).profile.serialize()


@quiet_ray
def test_a_folder_that_another_process_writes_to(on_ray, corpus, tmp_path, monkeypatch):
    """That passes, and the shard is tried again. What does not pass is said at once."""
    monkeypatch.setattr(on_ray, "FIRST_PAUSE_SECONDS", 0.3)
    out, options = tmp_path / "out", OPTIONS | {"documents": "none"}
    plan = make_plan(corpus, 2, **options)
    plan.claim(out)
    busy = OutputFolder(out / "shards" / plan.shards[1].name)
    timer = threading.Timer(2.0, busy.discard)
    timer.start()
    profile, _ = on_ray.scan(corpus, out, threads=1, **options)
    timer.join()
    assert profile.serialize() == scan(corpus, **options).profile.serialize()
    plan = make_plan(corpus, 2, **options | {"tokens": "char"})
    plan.claim(tmp_path / "other")
    (tmp_path / "other/shards" / plan.shards[0].name).mkdir(parents=True)
    (tmp_path / "other/shards" / plan.shards[0].name / "letter.txt").write_text("dear")
    with pytest.raises(EngineError, match=r"shard 0 \([0-9a-f]*\) failed: .*not textassay's \(letter.txt\)"):
        on_ray.scan(corpus, tmp_path / "other", threads=1, tokens="char", **options)


@quiet_ray
def test_a_damaged_profile_ends_the_run(on_ray, corpus, tmp_path):
    """A finished shard whose profile has lost its end, met by a task or by the driver."""
    out, options = tmp_path / "out", OPTIONS | {"documents": "none"}
    for number in range(7):
        scan_shard(corpus, out, (number, 7), **options)
    bad = next(out.glob("shards/*/profile.tap"))
    bad.write_bytes(bad.read_bytes()[:-3])
    with pytest.raises(EngineError, match=r"adding up failed: [\s\S]*profile.tap: byte"):
        on_ray.scan(corpus, out, threads=1, fan_in=4, **options)
    with pytest.raises(ProfileError, match=r"profile.tap: byte"):
        on_ray.scan(corpus, out, threads=1, fan_in=16, **options)
    assert not (out / "profile.tap").exists() and not (out / ".partial").exists()


@quiet_ray
def test_two_drivers(on_ray, corpus, tmp_path):
    make_plan(corpus, 2, **OPTIONS).claim(tmp_path / "out")
    other = OutputFolder(tmp_path / "out", beside_shards=True)
    with pytest.raises(FolderError, match="another process is writing"):
        on_ray.scan(corpus, tmp_path / "out", threads=1, **OPTIONS)
    other.discard()


@quiet_ray
def test_a_cluster_that_is_too_small(on_ray, corpus, tmp_path):
    for wanted in ({"threads": 64}, {"memory": 1 << 50}, {"max_types": 1 << 36}):
        with pytest.raises(UsageError, match="no node of this cluster has"):
            on_ray.scan(corpus, tmp_path / "out", **OPTIONS | {"threads": 1} | wanted)
    with pytest.raises(UsageError, match="fan_in=1"):
        on_ray.scan(corpus, tmp_path / "out", fan_in=1, **OPTIONS)


@quiet_ray
def test_workers_that_are_not_like_the_driver(on_ray, corpus, tmp_path):
    plan = make_plan(corpus, 1, documents="none")
    options, described = {"documents": "none", "threads": 1}, plan.settings.described()
    found = on_ray.Worker(options, Course(), described).scan(plan.shards[0], tmp_path / "out", 0)
    assert "wanted one that all nodes share" in found["failure"] and not found["is_transient"]
    plan.claim(tmp_path / "out")
    found = on_ray.Worker(options, Course(), described | {"detector": "x"}).scan(plan.shards[0], tmp_path / "out", 0)
    assert "wanted one textassay everywhere" in found["failure"] and not found["is_transient"]
    assert "documents" in on_ray.Worker(options, Course(), described).scan(plan.shards[0], tmp_path / "out", 0)


@quiet_ray
def test_what_passes(on_ray):
    def wrapped(number: int) -> OutputError:
        error = OutputError("cannot write")
        error.__cause__ = OSError(number, os.strerror(number))
        return error

    import errno

    for number in (errno.ESTALE, errno.EIO, errno.ETIMEDOUT):
        assert on_ray.is_transient(OSError(number, "")) and on_ray.is_transient(wrapped(number))
    for number in (errno.ENOSPC, errno.EACCES, errno.EDQUOT, errno.EROFS):
        assert not on_ray.is_transient(OSError(number, "")) and not on_ray.is_transient(wrapped(number))
    assert not on_ray.is_transient(UsageError("no")) and not on_ray.is_transient(FolderError("holds files"))


@quiet_ray
def test_ray_by_command(on_ray, corpus, tmp_path):
    """On a cluster that is there."""
    import ray

    address = ray.get_runtime_context().gcs_address
    arguments = ["scan", corpus, "-o", tmp_path / "out", "--engine", "ray", "--address", address, "-j", "1"]
    line = [
        sys.executable,
        "-m",
        "textassay",
        *map(str, arguments),
        "--memory",
        "500M",
        "--documents",
        "none",
        "--json",
    ]
    done = subprocess.run(line, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["corpus"] == scan(corpus).summary["corpus"] and found["inputs"]["shards"]["finished"] == 7


# datatrove


@pytest.fixture
def datatrove():
    pytest.importorskip("datatrove")
    from textassay.engines import datatrove as engine

    return engine


def run_pipeline(steps: list, tasks: int, logs: Path, workers: int = 1) -> None:
    from datatrove.executor.local import LocalPipelineExecutor

    LocalPipelineExecutor(steps, tasks=tasks, workers=workers, logging_dir=str(logs)).run()


@pytest.mark.filterwarnings("ignore")
def test_datatrove_scans_files(datatrove, corpus, tmp_path):
    """A shard for each task, in processes of their own; run again, nothing is scanned."""
    step = datatrove.ScanFiles(str(corpus), str(tmp_path / "out"), **OPTIONS)
    run_pipeline([step], 3, tmp_path / "logs", workers=2)
    profile, _ = merge_profiles([tmp_path / "out"])
    assert profile.serialize() == scan(corpus, **OPTIONS).profile.serialize()
    stats = json.loads((tmp_path / "logs/stats.json").read_text())
    assert stats[0]["stats"]["documents"]["total"] == sum(map(len, SHARD_TEXTS))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    run_pipeline([step], 3, tmp_path / "other-logs")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


@pytest.mark.filterwarnings("ignore")
def test_datatrove_taps_documents(datatrove, corpus, tmp_path):
    """What comes out is what went in, with signals; the profile is that of the documents."""
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers.jsonl import JsonlWriter

    steps = [
        JsonlReader(str(corpus), glob_pattern="*.jsonl"),
        datatrove.TapDocuments(str(tmp_path / "taps"), batch_documents=7, **OPTIONS),
        JsonlWriter(str(tmp_path / "passed"), compression=None),
    ]
    run_pipeline(steps, 2, tmp_path / "logs")
    taps = sorted((tmp_path / "taps").iterdir())
    assert [path.name for path in taps] == ["00000-of-00002.tap", "00001-of-00002.tap"]
    texts = [text for one in SHARD_TEXTS[::2] for text in one]
    lines = [json.loads(line) for path in sorted((tmp_path / "passed").iterdir()) for line in path.open()]
    assert sorted(line["text"] for line in lines) == sorted(texts)
    scanner = Scanner(**OPTIONS)
    rows = {text: row for text, row in zip(texts, scanner.update(texts).rows(), strict=True)}
    for line in lines:
        found = {n.removeprefix("textassay_"): v for n, v in line["metadata"].items() if n.startswith("textassay_")}
        assert found == rows[line["text"]] and "mattr" in found
    merged = merge_profiles(taps)[0]
    assert merged.totals() | {"n_batches": 0} == scanner.profile.totals() | {"n_batches": 0}
    assert merged.top(1000) == scanner.profile.top(1000)


def test_a_tap_holds_back_one_batch(datatrove, tmp_path):
    """Documents come out while others are still to come, and unchanged where nothing is to be added."""
    from datatrove.data import Document

    taken = []

    def source():
        for number in range(10):
            taken.append(number)
            yield Document(text=f"word{number}", id=str(number), metadata={"a": number})

    step = datatrove.TapDocuments(tmp_path / "taps", batch_documents=4, add_to_metadata=False)
    passing = step.run(source(), 1, 2)
    first = next(passing)
    assert (first.id, first.metadata, len(taken)) == ("0", {"a": 0}, 4)
    assert [document.id for document in passing] == [str(number) for number in range(1, 10)]
    assert Profile.load(tmp_path / "taps/00001-of-00002.tap").totals()["n_documents"] == 10


def test_steps_pass_on_what_comes(datatrove, corpus, tmp_path):
    from datatrove.data import Document

    documents = [Document(text="a", id="1")]
    step = datatrove.ScanFiles(corpus, tmp_path / "out", documents="none")
    assert list(step.run(iter(documents))) == documents
    assert not scan_shard(corpus, tmp_path / "out", "0/1", documents="none").is_damaged()
