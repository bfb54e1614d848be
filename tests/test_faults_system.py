"""Faults of the machine and of file systems: docs/faults-system.md says what is to happen."""

import errno
import gzip
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from faulted import Fault, FaultyMachine, has_compiler
from faulted_commands import CALLS, CASES, SCAN, WORK, Tree, Trial, sampled, write_inputs
from killed_scans import frames_of, lines_of, results_of
from textassay import FolderError, InputError, OutputError, ScanInterrupted, scan, scanning
from textassay.atomic import create, replacing
from textassay.documents import JsonRows
from textassay.errors import InputWarning
from textassay.inputs import resolve_inputs
from textassay.scan_settings import check_settings

CHOICES = {"threads": 2, "report": False, "detector": None, "batch_tokens": 2000}
LONGEST = b"n" * (255 - len(b".jsonl.zst")) + b".jsonl.zst"
NAMES = [b"not\xff\xfeutf-8.jsonl.zst", b"new\nline.jsonl.zst", b"esc\x1b[31m.jsonl.zst", LONGEST]
NAMES += ["ü".encode() * 122 + b".jsonl.zst"]
EACH = ("bytes_parsed", "bytes_malformed", "bytes_blank", "bytes_too_long")


def records(seed, count):
    return [line for line in lines_of(seed, count) if line.startswith(b'{"id')]


def textassay(*command, **options):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "200", "TEXTASSAY_NUMBA_CACHE": "1"}
    arguments = [os.fsencode(one) if isinstance(one, (bytes, os.PathLike)) else str(one) for one in command]
    return subprocess.run(
        [sys.executable, "-m", "textassay", *arguments], capture_output=True, env=environment, check=False, **options
    )


def assert_accounted(result):
    for outcome in result.outcomes:
        assert sum(outcome[name] for name in EACH) == outcome["bytes"]
    assert result.summary["inputs"]["balanced"]
    assert sum(result.summary["inputs"]["accounted"].values()) == result.summary["inputs"]["bytes"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    write_inputs(folder / "inputs")
    return folder


@pytest.fixture(scope="module")
def machine(place):
    if not has_compiler():
        pytest.skip("wanted Linux and a C compiler; test_resume.py lets calls fail in Python")
    faulty = FaultyMachine(place / "machine", place / WORK / "tmp")
    yield faulty
    faulty.close()


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "a.jsonl.zst").write_bytes(frames_of(records(1, 60), 20))
    (folder / "b.jsonl").write_bytes(b"".join(records(2, 60)))
    (folder / "c.jsonl.gz").write_bytes(gzip.compress(b"".join(records(3, 60))))
    return folder


# Calls that fail: bench/fail_calls.py tries all of them


@pytest.mark.parametrize("backend", ["native", "numba"])
def test_a_scan_whose_calls_fail(machine, place, backend):
    trial = Trial(machine, place / "inputs", place, CASES["scan, parquet"], True, backend)
    for kind, most in {"write": 3, "rename": 3, "sync": 2, "open": 2}.items():
        for number in sampled(trial.calls(kind), most if backend == "native" else 1):
            assert list(trial.wrong(Fault(kind, number, CALLS[kind]))) == [], (kind, number)


@pytest.mark.parametrize(
    ("name", "faults"),
    [
        ("scan, dolma", {"write": 1, "rename": 1}),
        ("merge", {"write": 1, "rename": 2}),
        ("filter", {"write": 1, "rename": 2}),
        ("simulate", {"sync": 1, "rename": 1}),
        ("tail weights", {"write": 1, "rename": 2}),
        ("anchor build", {"write": 2, "rename": 1}),
        ("sample", {"write": 1, "sync": 1}),
        ("calibrate", {"write": 2, "rename": 1}),
        ("scan, a shard", {"link": 1, "mkdir": 1}),
    ],
)
def test_commands_whose_calls_fail(machine, place, name, faults):
    trial = Trial(machine, place / "inputs", place, CASES[name], True, "native")
    for kind, most in faults.items():
        calls = trial.calls(kind)
        assert calls > 0
        for number in sampled(calls + 1, most + 1)[1:]:
            number = min(number, calls)
            assert list(trial.wrong(Fault(kind, number, CALLS[kind], kind == "write"))) == [], (kind, number)


