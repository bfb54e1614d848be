"""The command line: what is printed where, and the exit codes."""

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import zstandard
from typer.testing import CliRunner

from implementations import BACKENDS
from textassay import Profile
from textassay.cli.app import app

BAD = [b'{"text": 7}', b"not json", "fine"]


def textassay(
    *arguments: object, cwd=None, stdin: bytes | None = None, **variables: str
) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TEXTASSAY_")}
    environment |= {"TEXTASSAY_NUMBA_CACHE": "1", "COLUMNS": "100", **variables}
    command = [sys.executable, "-m", "textassay", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, cwd=cwd, input=stdin, env=environment, timeout=300, check=False)
    done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture
def good(shard):
    return shard("good.jsonl.zst", ["One two three. Four five!", "the second text", ""])


# scan


@pytest.mark.parametrize("forced", [b.backend for b in BACKENDS])
def test_scan_prints_a_summary(good, forced):
    done = textassay("scan", good, TEXTASSAY_BACKEND=forced)
    assert done.returncode == 0 and done.stderr == ""
    for part in ("1 file ", "3 documents", "8 word tokens", f"{forced} (", "Corpus", "Documents", "mattr", "Batches"):
        assert part in done.stdout, part
    assert "Every byte accounted for" in done.stdout


@pytest.mark.parametrize("forced", [b.backend for b in BACKENDS])
def test_json_is_one_document_and_nothing_else(good, tmp_path, forced):
    done = textassay("scan", good, "--json", "-o", tmp_path / "out", TEXTASSAY_BACKEND=forced)
    assert done.returncode == 0
    assert json.loads(done.stdout) == json.loads((tmp_path / "out/summary.json").read_text())
    assert done.stderr == f"textassay: written to {tmp_path / 'out'}\n"


