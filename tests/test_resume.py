"""Scans that are stopped anywhere and gone on with end as if nothing had been."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from implementations import BACKENDS
from killed_scans import WORDS, lines_of, results_of, scan_through_kills, write_corpus
from test_cli import textassay
from textassay import FolderError, OutputError, ScanInterrupted, UsageError, _backend, checkpoint, scan, scan_status

SIGNALS = ["n_tokens", "n_types", "mattr", "char_entropy_bits", "marker_rate"]
OPTIONS = {
    "signals": SIGNALS,
    "markers": [[b"corpus"]],
    "batch_tokens": 20_000,
    "max_record_bytes": 200_000,
    "max_types": 1 << 20,
}


class Rows:
    """A file of rows: a `RowReader`."""

    format = "parquet"

    def __init__(self, seed, n_rows, step):
        random_ = random.Random(seed)
        self.texts = [" ".join(random_.choice(WORDS) for _ in range(random_.randrange(30))) for _ in range(n_rows)]
        self.size = sum(map(len, self.texts)) + 1
        self.position = self.at = 0
        self.step = step

    def open(self):
        return None

    def skip(self, rows):
        self.at = rows

    def read(self):
        texts = [text.encode() for text in self.texts[self.at : self.at + self.step]]
        if not texts:
            return None
        self.at += len(texts)
        column = (
            np.frombuffer(b"".join(texts) + b"\0", np.uint8),
            np.cumsum([0, *map(len, texts)]).astype(np.int64),
            None,
        )
        return [column, None]


class Gathered:
    """What the events of a scan, or of several that went on with each other, say of each file."""

    def __init__(self):
        self.rows, self.errors, self.batches, self.outcomes = {}, {}, {}, {}

    def take(self, event):
        file = event["file"]
        if "documents" in event:
            columns = {name: values for name, values in event["documents"].items() if not name.startswith("id_")}
            self.rows.setdefault(file, []).extend(
                zip(*(columns[name].tolist() for name in sorted(columns)), strict=True)
            )
        self.errors.setdefault(file, []).extend(event.get("errors", []))
        if "batches" in event:
            columns = event["batches"]
            self.batches.setdefault(file, []).extend(
                zip(*(columns[name].tolist() for name in sorted(columns)), strict=True)
            )
        if "outcome" in event:
            self.outcomes[file] = event["outcome"]


def run(paths, threads=2, pauses=None, **options):
    """Scans; with `pauses`, a random number generator, in many scans that go on with each other, each paused a few times: what they
    found, their profile, and how many batches were open at a pause."""
    gathered, begun, profile = Gathered(), {}, None
    n_within = 0
    while True:
        running = _backend.get().Scan(
            paths() if callable(paths) else paths, threads=threads, begun=begun, profile=profile, **options
        )
        left = 0 if pauses is None else pauses.randrange(1, 4)
        countdown = 0
        while True:
            if left and countdown == 0:
                running.pause()
            countdown -= 1
            try:
                event = running.next(10)
            except TimeoutError:
                if not running.is_paused():
                    continue  # its kernels are being compiled
                left -= 1
                countdown = pauses.randrange(4)
                states = running.states()
                n_within += sum(0 < state["begin"] < state["end"] for state in states.values())
                profile = running.profile()
                if left == 0:
                    break
                running.resume()
                continue
            if event is None:
                return gathered, running.profile(), n_within
            gathered.take(event)
        begun = json.loads(
            json.dumps(states), object_hook=lambda d: {int(k) if k.isdigit() else k: v for k, v in d.items()}
        )
        begun |= dict.fromkeys(gathered.outcomes)
        running.cancel()
        del running


def same(one, other):
    np.testing.assert_equal(one.rows, other.rows)
    np.testing.assert_equal(one.batches, other.batches)
    assert {file: errors for file, errors in one.errors.items() if errors} == {
        file: errors for file, errors in other.errors.items() if errors
    }
    assert one.outcomes == other.outcomes


def profile_bytes(state):
    from textassay.profile import Profile

    configuration = Profile(SIGNALS, batch_tokens=20_000, max_types=1 << 20, detector=None).configuration
    return Profile.from_state(configuration, state).serialize()


@pytest.mark.parametrize("seed", range(2))
def test_a_scan_goes_on_from_any_pause(backend, tmp_path, seed):
    paths = write_corpus(tmp_path / "corpus")
    whole, profile, _ = run(paths, **OPTIONS)
    paused, also, n_within = run(paths, pauses=random.Random(seed), **OPTIONS)
    same(paused, whole)
    assert profile_bytes(also) == profile_bytes(profile)
    assert n_within > 3


def test_a_file_of_rows_goes_on(backend):
    def sources():
        return [Rows(1, 9000, 70), Rows(2, 500, 1), Rows(3, 2000, 600)]

    whole, profile, _ = run(sources, **OPTIONS)
    paused, also, n_within = run(sources, pauses=random.Random(1), **OPTIONS)
    same(paused, whole)
    assert profile_bytes(also) == profile_bytes(profile)
    assert n_within > 0


# Into a folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    place = tmp_path_factory.mktemp("killed") / "documents"  # as dolma wants it
    write_corpus(place, 2000)
    return place


CHOICES = {"batch_tokens": 5000, "threads": 2, "entropy_floor": 8.0, "checkpoint_seconds": 0.0, "report": False}


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    """Commits as often as it can."""
    monkeypatch.setattr(checkpoint, "LARGEST_SHARE", 1.0)


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory):
    """A corpus and what was left of its scan: a file is open, and there is a part of its rows."""
    place = tmp_path_factory.mktemp("unfinished")
    write_corpus(place / "corpus", 20_000)
    with pytest.MonkeyPatch.context() as patched, _backend.using("native"):
        patched.setattr(checkpoint, "LARGEST_SHARE", 1.0)
        stopped(place / "corpus", place / "out", threads=1)
    return place


def whole_of(corpus, out, **choices):
    scan(corpus, out, **CHOICES | choices | {"checkpoint_seconds": None})
    return results_of(out)


def stopping_after(polls):
    left = [polls]

    def should_stop():
        left[0] -= 1
        return left[0] < 0

    return should_stop


def stopped(corpus, out, **choices):
    """Stopped after the first event: on a busy machine a commit may take all further ones, and the scan has ended."""
    with pytest.raises(ScanInterrupted) as caught:
        scan(corpus, out, **CHOICES | choices, should_stop=lambda: True)
    assert caught.value.out == out
    return out


@pytest.mark.parametrize("documents", ["parquet", "jsonl", "dolma", "none"])
def test_killed_at_any_step_it_ends_as_if_nothing_had_been(backend, corpus, tmp_path, documents):
    whole = whole_of(corpus, tmp_path / "whole", documents=documents)
    out = tmp_path / "out"
    kills = scan_through_kills((corpus, out), CHOICES | {"documents": documents}, random.Random(documents), 6, 16, 0.2)
    assert results_of(out) == whole
    assert kills > 0


def test_killed_with_bigrams(backend, corpus, tmp_path):
    choices = CHOICES | {"bigrams": True, "documents": "none"}
    whole = whole_of(corpus, tmp_path / "whole", bigrams=True, documents="none")
    assert scan_through_kills((corpus, tmp_path / "out"), choices, random.Random(5), 3, 30, 0.5) > 0
    assert results_of(tmp_path / "out") == whole


def test_stopped_again_and_again(backend, corpus, tmp_path):
    whole = whole_of(corpus, tmp_path / "whole", report=True)
    random_ = random.Random(3)
    found = None
    while found is None:
        try:
            stop = stopping_after(random_.randrange(1, 6))
            found = scan(corpus, tmp_path / "out", **CHOICES | {"report": True}, should_stop=stop)
        except ScanInterrupted:
            assert scan_status(tmp_path / "out")["state"] == "stopped"
    assert results_of(tmp_path / "out") == whole
    assert len(found.errors) == whole["errors.jsonl"].count(b"\n")
    assert len(found.documents) == found.summary["inputs"]["documents"]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("textassay")]


def test_the_backends_go_on_with_each_other(corpus, tmp_path):
    """But for the text that tells of a damage, which is the library's that found it."""
    names = [implementation.backend for implementation in BACKENDS]
    tables = {}
    for first, second in [names, names[::-1], [names[0], names[0]]]:
        out = tmp_path / f"{first}-{second}"
        with _backend.using(first):
            stopped(corpus, out)
        with _backend.using(second):
            scan(corpus, out, **CHOICES)
        tables[out] = {
            name: content for name, content in results_of(out).items() if name.startswith(("prof", "doc", "batch"))
        }
    assert len({str(sorted(table.items())) for table in tables.values()}) == 1