def test_a_folder_that_is_read_only(machine, place):
    work = place / WORK
    shutil.rmtree(work, ignore_errors=True)
    (work / "tmp").mkdir(parents=True)
    for kind in ("mkdir", "open"):
        done = machine.run(
            *("scan", place / "inputs/documents", "-o", work / "out", *SCAN),
            below=work,
            fault=Fault(kind, 1, errno.EROFS, True),
        )
        assert done.code == 4 and done.stderr.count("\n") == 1
        assert f"cannot write to {work / 'out'}: Read-only file system" in done.stderr


def test_results_move_within_their_folder(machine, place):
    """OUT may be another file system than its parent, the inputs and the temporary folder: nothing is renamed into it."""
    work, out = place / WORK, place / WORK / "out"
    shutil.rmtree(work, ignore_errors=True)
    out.mkdir(parents=True)
    (work / "tmp").mkdir()
    command = ("scan", place / "inputs/documents", "-o", out, *SCAN, "--checkpoint-seconds", "3600")
    within = machine.run(*command, below=out, fault=Fault("rename")).calls
    shutil.rmtree(out)
    out.mkdir()
    assert machine.run(*command, below=place, fault=Fault("rename")).calls == within > 0


# Reads that fail, give little, are interrupted


@pytest.mark.parametrize("name", ["native", "numba"])
def test_short_and_interrupted_reads_change_nothing(machine, place, corpus, name):
    work = place / WORK
    found = []
    for reads in ((0, False), (97, False), (1000, True)):
        shutil.rmtree(work, ignore_errors=True)
        (work / "tmp").mkdir(parents=True)
        done = machine.run("scan", corpus, "-o", work / "out", *SCAN, below=corpus, backend=name, reads=reads)
        assert done.code == 0, done.stderr
        found.append(Tree.of(work).files)
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("name", ["native", "numba"])
@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.zst", ".jsonl.gz", ".parquet"])
def test_a_read_that_fails_is_a_damage(machine, place, tmp_path, name, suffix):
    folder, work = tmp_path / "documents", place / WORK
    folder.mkdir()
    write_large(folder / f"a{suffix}")
    (folder / "b.jsonl").write_bytes(b"".join(records(2, 20)))
    shutil.rmtree(work, ignore_errors=True)
    (work / "tmp").mkdir(parents=True)
    below = folder / "part"
    below.mkdir()
    (folder / f"a{suffix}").rename(below / f"a{suffix}")
    done = machine.run(
        *("scan", folder, "-o", work / "out", "--json", *SCAN),
        below=below,
        fault=Fault("read", 4, errno.EIO, True),
        backend=name,
    )
    assert done.code == 3 and "Traceback" not in done.stderr, done.stderr
    inputs = json.loads(done.stdout)["inputs"]
    assert inputs["balanced"] and inputs["files_damaged"] == 1
    (damaged,) = inputs["damaged"]
    assert damaged["file"].endswith(f"a{suffix}") and "nput/output error" in damaged["reason"]
    assert sum(inputs["accounted"][name] for name in EACH) == inputs["bytes"] > 0


def write_large(path):
    lines = [line for seed in range(8) for line in records(seed, 900)]
    data = b"".join(lines)
    if path.suffix == ".parquet":
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        table = pyarrow.table({"text": [json.loads(line)["text"] for line in lines]})
        parquet.write_table(table, path, row_group_size=500, compression="none")
    elif path.suffix == ".zst":
        path.write_bytes(frames_of(lines, 300))
    else:
        path.write_bytes(gzip.compress(data, 1) if path.suffix == ".gz" else data)


@pytest.mark.parametrize("name", ["native", "numba"])
def test_a_file_that_may_not_be_read(machine, place, corpus, name):
    work = place / WORK
    shutil.rmtree(work, ignore_errors=True)
    (work / "tmp").mkdir(parents=True)
    done = machine.run(
        *("scan", corpus, "--json", *SCAN),
        below=corpus / "b.jsonl",
        fault=Fault("open", 1, errno.EACCES, True),
        backend=name,
    )
    assert done.code == 3
    (damaged,) = json.loads(done.stdout)["inputs"]["damaged"]
    assert damaged["status"] == "unreadable" and damaged["reason"] == "Permission denied"
    assert damaged["file"].endswith("b.jsonl")