def test_without_out_nothing_is_written(good, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    assert textassay("scan", good.name, cwd=tmp_path).returncode == 0
    assert sorted(tmp_path.rglob("*")) == before


def test_every_option(shard, tmp_path):
    path = shard("a.jsonl", [{"key": 1, "t": {"x": "one two"}, "u": "three"}, {"u": "four"}, {"z": 1}])
    markers = tmp_path / "markers.txt"
    markers.write_text("one two\n")
    done = textassay(
        *("scan", path, "--json", "--text-field", "t.x,/u", "--id-field", "key", "--signals", "n_tokens,marker_rate"),
        *(
            "--markers",
            markers,
            "--tokens",
            "word",
            "--batch-tokens",
            "2",
            "--entropy-floor",
            "1.5",
            "--max-types",
            "1K",
        ),
        *("--max-record-bytes", "1M", "--max-window", "20", "--threads", "2", "--documents", "none"),
        *("--malformed-budget", "50%", "--quiet"),
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["configuration"]["signals"] == ["n_tokens", "marker_rate"]
    assert summary["configuration"]["max_types"] == 1024
    assert summary["documents"]["n_tokens"]["mean"] == 2
    assert summary["documents"]["marker_rate"]["mean"] == pytest.approx(1000 / 3 / 2)
    assert summary["batches"]["n_batches"] == 2 and summary["batches"]["below_floor"] == 1
    assert summary["performance"]["threads"] == 2


def test_text_field_several_times(shard):
    path = shard("a.jsonl", [{"a": "one", "b": "two"}])
    done = textassay("scan", path, "--json", "--text-field", "a", "--text-field", "b")
    assert json.loads(done.stdout)["corpus"]["n_tokens"] == 2
    done = textassay("scan", path, "--json", TEXTASSAY_TEXT_FIELD="a,b")
    assert json.loads(done.stdout)["corpus"]["n_tokens"] == 2


def test_standard_input(good):
    done = textassay("scan", "-", "--json", stdin=good.read_bytes())
    assert done.returncode == 0
    assert json.loads(done.stdout)["corpus"]["n_documents"] == 3
    listed = textassay("scan", "@-", "--json", stdin=str(good).encode())
    assert json.loads(listed.stdout)["corpus"] == json.loads(done.stdout)["corpus"]


def test_malformed_records_and_the_budget(shard, tmp_path):
    path = shard("bad.jsonl", BAD)
    done = textassay("scan", path, "-o", tmp_path / "out")
    assert done.returncode == 3
    assert "2 malformed records" in done.stdout and "not_json 1" in done.stdout
    assert "bytes: 29 parsed, 21 malformed" in done.stdout
    assert "2 malformed records" in done.stderr
    rows = [json.loads(line) for line in (tmp_path / "out/errors.jsonl").read_text().splitlines()]
    assert [(row["line"], row["reason"]) for row in rows] == [(1, "text_not_string"), (2, "not_json")]
    for budget, code in (("1", 3), ("2", 0), ("0.5", 3), ("0.7", 0), ("60%", 3), ("70%", 0)):
        assert textassay("scan", path, "--malformed-budget", budget).returncode == code, budget


def test_a_damaged_file(good, tmp_path):
    path = tmp_path / "cut.jsonl.zst"
    path.write_bytes(good.read_bytes()[:-6])
    done = textassay("scan", path, good)
    assert done.returncode == 3
    assert "damaged" in done.stdout and "cut.jsonl.zst at byte" in done.stdout
    assert "1 damaged file\n" in done.stderr


def test_frames_without_a_checksum_are_mentioned(tmp_path):
    path = tmp_path / "a.zst"
    path.write_bytes(zstandard.ZstdCompressor(write_checksum=False).compress(b'{"text": "a"}\n'))
    done = textassay("scan", path)
    assert done.returncode == 0 and "1 of 1 frame carries no checksum" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scan"], "Missing argument"),
        (["scan", "nope.jsonl"], "nope.jsonl: no such file or folder"),
        (["scan", "good.jsonl.zst", "nope.jsonl"], "nope.jsonl: no such file or folder"),
        (["scan", "."], "no file ending in"),
        (["scan", "good.jsonl.zst", "--signals", "matr"], "did you mean mattr"),
        (["scan", "good.jsonl.zst", "--tokens", "syllable"], "wanted one of word, byte, char"),
        (["scan", "good.jsonl.zst", "--text-field", "a..b"], "wanted names joined by dots"),
        (["scan", "good.jsonl.zst", "--batch-tokens", "0"], "batch_tokens=0: wanted a whole number from 1"),
        (["scan", "good.jsonl.zst", "--batch-tokens", "x"], "--batch-tokens x: wanted a number"),
        (["scan", "good.jsonl.zst", "--documents", "csv"], "--documents csv: wanted auto"),
        (["scan", "good.jsonl.zst", "--markers", "nope.txt"], "nope.txt"),
        (["scan", "good.jsonl.zst", "--threads", "0"], "--threads"),
        (["scan", "good.jsonl.zst", "--threads", "5000"], "threads=5000: wanted a whole number from 1 to 4096"),
        (["scan", "good.jsonl.zst", "--max-record-bytes", "1G"], "max_record_bytes=1073741824: wanted"),
        (["scan", "good.jsonl.zst", "--entropy-floor", "nan"], "entropy_floor=nan: wanted bits"),
        (["scan", "good.jsonl.zst", "--no-such-option"], "No such option"),
        (["scam", "good.jsonl.zst"], "scan"),
        (["scan", "good.jsonl.zst", "-o", "good.jsonl.zst"], "is a file"),
        (["scan", "good.jsonl.zst", "-o", "full"], "not textassay's (letter.txt)"),
        (["merge"], "Missing argument"),
        (["merge", "nope.tap"], "nope.tap: no such profile"),
        (["merge", "full"], "profile.tap: no such profile"),
        (["bench", "nope.zst"], "nope.zst: no such file"),
        (["bench", "-"], "cannot be read several times"),
        (["--config", "nope.toml", "scan", "good.jsonl.zst"], "nope.toml"),
    ],
    ids=" ".join,
)
def test_usage_errors(shard, tmp_path, arguments, message):
    folder = tmp_path / "full"
    folder.mkdir()
    (folder / "letter.txt").write_text("dear")
    if arguments != ["scan", "."]:
        shard("good.jsonl.zst", ["text"])
    done = textassay(*arguments, cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert message in " ".join(done.stderr.replace("│", " ").split())


def test_variables_and_settings_are_checked(good, tmp_path):
    done = textassay("scan", good, TEXTASSAY_SIGNAL="all")
    assert done.returncode == 2 and "did you mean TEXTASSAY_SIGNALS" in done.stderr
    (tmp_path / "textassay.toml").write_text("[scan]\nsignal = 'all'\n")
    done = textassay("scan", good, cwd=tmp_path)
    assert done.returncode == 2 and "did you mean 'signals'" in done.stderr and "textassay.toml" in done.stderr


def test_a_missing_backend_is_said(good):
    done = textassay("scan", good, TEXTASSAY_BACKEND="cuda")
    assert done.returncode == 2 and "wanted one of native, numba" in done.stderr


def test_warnings_are_lines(good, tmp_path):
    (tmp_path / "again.zst").symlink_to(good)
    done = textassay("scan", tmp_path)
    assert done.returncode == 0
    assert done.stderr.count("textassay: note: ") == 1 and "is the same file as" in done.stderr
    assert "Warning" not in done.stderr


def test_a_full_disk(good):
    done = textassay("scan", good, "-o", "/dev/full/out")
    assert done.returncode in (2, 4) and done.stderr.startswith("textassay: ")


def test_a_full_disk_behind_stdout(good):
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "textassay", "scan", str(good), "--json"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=300, check=False)
    assert done.returncode == 4 and "No space left" in done.stderr


