"""The pre-commit hook and the composite action: what their files say is run here, as far as it can be without their hosts."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

ROOT = Path(__file__).parent.parent
(HOOK,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"]}
RULES = '[[rule]]\nlabel = "human_verified"\npath = "*"\n'
TEXT = "The old man did not know what the grey sea would bring to him. He went home. " * 10


def environment(**variables: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TEXTASSAY_", "GITHUB_", "GIT_"))}
    return kept | {"COLUMNS": "160", "PYTHONPATH": os.pathsep.join(sys.path)} | variables


def record(text: str) -> str:
    return json.dumps({"text": text}) + "\n"


# --- the hook


@pytest.fixture
def repository(tmp_path):
    """A git repository with a policy, and data that is staged."""
    folder = tmp_path / "repository"
    (folder / "data").mkdir(parents=True)
    (folder / "textassay.toml").write_text('[scan]\nprovenance = "rules.toml"\n')
    (folder / "rules.toml").write_text(RULES)
    (folder / "strict.toml").write_text("[mattr]\nmin = 1.0\n")
    (folder / "data" / "good one[1].jsonl").write_text(record(TEXT) * 3)
    (folder / "notes.json").write_text("{}")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    return folder


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=True).stdout


def run_hook(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """As pre-commit does: the entry's words, the arguments of the configuration, the names of staged files that match."""
    staged = git(folder, "diff", "--cached", "--name-only", "--diff-filter=ACMRTUXB", "-z").split("\0")
    names = [name for name in staged if name and re.search(HOOK["files"], name)]
    module, function = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"][
        shlex.split(HOOK["entry"])[0]
    ].split(":")
    assert callable(getattr(import_module(module), function))
    code = f"from {module} import {function}; {function}()"
    command = [sys.executable, "-c", code, *shlex.split(HOOK["entry"])[1:], *arguments, *names]
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)


def test_the_hook_says_what_pre_commit_wants():
    assert HOOK["language"] == "python" and HOOK["require_serial"] is True
    known = {"id", "name", "description", "entry", "language", "files", "require_serial", "minimum_pre_commit_version"}
    assert set(HOOK) == known
    for name in ("a.jsonl", "b/c.jsonl.zst", "d.ndjson.gz"):
        assert re.search(HOOK["files"], name), name
    for name in ("a.json", "jsonl", "a.jsonl.txt", "a.zst"):
        assert not re.search(HOOK["files"], name), name


def test_the_hook_gates_what_is_staged(repository):
    (repository / "data" / "bad.jsonl").write_text("{")
    done = run_hook(repository)
    assert done.returncode == 0, "what is not staged is not looked at" + done.stdout + done.stderr
    assert "passes the gate" in done.stdout and done.stderr == ""
    git(repository, "add", ".")
    done = run_hook(repository)
    assert done.returncode == 1 and "bad.jsonl" in done.stdout and "FAIL  malformed_share" in done.stdout
    done = run_hook(repository, "--policy", "strict.toml")
    assert done.returncode == 1 and "good one[1].jsonl" in done.stdout and "FAIL  mattr" in done.stdout


def test_the_hook_says_what_is_wrong(repository):
    done = run_hook(repository, "--policy", "none.toml")
    assert done.returncode == 2 and "none.toml" in done.stderr
    (repository / "rules.toml").write_text("[[rule]]\n")
    done = run_hook(repository)
    assert done.returncode == 2 and "rules.toml" in done.stderr


# --- the action


def test_the_action_is_composite_and_safe():
    assert ACTION["runs"]["using"] == "composite"
    assert set(ACTION["inputs"]) == {"paths", "policy", "reference", "anchor", "version"}
    ids = {step.get("id") for step in ACTION["runs"]["steps"]}
    for step in ACTION["runs"]["steps"]:
        assert set(step) <= {"name", "id", "shell", "env", "run"} and step["shell"] == "bash"
        assert "${{" not in step["run"], "what a caller gives must not be pasted into a script"
    for output in ACTION["outputs"].values():
        step, name = re.fullmatch(r"\$\{\{ steps\.(\w+)\.outputs\.(\w+) \}\}", output["value"]).groups()
        assert step in ids and f'echo "{name}=' in "".join(step["run"] for step in STEPS.values())
    given = "".join(value for step in STEPS.values() for value in step["env"].values())
    assert set(re.findall(r"inputs\.(\w+)", given)) == set(ACTION["inputs"])


