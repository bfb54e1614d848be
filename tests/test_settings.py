"""Where options come from, and what is no option."""

import json
import os
import subprocess
import sys

import pytest

from textassay import UsageError
from textassay.cli.options import parse_budget, parse_size, parse_window, split_list
from textassay.cli.settings import check_variables, load_settings, settings_file

COMMANDS = {
    "scan": {"threads": "threads", "batch-tokens": "batch_tokens", "text-field": "text_field", "json": "as_json"},
    "merge": {"json": "as_json"},
}


def write(path, text):
    path.write_text(text)
    return path


def test_keys_go_to_the_commands_that_know_them(tmp_path):
    path = write(tmp_path / "textassay.toml", 'threads = 3\njson = true\n[scan]\nbatch_tokens = "1K"\njson = false\n')
    assert load_settings(path, COMMANDS) == {
        "scan": {"threads": 3, "as_json": False, "batch_tokens": "1K"},
        "merge": {"as_json": True},
    }


def test_dashes_underscores_and_lists(tmp_path):
    path = write(tmp_path / "textassay.toml", 'batch-tokens = 5\ntext_field = ["a", "b.c"]\n')
    assert load_settings(path, COMMANDS)["scan"] == {"batch_tokens": 5, "text_field": "a,b.c"}


def test_project_file(tmp_path):
    path = write(tmp_path / "pyproject.toml", "[tool.textassay]\nthreads = 3\n[tool.other]\nx = 1\n")
    assert load_settings(path, COMMANDS)["scan"] == {"threads": 3}
    assert settings_file(tmp_path) == path
    own = write(tmp_path / "textassay.toml", "")
    assert settings_file(tmp_path) == own


def test_a_project_file_without_our_table_is_none_of_ours(tmp_path):
    write(tmp_path / "pyproject.toml", "[tool.other]\nx = 1\n")
    assert settings_file(tmp_path) is None
    assert settings_file(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("thread = 3", "unknown key 'thread'; did you mean 'threads'"),
        ("zzz = 3", "unknown key 'zzz'; known are batch-tokens, json, text-field, threads"),
        ("[scan]\nthread = 3", "unknown key 'thread'; did you mean 'threads'"),
        ("[merge]\nthreads = 3", "unknown key 'threads'; known are json"),
        ("[scam]\nthreads = 3", r"unknown table \[scam\]; did you mean 'scan'"),
        ("[scan.threads]\nx = 3", "threads: wanted a value, found a table"),
        ("threads = ", "cannot read the settings in .*textassay.toml"),
    ],
)
def test_what_is_no_setting(tmp_path, text, message):
    with pytest.raises(UsageError, match=message):
        load_settings(write(tmp_path / "textassay.toml", text), COMMANDS)


def test_variables():
    check_variables(
        {"TEXTASSAY_THREADS": "3", "TEXTASSAY_BACKEND": "numba", "TEXTASSAY_VENV": "x", "PATH": ""}, COMMANDS
    )
    with pytest.raises(UsageError, match="unknown variable TEXTASSAY_THREAD: did you mean TEXTASSAY_THREADS"):
        check_variables({"TEXTASSAY_THREAD": "3"}, COMMANDS)
    with pytest.raises(UsageError, match="did you mean TEXTASSAY_BACKEND"):
        check_variables({"TEXTASSAY_BACKENDS": "numba"}, COMMANDS)


def tokens_setting(folder, *arguments: str, **variables: str) -> str:
    """Which kind of token a scan in this folder counts."""
    command = [sys.executable, "-m", "textassay", "scan", "a.jsonl", "--json", *arguments]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TEXTASSAY_")} | variables
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["configuration"]["tokens"]


def test_precedence(tmp_path):
    """default < file < variable < command line."""
    write(tmp_path / "a.jsonl", '{"text": "one two"}\n')
    assert tokens_setting(tmp_path) == "word"
    write(tmp_path / "textassay.toml", '[scan]\ntokens = "char"\n')
    assert tokens_setting(tmp_path) == "char"
    assert tokens_setting(tmp_path, TEXTASSAY_TOKENS="byte") == "byte"
    assert tokens_setting(tmp_path, "--tokens", "word", TEXTASSAY_TOKENS="byte") == "word"


def test_config_option(tmp_path):
    write(tmp_path / "a.jsonl", '{"text": "one two"}\n')
    write(tmp_path / "mine.toml", 'tokens = "char"\n')
    command = [sys.executable, "-m", "textassay", "--config", "mine.toml", "scan", "a.jsonl", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["configuration"]["tokens"] == "char"
    command[4] = "gone.toml"
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "gone.toml" in done.stderr and done.stdout == ""


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("1", 1),
        ("64M", 64 << 20),
        ("1k", 1024),
        ("2 GiB", 2 << 30),
        ("1.5K", 1536),
        ("3KB", 3072),
        ("1T", 1 << 40),
        ("7B", 7),
    ],
)
def test_sizes(value, wanted):
    assert parse_size("max-types", value) == wanted


@pytest.mark.parametrize("value", ["", "x", "-1", "1X", "1e6", "K", "0x10"])
def test_no_sizes(value):
    with pytest.raises(UsageError, match="--max-types"):
        parse_size("max-types", value)


@pytest.mark.parametrize(
    ("value", "wanted"), [("27", 27), ("31", 31), ("128M", 27), ("129M", 28), ("1K", 10), ("2G", 31)]
)
def test_windows(value, wanted):
    assert parse_window(value) == wanted


@pytest.mark.parametrize("value", ["9", "32", "4G", "100", "x"])
def test_no_windows(value):
    with pytest.raises(UsageError, match="--max-window"):
        parse_window(value)


@pytest.mark.parametrize(("value", "wanted"), [("0", 0), ("5", 5), ("0.01", 0.01), ("1%", 0.01), ("0.5%", 0.005)])
def test_budgets(value, wanted):
    assert parse_budget(value) == pytest.approx(wanted)


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "x", "%", "100%", "200%"])
def test_no_budgets(value):
    with pytest.raises(UsageError, match="--malformed-budget"):
        parse_budget(value)


def test_lists_of_values():
    assert split_list(["a,b", " c ", ","]) == ["a", "b", "c"]