def test_parquet_goes_on_after_kills(backend, tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    texts = [json.loads(line)["text"] for line in lines_of(1, 12_000) if line.startswith(b'{"id')]
    table = pyarrow.table({"text": texts, "id": [str(n) for n in range(len(texts))]})
    parquet.write_table(table, tmp_path / "large.parquet", row_group_size=700)
    whole = whole_of(tmp_path / "large.parquet", tmp_path / "whole")
    kills = scan_through_kills((tmp_path / "large.parquet", tmp_path / "out"), CHOICES, random.Random(2), 4, 15, 0.1)
    assert kills > 0 and results_of(tmp_path / "out") == whole


# What it goes on with


@pytest.mark.parametrize(
    ("choices", "named"),
    [
        ({"batch_tokens": 6000}, "batch_tokens was 5000, now 6000"),
        ({"entropy_floor": None}, "entropy_floor was 8.0, now null"),
        ({"signals": "n_tokens"}, "signals was"),
        ({"documents": "none"}, 'documents was "parquet", now "none"'),
        ({"bigrams": True}, "bigrams was false, now true"),
        ({"text_fields": "body"}, "text_fields was"),
        ({"detector": None}, "detector was"),
    ],
    ids=str,
)
def test_another_configuration_is_refused(corpus, tmp_path, choices, named):
    out = stopped(corpus, tmp_path / "out")
    with pytest.raises(UsageError, match="unfinished scan of something else.*--restart") as caught:
        scan(corpus, out, **CHOICES | choices)
    assert named in str(caught.value)
    scan(corpus, out, **CHOICES | choices, restart=True)
    assert scan_status(out)["state"] == "finished"


def test_threads_and_intervals_may_change(corpus, tmp_path):
    out = stopped(corpus, tmp_path / "out")
    scan(corpus, out, **CHOICES | {"threads": 1, "checkpoint_seconds": 60})
    assert results_of(out) == whole_of(corpus, tmp_path / "whole")


@pytest.mark.parametrize("change", ["shorter", "other", "gone", "more"])
def test_inputs_that_have_changed_are_refused(corpus, tmp_path, change):
    mine = tmp_path / "corpus"
    shutil.copytree(corpus, mine)
    out = stopped(mine, tmp_path / "out")
    begun = min(mine.iterdir())
    content = begun.read_bytes()
    if change == "gone":
        begun.unlink()
    elif change == "more":
        (mine / "z.jsonl").write_bytes(b"")
    else:
        begun.write_bytes(content[:-1] if change == "shorter" else b"x" + content[1:])
    with pytest.raises(UsageError, match=r"a-many|z\.jsonl was no input"):
        scan(mine, out, **CHOICES)
    if change == "other":
        begun.write_bytes(content)  # only the time is another
        scan(mine, out, **CHOICES)


def test_restart_begins_anew(corpus, tmp_path):
    out = stopped(corpus, tmp_path / "out")
    seen = []
    scan(corpus, out, **CHOICES, restart=True, on_progress=seen.append)
    assert seen[-1].files == seen[-1].n_files
    assert results_of(out) == whole_of(corpus, tmp_path / "whole")


def test_progress_begins_where_the_scan_does(backend, corpus, tmp_path):
    out = stopped(corpus, tmp_path / "out")
    seen = []
    scan(corpus, out, **CHOICES, on_progress=seen.append)
    assert seen[-1].bytes_compressed == seen[-1].bytes_total and seen[-1].files == seen[-1].n_files
    whole = scan_status(out)
    assert (seen[-1].documents, seen[-1].bytes) == (whole["documents"], whole["bytes"])


def test_others_keep_off_an_unfinished_scan(corpus, tmp_path):
    from textassay.folder import OutputFolder

    out = stopped(corpus, tmp_path / "out")
    with pytest.raises(FolderError, match="holds a scan that has not ended"):
        OutputFolder(out)
    with pytest.raises(FolderError, match="holds a scan that has not ended"):
        scan(corpus, out, documents="memory")
    scan(corpus, out, **CHOICES)
    assert results_of(out) == whole_of(corpus, tmp_path / "whole")


@pytest.mark.parametrize("place", ["os.fsync", "pathlib.Path.replace", "pathlib.Path.rename", "os.open"])
def test_a_failing_commit_loses_nothing(backend, corpus, tmp_path, monkeypatch, place):
    out = stopped(corpus, tmp_path / "out")
    whole = whole_of(corpus, tmp_path / "whole")
    committed = scan_status(out)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    for call in range(1, 12, 3):
        with monkeypatch.context() as patched:
            module, _, name = place.rpartition(".")
            owner = os if module == "os" else __import__("pathlib").Path
            plain, count = getattr(owner, name), [call]

            def failing(*arguments, plain=plain, count=count, **named):
                count[0] -= 1
                return full() if count[0] == 0 else plain(*arguments, **named)

            patched.setattr(owner, name, failing)
            try:
                scan(corpus, out, **CHOICES)
            except OutputError as error:
                assert "No space left" in str(error)
            else:
                break  # that many calls there are not
        assert scan_status(out)["bytes"] >= committed["bytes"]
    scan(corpus, out, **CHOICES)
    assert results_of(out) == whole


def edit(**changes):
    def change(state):
        for name, value in changes.items():
            state[name] = value

    return change


def of_file(**changes):
    return lambda state: next(iter(state["open"].values())).update(changes)


HOSTILE = {
    "no object": lambda state: [],
    "another schema": edit(schema="x"),
    "another key": edit(more=1),
    "negative commit": edit(commit=-1),
    "no commit": edit(commit=0),
    "commit that is not there": edit(commit=1 << 40),
    "text for a number": edit(done={"files": "1", "bytes": 0, "bytes_compressed": 0, "documents": 0}),
    "true": edit(done={"files": True, "bytes": 0, "bytes_compressed": 0, "documents": 0}),
    "a file that is none": edit(open={"99": {}}, parts={}),
    "a path for a file": edit(parts={"../x": 1}),
    "a part that is not there": lambda state: state["parts"].update({next(iter(state["open"])): 1000}),
    "no part": lambda state: state["parts"].update({next(iter(state["open"])): 0}),
    "lengths beyond the file": edit(lengths={"batches": 1 << 50, "errors": 0, "outcomes": 0}),
    "lengths within a block": edit(lengths={"batches": 3, "errors": 0, "outcomes": 0}),
    "begin behind end": of_file(begin=1 << 50),
    "end": of_file(end=0),
    "beyond the file": of_file(compressed=1 << 40, uncompressed=0),
    "format": of_file(format="../x"),
    "unknown reason": lambda state: next(iter(state["open"].values()))["malformed_by_reason"].update(x=1),
    "float": of_file(lines=1.5),
    "more documents than lines": of_file(documents=1 << 40),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_state_is_refused(backend, unfinished, tmp_path, name):
    corpus, out = unfinished / "corpus", shutil.copytree(unfinished / "out", tmp_path / "out")
    path = out / ".partial/state.json"
    state = json.loads(path.read_text())
    assert state["open"] and state["parts"]
    changed = HOSTILE[name](state)
    path.write_text(json.dumps(state if changed is None else changed))
    with pytest.raises((FolderError, UsageError)):
        scan(corpus, out, **CHOICES)
    assert path.exists()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000, b'{"schema": "textassay.scan-state/1"}'])