class Runner:
    """Runs the action's steps in a folder, with `textassay` of this checkout where the first step installs it."""

    def __init__(self, folder: Path, **inputs: str) -> None:
        self.folder = folder
        self.inputs = {name: value.get("default", "") for name, value in ACTION["inputs"].items()} | inputs
        self.outputs = folder / "outputs"
        self.page = folder / "page.md"
        for path in (self.outputs, self.page):
            path.touch()
        self.program("venv/bin/textassay", f'exec {shlex.quote(sys.executable)} -m textassay "$@"')

    def program(self, name: str, script: str) -> None:
        path = self.folder / "temp" / "textassay" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/usr/bin/env bash\n{script}\n")
        path.chmod(0o755)

    def run(self, name: str, **variables: str) -> subprocess.CompletedProcess:
        step = STEPS[name]
        values = {f"inputs.{key}": value for key, value in self.inputs.items()} | {"github.action_path": "/checkout"}
        own = {
            key: re.sub(r"\$\{\{ ([\w.]+) \}\}", lambda match: values[match[1]], text)
            for key, text in step["env"].items()
        }
        files = {"GITHUB_OUTPUT": str(self.outputs), "GITHUB_STEP_SUMMARY": str(self.page)}
        settings = environment(RUNNER_TEMP=str(self.folder / "temp"), **files, **own, **variables)
        # GitHub's own way to run `shell: bash`.
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        return subprocess.run(command, cwd=self.folder, env=settings, capture_output=True, text=True, check=False)

    def found(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self.outputs.read_text().splitlines())


def test_the_action_gates(tmp_path):
    (tmp_path / "one.jsonl").write_text(record(TEXT) * 3)
    (tmp_path / "two $(touch hacked).jsonl").write_text(record(TEXT) + "{\n")
    runner = Runner(tmp_path, paths="  one.jsonl\n\n two $(touch hacked).jsonl \n")
    scanned = runner.run("Scan", TEXTASSAY_PROVENANCE=str(rules(tmp_path)))
    assert scanned.returncode == 0, scanned.stderr  # though a record is malformed
    gated = runner.run("Gate")
    assert gated.returncode == 1 and "FAIL  malformed_share" in gated.stdout
    found = runner.found()
    assert found["passed"] == "false" and Path(found["audit"], "summary.json").is_file()
    assert json.loads(Path(found["report"]).read_text())["passed"] is False
    assert ElementTree.parse(found["junit"]).getroot().get("failures") == "1"
    assert Path(found["page"]).read_text().startswith("<!doctype html>")
    assert "malformed" in runner.page.read_text() and not (tmp_path / "hacked").exists()
    (tmp_path / "lax.toml").write_text("[malformed_share]\nmax = 0.5\n")
    runner = Runner(tmp_path, paths="one.jsonl", policy="lax.toml")
    assert runner.run("Gate").returncode == 0 and runner.found()["passed"] == "true"


def rules(folder: Path) -> Path:
    path = folder / "rules.toml"
    path.write_text(RULES)
    return path


def test_the_action_measures_against_an_anchor_and_a_reference(tmp_path):
    (tmp_path / "human.jsonl").write_text(record(TEXT) * 50)
    script = "import textassay, sys; textassay.build_anchor(sys.argv[1], sys.argv[2])"
    command = [sys.executable, "-c", script, "human.jsonl", "a.anchor"]
    subprocess.run(command, cwd=tmp_path, env=environment(), check=True)
    (tmp_path / "p.toml").write_text(
        '[perplexity]\nmax = 1e6\n[[drift]]\nfigure = "jsd_bits"\nmax = 0.5\n[tail_retention]\nmin = 0\nmode = "monitor"'
    )
    runner = Runner(tmp_path, paths="human.jsonl", anchor="a.anchor", reference="a.anchor", policy="p.toml")
    assert runner.run("Scan").returncode == 0
    done = runner.run("Gate")
    assert done.returncode == 0 and "a.anchor" in done.stdout, done.stdout + done.stderr


def test_the_action_fails_where_the_scan_does(tmp_path):
    runner = Runner(tmp_path, paths="nowhere.jsonl")
    done = runner.run("Scan")
    assert done.returncode == 1 and "nowhere.jsonl" in done.stderr


@pytest.mark.parametrize(
    ("version", "source"), [("", "/checkout[arrow,report]"), ("1.2.0", "textassay[arrow,report]==1.2.0")]
)
def test_the_action_installs(tmp_path, version, source):
    """With a `python3` that notes what is asked of it."""
    runner = Runner(tmp_path, version=version)
    runner.program("venv/bin/python", 'printf "%s\\n" "$@" > asked')
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").write_text("#!/usr/bin/env bash\n[ $1 = -m -a $2 = venv ]\n")
    (tmp_path / "bin" / "python3").chmod(0o755)
    done = runner.run("Install textassay", PATH=f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    assert done.returncode == 0, done.stderr
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[:3] == ["-m", "pip", "install"] and asked[-1] == source
