"""The README says what is there: its commands, files, options and names exist, and its Python example runs."""

import ast
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


SHELL = [line for block in blocks(README, "sh") for line in block.splitlines() if line and not line.startswith("#")]


def test_two_commands_come_first():
    """One installs and runs the main job, one installs and tests; both are scripts of this repository that can be executed."""
    assert SHELL[:2] == ["scripts/quickstart", "scripts/test"]
    for command in SHELL[:2]:
        assert os.access(ROOT / command, os.X_OK), command


def test_ci_runs_the_second():
    assert re.search(r"^scripts/test\b", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


@pytest.mark.parametrize("script", ["quickstart", "test", "system-packages", "virtual-environment"])
def test_scripts_parse(script):
    subprocess.run(["bash", "-n", ROOT / "scripts" / script], check=True)


def test_quickstart_scans_what_is_there():
    script = (ROOT / "scripts" / "quickstart").read_text()
    assert "textassay scan examples " in script
    assert (ROOT / "examples" / "sample.jsonl.zst").stat().st_size < 2_000_000
    assert sum(p.stat().st_size for p in (ROOT / "examples" / "shards").iterdir()) < 2_000_000


def textassay(*arguments: str, **variables: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb", **variables}
    command = [sys.executable, "-m", "textassay", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=ROOT, timeout=300)


@pytest.mark.parametrize("line", [c for c in SHELL if c.startswith("textassay ")])
def test_shell_lines(line):
    """Each command and each of its options is known."""
    words = line.partition("#")[0].split()
    command = [word for word in itertools.takewhile(str.isalpha, words[1:])]
    command = command[: 2 if command[:1] in (["anchor"], ["tail"]) else 1]
    asked = textassay(*command, "--help")
    assert asked.returncode == 0, asked.stderr
    for option in re.findall(r"(?<!\S)--?[a-z][a-z-]*", line.partition("#")[0]):
        assert option in asked.stdout, f"{' '.join(command)} does not know {option}"


def test_table_of_commands():
    listed = re.findall(r"^\| `textassay ([a-z]+)[^`]*` \|", README, re.MULTILINE)
    assert {"scan", "merge", "bench"} <= set(listed)
    for command in listed:
        assert textassay(command, "--help").returncode == 0, command


def test_version():
    """Backend, kernels and the libraries underneath are named."""
    asked = textassay("--version")
    assert asked.returncode == 0
    for name in ("textassay", "native", "zstd", "simdjson"):
        assert name in asked.stdout.lower()


def test_python_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    for block in blocks(README, "python"):
        code = block.replace('"audit', f'"{tmp_path}/audit').replace('"novels', f'"{tmp_path}/novels')
        exec(compile(ast.parse(code), "README.md", "exec"), {"__name__": "readme"})  # noqa: S102 - our own text


@pytest.mark.parametrize("text", [README, CONTRIBUTING], ids=["README", "CONTRIBUTING"])
def test_links_and_paths_exist(text):
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith(("http://", "https://")):
            assert (ROOT / target).exists(), target
    for folder in ("csrc", "python", "tests", "bench", "tools", "scripts", "docs", "examples", "cmake"):
        for path in re.findall(rf"`({folder}/[\w./-]*)`", text):
            assert (ROOT / path).exists(), path


def test_files_in_out_are_those_of_the_readme(tmp_path):
    """What the table of outputs lists is what a scan leaves."""
    done = textassay("scan", "examples/shards", "-o", str(tmp_path / "audit"))
    assert done.returncode == 0, done.stderr
    left = {p.name for p in (tmp_path / "audit").iterdir() if not p.name.startswith(".")}
    listed = set(
        re.findall(
            r"^\| `([\w.]+?)/?` \|", README.partition("## What comes out")[2].partition("\n## ")[0], re.MULTILINE
        )
    )
    assert listed == left


def test_readme_is_of_this_repository_only():
    for name in ("/work", "../shared", "TODO", "XXX"):
        assert name not in README, name