@pytest.mark.parametrize("name", ["native", "numba"])
def test_no_more_descriptors_is_no_damage(machine, place, corpus, name):
    work = place / WORK
    shutil.rmtree(work, ignore_errors=True)
    (work / "tmp").mkdir(parents=True)
    command = ("scan", corpus, "-o", work / "out", *SCAN)
    done = machine.run(*command, below=corpus / "b.jsonl", fault=Fault("open", 1, errno.EMFILE, True), backend=name)
    assert done.code == 4 and "b.jsonl" in done.stderr and "Too many open files" in done.stderr
    assert machine.run(*command, below=work, backend=name).code == 0


# Memory


def test_allocations_that_fail(machine, place):
    """Of the compiled module and of zstd, zlib and simdjson for it."""
    trial = Trial(machine, place / "inputs", place, CASES["scan, jsonl"], True, "native")
    for number in sampled(trial.calls("allocate"), 12):
        assert list(trial.wrong(Fault("allocate", number, errno.ENOMEM))) == [], number


def test_rows_that_could_not_be_closed_are_let_go_of():
    rows = JsonRows(Path("/dev/full"), {})
    rows._add_line("{}\n")
    with pytest.raises(OSError, match="No space left"):
        rows.close()
    rows.abandon()


# Files that change


def changed_between(corpus, change, **more):
    """A scan of inputs that are changed after they were named and before they are read."""
    files = resolve_inputs(corpus)
    change(corpus / "b.jsonl")
    return scanning.scan_files(files, check_settings(**CHOICES | {"documents": "none", "bigrams": False} | more))


def shrink(path):
    path.write_bytes(path.read_bytes()[:1000])


def grow(path):
    with path.open("ab") as stream:
        stream.write(b"".join(records(9, 5)))


def replace(path):
    other = path.with_name("other")
    other.write_bytes(bytes(reversed(path.read_bytes())))
    os.utime(other, ns=(1, 1))
    other.rename(path)


@pytest.mark.parametrize("change", [shrink, grow, replace])
def test_a_file_that_changes_is_named(backend, corpus, change):
    result = changed_between(corpus, change)
    assert_accounted(result)
    (damaged,) = result.summary["inputs"]["damaged"]
    assert damaged["file"].endswith("b.jsonl") and "changed while it was read" in damaged["reason"]
    assert [outcome["status"] for outcome in result.outcomes] == ["ok", "damaged", "ok"]
    assert result.outcomes[1]["bytes"] == (corpus / "b.jsonl").stat().st_size
    assert any("changed while it was read" in error["reason"] for error in result.errors)
    assert result.is_damaged()


def test_a_file_that_vanishes_is_named(backend, corpus):
    result = changed_between(corpus, Path.unlink)
    assert_accounted(result)
    (damaged,) = result.summary["inputs"]["damaged"]
    assert (damaged["status"], damaged["reason"]) == ("unreadable", "No such file or directory")


def test_a_file_that_vanishes_after_it_was_opened(backend, corpus, monkeypatch):
    def gone(file):
        return "changed while it was read: No such file or directory" if file.name.endswith("b.jsonl") else None

    whole = scan(corpus, **CHOICES)
    monkeypatch.setattr(scanning, "change_of", gone)
    result = scan(corpus, **CHOICES)
    assert result.profile.serialize() == whole.profile.serialize()
    assert result.summary["inputs"]["files_damaged"] == 1


@pytest.mark.parametrize("change", [shrink, grow, replace, Path.unlink])
def test_a_file_that_changes_before_the_second_pass(backend, corpus, monkeypatch, change):
    """Words and 2-grams are then not of the same text."""
    count_bigrams = scanning._Job._count_bigrams

    def changed_before(job):
        change(corpus / "b.jsonl")
        return count_bigrams(job)

    words = scan(corpus, **CHOICES | {"documents": "none"})
    monkeypatch.setattr(scanning._Job, "_count_bigrams", changed_before)
    result = scan(corpus, **CHOICES | {"documents": "none", "bigrams": True})
    assert result.profile.serialize() == words.profile.serialize()
    (damaged,) = result.summary["inputs"]["damaged"]
    reason = "in the second pass, for 2-grams, changed while it was read: "
    assert damaged["file"].endswith("b.jsonl") and damaged["reason"].startswith(reason)
    assert result.is_damaged() and f"damaged: {damaged['reason']}" in [error["reason"] for error in result.errors]