def test_a_reader_that_goes_away(good):
    code = f"{sys.executable} -m textassay scan {good} --json | head -c 10; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, timeout=300, check=True)
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr


@pytest.mark.parametrize("forced", [b.backend for b in BACKENDS])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted(tmp_path, number, code, forced):
    """A scan of a pipe that nobody closes has to be stopped from outside."""
    environment = os.environ | {"TEXTASSAY_BACKEND": forced, "TEXTASSAY_NUMBA_CACHE": "1"}
    command = [sys.executable, "-m", "textassay", "scan", "-", "-o", str(tmp_path / "out")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as child:
        child.stdin.write(b'{"text": "one two"}\n' * 1000)
        child.stdin.flush()
        deadline = time.monotonic() + 120
        while not (tmp_path / "out/.partial/lock").exists():
            assert time.monotonic() < deadline and child.poll() is None
            time.sleep(0.05)
        time.sleep(1)
        child.send_signal(number)
        _, stderr = child.communicate(timeout=120)
    assert child.returncode == code, stderr
    assert b"nothing was written" in stderr and b"Traceback" not in stderr
    assert not (tmp_path / "out").exists()


def test_a_bug_is_not_dressed_up(good, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("textassay.scanning.scan", broken)
    done = CliRunner().invoke(app, ["scan", str(good)])
    assert done.exit_code == 4
    assert "ZeroDivisionError: oops" in done.stderr and "this is a bug" in done.stderr and done.stdout == ""


# merge


def test_merge(shard, tmp_path):
    one, two = shard("1.jsonl", ["a b c", "b"]), shard("2.jsonl.zst", ["c d"])
    both = tmp_path / "both"
    assert textassay("scan", one, "-o", tmp_path / "a").returncode == 0
    assert textassay("scan", two, "-o", tmp_path / "b").returncode == 0
    assert textassay("scan", one, two, "-o", both).returncode == 0
    done = textassay("merge", tmp_path / "a", tmp_path / "b/profile.tap", "-o", tmp_path / "sum.tap")
    assert done.returncode == 0 and "2 profiles" in done.stdout
    assert (tmp_path / "sum.tap").read_bytes() == (both / "profile.tap").read_bytes()
    done = textassay("merge", tmp_path / "a", tmp_path / "b", "-o", tmp_path / "sum", "--json")
    assert sorted(path.name for path in (tmp_path / "sum").iterdir()) == [
        "manifest.json",
        "profile.tap",
        "report.html",
        "summary.json",
    ]
    assert (tmp_path / "sum/profile.tap").read_bytes() == (both / "profile.tap").read_bytes()
    merged, scanned = json.loads(done.stdout), json.loads((both / "summary.json").read_text())
    assert merged == json.loads((tmp_path / "sum/summary.json").read_text())
    for part in ("corpus", "documents", "configuration"):
        assert merged[part] == scanned[part]
    assert merged["batches"]["distributions"] == scanned["batches"]["distributions"]
    assert merged["inputs"].pop("profiles") == 2
    assert merged["inputs"] == scanned["inputs"]
    again = textassay("merge", tmp_path / "sum", tmp_path / "b", "-o", tmp_path / "sum")
    assert again.returncode == 0


def test_merge_of_bare_profiles_does_not_know_the_inputs(tmp_path):
    profile = Profile(["n_tokens"])
    profile.update(["a b"])
    profile.save(tmp_path / "a.tap")
    done = textassay("merge", tmp_path / "a.tap", "--json")
    inputs = json.loads(done.stdout)["inputs"]
    assert inputs["profiles"] == 1 and inputs["files"] is inputs["bytes"] is None
    done = textassay("merge", tmp_path / "a.tap")
    assert done.returncode == 0 and "1 profile " in done.stdout


def test_merge_refuses(shard, tmp_path):
    one = shard("1.jsonl", ["a b c"])
    textassay("scan", one, "-o", tmp_path / "a")
    textassay("scan", one, "-o", tmp_path / "b", "--batch-tokens", "5")
    done = textassay("merge", tmp_path / "a", tmp_path / "b", "-o", tmp_path / "c")
    assert done.returncode == 2 and "batch_tokens is 1048576 and 5" in done.stderr
    data = (tmp_path / "b/profile.tap").read_bytes()
    (tmp_path / "b/profile.tap").write_bytes(data[:-1])
    done = textassay("merge", tmp_path / "b", "-o", tmp_path / "c")
    assert done.returncode == 3 and "profile.tap: byte " in done.stderr
    assert not (tmp_path / "c").exists()


# bench, --version, help


@pytest.mark.parametrize("forced", [b.backend for b in BACKENDS])
def test_bench(good, forced):
    done = textassay("bench", good, "--runs", "2", "--json", TEXTASSAY_BACKEND=forced)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    stages = [row["stage"] for row in found["rows"] if row["stage"] != "zstd -dc"]
    assert stages == ["decompress", "json", "words", "signals", "histogram"]
    assert found["documents"] == 3 and found["bytes_compressed"] == good.stat().st_size
    assert all(len(row["cpu_seconds_of_runs"]) == 2 for row in found["rows"])
    assert found["backend"]["backend"] == forced


def test_bench_table(good, tmp_path):
    done = textassay("bench", good)
    assert done.returncode == 0 and "+ histogram" in done.stdout
    (tmp_path / "a.gz").write_bytes(gzip.compress(b'{"text": "a"}\n'))
    done = textassay("bench", tmp_path / "a.gz")
    assert done.returncode == 0 and "zstd -dc" not in done.stdout.split("stage")[1].replace("x zstd -dc", "")


@pytest.mark.parametrize("forced", [b.backend for b in BACKENDS])
def test_version(forced):
    done = textassay("--version", TEXTASSAY_BACKEND=forced)
    assert done.returncode == 0 and done.stderr == ""
    lines = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert lines["backend"] == forced and lines["chosen"] == f"because TEXTASSAY_BACKEND={forced}"
    assert {"textassay", "kernels"} <= set(lines)


def test_help_names_every_command():
    done = textassay("--help")
    assert done.returncode == 0
    for command in ("scan", "merge", "bench"):
        assert command in done.stdout
        assert textassay(command, "-h").returncode == 0


def test_no_command_is_a_usage_error():
    assert textassay().returncode == 2


# What a person sees


def test_text_of_the_corpus_cannot_act_on_the_terminal(shard, tmp_path):
    """Escape sequences, markup and line breaks in tokens and names are shown, not obeyed."""
    name = "evil\x1b[31m[bold red]\nname.jsonl"
    text = "a\u202eb " * 50
    path = shard(name, [text, b"bad"])
    done = textassay("scan", path, "--tokens", "char", "--batch-tokens", "10", "--entropy-floor", "99")
    assert done.returncode == 3
    assert "\x1b" not in done.stdout and "\u202e" not in done.stdout
    assert "\\u202e" in done.stdout and "[bold red]\\nname.jsonl" in done.stdout


def test_nothing_to_show(tmp_path):
    (tmp_path / "empty.jsonl").touch()
    done = textassay("scan", tmp_path / "empty.jsonl")
    assert done.returncode == 0 and "0 documents" in done.stdout


def test_progress_is_for_terminals_only(good):
    """A pseudo terminal as stderr: there it shows; with --quiet it does not."""
    import pty

    def stderr_of(*more: str) -> bytes:
        main, side = pty.openpty()
        command = [sys.executable, "-m", "textassay", "scan", str(good), *more]
        environment = os.environ | {"TERM": "xterm"}
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=side, env=environment)
        os.close(side)
        found = io.BytesIO()
        while True:
            try:
                data = os.read(main, 4096)
            except OSError:
                break
            if not data:
                break
            found.write(data)
        os.close(main)
        assert child.wait(60) == 0
        return found.getvalue()

    assert b"files" in stderr_of()
    assert stderr_of("--quiet") == b""