@pytest.mark.parametrize("name", ["state.json", "run.json"])
def test_a_state_that_is_no_json_is_refused(corpus, tmp_path, name, content):
    out = stopped(corpus, tmp_path / "out")
    (out / ".partial" / name).write_bytes(content)
    with pytest.raises(FolderError, match="--restart"):
        scan(corpus, out, **CHOICES)
    with pytest.raises(FolderError):
        scan_status(out)


# The command


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 143)])
def test_a_signal_commits_and_ends_the_command(tmp_path, number, code):
    corpus, out = tmp_path / "corpus", tmp_path / "out"
    corpus.mkdir()
    line = lines_of(1, 400)
    for part in range(40):
        (corpus / f"{part:02}.jsonl").write_bytes(b"".join(line) * 20)
    command = [
        sys.executable,
        "-m",
        "textassay",
        "scan",
        str(corpus),
        "-o",
        str(out),
        "--checkpoint-seconds",
        "0",
        "--threads",
        "1",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        while not (out / ".partial/state.json").exists():
            assert child.poll() is None
            time.sleep(0.01)
        child.send_signal(number)
        _, stderr = child.communicate(timeout=60)
    assert child.returncode == code, stderr
    assert b"holds the state, the same command goes on with it" in stderr and b"Traceback" not in stderr
    found = json.loads(textassay("status", out, "--json").stdout)
    assert found["state"] == "stopped" and 0 < found["bytes"] < found["bytes_total"]
    assert "stopped; the same command goes on with it" in textassay("status", out).stdout
    assert textassay("scan", corpus, "-o", out, "--batch-tokens", "5").returncode == 2
    assert textassay(*command[3:]).returncode == 3  # some records are malformed
    assert "finished" in textassay("status", out).stdout
    shutil.rmtree(out)


def test_status_of_what_is_none(tmp_path):
    done = textassay("status", tmp_path)
    assert done.returncode == 2 and "holds neither a scan nor its results" in done.stderr


def test_status_of_a_scan_that_runs(corpus, tmp_path):
    states = []
    scan(
        corpus, tmp_path / "out", **CHOICES, on_progress=lambda _: states.append(scan_status(tmp_path / "out")["state"])
    )
    assert set(states) == {"running"}