# Names


@pytest.mark.parametrize("form", ["parquet", "jsonl", "dolma", "none"])
def test_strange_names(tmp_path, form):
    """Also of a scan that is stopped, and so has parts of rows."""
    folder, out = os.fsencode(tmp_path) + b"/documents", os.fsencode(tmp_path) + b"/out\xff\n" + b"o" * 245
    os.mkdir(folder)
    for number, name in enumerate(NAMES):
        with open(folder + b"/" + name, "wb") as stream:
            stream.write(frames_of(records(number, 200), 20))
    choices = CHOICES | {"documents": form, "checkpoint_seconds": 0.0}
    whole = scan(folder.decode("utf-8", "surrogateescape"), tmp_path / "whole", **choices)
    assert_accounted(whole)
    assert not whole.is_damaged() and len(whole.inputs) == len(NAMES)
    with suppress(ScanInterrupted):
        polls = iter([False, False])
        scan(os.fsdecode(folder), os.fsdecode(out), **choices, should_stop=lambda: next(polls, True))
    scan(os.fsdecode(folder), os.fsdecode(out), **choices)
    assert results_of(Path(os.fsdecode(out))) == results_of(tmp_path / "whole")
    if form == "dolma":
        assert sorted(os.listdir(os.fsencode(tmp_path) + b"/whole/attributes/textassay")) == sorted(NAMES)
    names = {
        one["path"].rpartition("documents/")[2]
        for one in json.loads((tmp_path / "whole/manifest.json").read_bytes())["inputs"]
    }
    assert names == {name.decode("utf-8", "backslashreplace") for name in NAMES}


def test_commands_with_strange_names(machine, place):
    work = place / WORK
    shutil.rmtree(work, ignore_errors=True)
    (work / "tmp").mkdir(parents=True)
    (work / "documents").mkdir()
    (work / "documents" / os.fsdecode(NAMES[0])).write_bytes(frames_of(records(1, 60), 20))

    def at(name):
        return os.fsencode(work) + b"/" + name

    out, long, documents = at(b"out\xff\n"), at(b"\xff\n" + b"x" * 253), at(b"documents")
    for command, codes in (
        (("scan", documents, "-o", out, *SCAN), (0,)),
        (("gate", out, "-o", at(b"gate\xff"), "--junit", long, "--page", at(b"page\xff")), (0, 1)),
        (("merge", out, "-o", at(b"merged\xff")), (0,)),
        (("compare", out, at(b"merged\xff"), "-o", at(b"compared\xff")), (0,)),
        (("filter", documents, "--scan", out, "-o", at(b"filtered\xff"), "--hold", "n_tokens < 9", "-q"), (0,)),
        (("sample", documents, "--scan", out, "-n", "5", "-o", long, "-q"), (0,)),
        (("anchor", "build", documents, "-o", at(b"\xfe\n" + b"a" * 253), "-q"), (0,)),
        (("status", out), (0,)),
        (("scan", at(b"no\xff\nwhere")), (2,)),
    ):
        done = machine.run(*command, below=work)
        assert done.code in codes and "Traceback" not in done.stderr, (command, done.stderr)
        assert done.stderr.count("\n") == done.stderr.count("textassay: ")
    assert r"/no\xff\nwhere: no such file or folder" in done.stderr
    assert not [name for name in os.listdir(work) if name.startswith(".")]


# What is no file, and what is a file twice


def test_what_is_no_file_is_left_out_of_a_folder(backend, corpus):
    os.mkfifo(corpus / "fifo.jsonl")
    (corpus / "folder.jsonl.zst").mkdir()
    (corpus / "folder.jsonl.zst" / "d.jsonl").write_bytes(b'{"text": "one more"}\n')
    (corpus / "loop").symlink_to(corpus)
    listening = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(corpus)  # a socket's path has 107 bytes at most
    try:
        listening.bind("socket.jsonl")
    finally:
        os.chdir(here)
    with listening, pytest.warns(InputWarning) as warned:
        result = scan(corpus, **CHOICES)
    assert {str(one.message).rpartition("/")[2] for one in warned} == {
        "fifo.jsonl is no regular file: left out",
        "socket.jsonl is no regular file: left out",
    }
    assert_accounted(result)
    assert [Path(file.name).name for file in result.inputs] == ["a.jsonl.zst", "b.jsonl", "c.jsonl.gz", "d.jsonl"]


def test_a_file_by_several_names_is_scanned_once(backend, corpus):
    os.link(corpus / "a.jsonl.zst", corpus / "hard.jsonl.zst")
    (corpus / "soft.jsonl.zst").symlink_to("a.jsonl.zst")
    with pytest.warns(InputWarning, match="is the same file as"):
        result = scan([corpus, corpus / "../corpus/a.jsonl.zst"], **CHOICES)
    assert len(result.inputs) == 3


def test_a_link_that_leads_to_itself(corpus):
    (corpus / "loop.jsonl").symlink_to("loop.jsonl")
    with pytest.raises(InputError, match="loop.jsonl: Too many levels of symbolic links"):
        scan(corpus, **CHOICES)


def test_pipes_and_devices_that_are_named(backend, tmp_path, corpus):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    data = (corpus / "b.jsonl").read_bytes()
    writer = threading.Thread(target=fifo.write_bytes, args=(data,))
    writer.start()
    result = scan([fifo, "/dev/null"], **CHOICES)
    writer.join()
    assert_accounted(result)
    assert result.summary["inputs"]["bytes"] == len(data) and not result.is_damaged()
    with socket.socket(socket.AF_UNIX) as listening:
        os.chdir(tmp_path)
        listening.bind("socket")
        (outcome,) = scan("socket", **CHOICES).outcomes
    assert outcome["status"] == "unreadable" and outcome["reason"] == "No such device or address"


def test_a_device_without_end_takes_no_memory(backend):
    """One line that never ends is skipped as it comes."""
    begun = time.monotonic()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ScanInterrupted):
        scan("/dev/zero", **CHOICES, max_record_bytes=1 << 20, should_stop=lambda: time.monotonic() > begun + 1)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + (300 << 10)


def test_devices_are_written_to_and_not_replaced(tmp_path):
    with pytest.raises(OutputError, match="cannot write to /dev/full: No space left"), replacing("/dev/full") as stream:
        stream.write(b"x")
    with replacing("/dev/null") as stream:
        stream.write(b"x")
    for name in ("/dev/full", "/dev/null"):
        assert Path(name).is_char_device()
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    found = []
    reader = threading.Thread(target=lambda: found.append(fifo.read_bytes()))
    reader.start()
    with replacing(fifo) as stream:
        stream.write(b"whole")
    reader.join()
    assert found == [b"whole"] and fifo.is_fifo()


def test_of_a_link_the_file_is_replaced(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("file")
    with replacing(tmp_path / "link") as stream:
        stream.write(b"new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "file").read_bytes() == b"new"


@pytest.mark.parametrize("name", ["n" * 255, os.fsdecode(b"\xff" * 255)])
def test_longest_names_can_be_written(tmp_path, name):
    with replacing(tmp_path / name) as stream:
        stream.write(b"x")
    assert create(tmp_path / name[::-1], b"y") == (name[::-1] != name)
    assert set(os.listdir(tmp_path)) == {name, name[::-1]}


def test_a_folder_that_cannot_be_read_is_refused(corpus, monkeypatch):
    def denied(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    (corpus / "more").mkdir()
    plain = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: denied(path) if str(path).endswith("more") else plain(path))
    with pytest.raises(InputError, match="corpus/more: Permission denied"):
        scan(corpus, **CHOICES)


# Two at once


def test_two_scans_into_one_folder(backend, corpus, tmp_path):
    whole = scan(corpus, tmp_path / "whole", **CHOICES)
    ended, start = [], threading.Barrier(4)

    def run():
        start.wait()
        try:
            ended.append(scan(corpus, tmp_path / "out", **CHOICES).profile.serialize())
        except FolderError as error:
            ended.append(str(error))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert whole.profile.serialize() in ended
    assert {one for one in ended if isinstance(one, str)} <= {f"another process is writing to {tmp_path / 'out'}"}
    assert results_of(tmp_path / "out") == results_of(tmp_path / "whole")


def test_a_folder_is_read_while_another_scan_writes_there(corpus, tmp_path):
    """Who reads has the earlier results until the new ones are whole."""
    from textassay.gate_policy import GatePolicy
    from textassay.gating import gate_all

    out, found = tmp_path / "out", []
    scan(corpus, out, **CHOICES)
    policy = GatePolicy.default()

    def look(progress):
        found.append(gate_all([out], policy)[0].passed)

    scan([corpus / "a.jsonl.zst"], out, **CHOICES, on_progress=look)
    assert found and len(set(found)) == 1


def test_a_commit_that_is_cut_short_is_undone(corpus, tmp_path, monkeypatch):
    """Wherever it is: earlier results are there again, and the next scan is whole."""
    from textassay import folder

    out = tmp_path / "out"
    scan(corpus / "a.jsonl.zst", out, **CHOICES)
    earlier = results_of(out)
    whole = scan(corpus, tmp_path / "whole", **CHOICES)
    assert whole
    plain, moved = Path.rename, 0

    def failing(self, target):
        if Path(target).parent in (out, out / folder.PARTIAL / folder.OLD):
            nonlocal moved
            moved += 1
            if moved == wanted:
                raise OSError(errno.EIO, "Input/output error")
        return plain(self, target)

    for wanted in range(1, 30):
        moved = 0
        with monkeypatch.context() as patched:
            patched.setattr(Path, "rename", failing)
            try:
                scan(corpus, out, **CHOICES, checkpoint_seconds=None)
            except OutputError as error:
                assert "Input/output error" in str(error) and str(out) in str(error)
            else:
                break
        assert results_of(out) == earlier, wanted
    assert wanted > 8
    assert results_of(out)["profile.tap"] == results_of(tmp_path / "whole")["profile.tap"]


# Many files, no files


def test_ten_thousand_files_with_few_descriptors(tmp_path):
    folder = tmp_path / "documents"
    folder.mkdir()
    for number in range(10_000):
        (folder / f"{number:05}.jsonl").write_bytes(b'{"text": "words of file %d"}\n' % number)
    done = textassay(
        *("scan", folder, "-o", tmp_path / "out", "--documents", "none", "--no-report", "--json", "-q", "-j", "8"),
        "--detector",
        "none",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
    )
    assert done.returncode == 0, done.stderr
    inputs = json.loads(done.stdout)["inputs"]
    assert (inputs["files"], inputs["documents"], inputs["files_damaged"]) == (10_000, 10_000, 0)


def test_an_empty_corpus(backend, tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="no file ending in"):
        scan(tmp_path / "folder", **CHOICES)
    (tmp_path / "folder/a.jsonl").write_bytes(b"")
    for form in ("parquet", "jsonl", "none"):
        result = scan(tmp_path / "folder", tmp_path / form, **CHOICES, documents=form)
        assert_accounted(result)
        assert result.summary["corpus"]["n_documents"] == 0 and not result.is_damaged()
        assert len(result.batches) == 0


# Standard streams


@pytest.mark.parametrize(
    ("streams", "code"),
    [
        (">&-", 0),
        ("2>&-", 0),
        ("<&- >&- 2>&-", 0),
        (">/dev/full", 4),
        ("2>/dev/full", 0),
        (">/dev/full 2>/dev/full", 4),
        ("| head -c 9; exit ${PIPESTATUS[0]}", 0),
    ],
)
def test_standard_streams_that_are_closed_or_full(corpus, tmp_path, streams, code):
    command = (
        f'"{sys.executable}" -m textassay scan "{corpus}" -o out --documents none --no-report -j 1 --detector none'
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        ["bash", "-c", f"{command} {streams}"], cwd=tmp_path, env=environment, capture_output=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert b"Traceback" not in done.stderr and b"ignored" not in done.stderr
    if code == 4 and "2>" not in streams:
        assert b"standard output" in done.stderr and b"No space left" in done.stderr
    assert (tmp_path / "out/manifest.json").exists()
    if "2>" in streams and code == 0 and ">&- 2" not in streams:
        assert b"textassay:" not in done.stdout  # what is said does not go where the results do
