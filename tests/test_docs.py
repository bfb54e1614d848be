"""The documentation says what is there: its references are complete and fresh, its recipes and the examples run."""

import ast
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import textassay as ta
from textassay import _backend, metrics

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def text_of(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


# References


def test_reference_of_the_command_line_is_fresh():
    """`python tools/make_cli_reference.py` writes it anew."""
    page = runpy.run_path(str(ROOT / "tools" / "make_cli_reference.py"))["page"]()
    assert text_of("reference/cli.md") == page


def test_reference_of_the_command_line_is_complete():
    """Whatever typer knows is on the page: each command of its help, and each option of theirs."""
    import typer

    from textassay.cli.app import app

    sections = dict(
        re.findall(r"^## (textassay.*?)\n(.*?)(?=^## |\Z)", text_of("reference/cli.md"), re.MULTILINE | re.DOTALL)
    )

    def check(name: str, command) -> None:
        for inner, found in getattr(command, "commands", {}).items():
            check(f"{name} {inner}", found)
        if name in sections:
            for parameter in command.params:
                for option in parameter.opts:
                    if option.startswith("-") and option not in ("--help", "--install-completion", "--show-completion"):
                        assert f"`{option}" in sections[name] or f"{option}/" in sections[name], f"{name} {option}"
        else:
            assert hasattr(command, "commands"), name

    check("textassay", typer.main.get_command(app))


def test_reference_of_python_is_complete():
    """Each public name, where it is defined, once."""
    found = re.findall(r"^::: textassay\.([\w.]+)$", text_of("reference/python.md"), re.MULTILINE)
    homes = ta._HOME
    assert sorted(found) == sorted(
        f"{homes[name]}.{name}" if name in homes else name for name in ta.__all__ if name != "__version__"
    )


def test_public_names_say_what_they_are():
    for name in ta.__all__:
        if name != "__version__":
            assert getattr(ta, name).__doc__, name


def test_every_signal_is_explained():
    explained = set(re.findall(r"`(\w+)`", text_of("concepts.md")))
    assert set(_backend.get().SIGNALS) - {"n_bytes", "n_chars", "n_tokens", "n_types", "n_sentences"} <= explained


def test_every_gauge_is_listed(tmp_path):
    np.save(tmp_path / "ids.npy", np.arange(99))
    options = {"provenance": ROOT / "examples" / "provenance.toml", "entropy_floor": 1.0}
    summaries = [
        ta.scan(ROOT / "examples" / "shards", **options).summary,
        ta.audit_tokens(tmp_path / "ids.npy", vocab_size=50).summary,
    ]
    found = {family.name for summary in summaries for family in metrics._families(summary)}
    listed = set(re.findall(r"`(\w+)`", text_of("monitoring.md")))
    assert len(found) > 25 and found <= listed, found - listed


# The site


def test_every_page_is_in_the_navigation():
    """And nothing else. `mkdocs build --strict`, a job of CI, follows the links."""

    def pages(part) -> list[str]:
        if isinstance(part, str):
            return [part]
        return [page for one in (part.values() if isinstance(part, dict) else part) for page in pages(one)]

    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    assert sorted(pages(nav)) == sorted(page.relative_to(DOCS).as_posix() for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_links_and_snippets_exist(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"(?<!`)\]\(([^)#\s]+)[^)]*\)", text):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target
    for name, section in re.findall(r'^--8<-- "([^":]+)(?::(\w+))?"$', text, re.MULTILINE):
        source = (ROOT / name).read_text(encoding="utf-8")
        if section:
            assert f"[start:{section}]" in source and f"[end:{section}]" in source, f"{name}: {section}"


# Recipes and examples


@pytest.fixture(scope="module")
def workshop(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """A folder with the examples in it, and `textassay` on the path."""
    folder = tmp_path_factory.mktemp("workshop")
    shutil.copytree(ROOT / "examples", folder / "examples")
    programs = folder / ".programs"
    programs.mkdir()
    (programs / "textassay").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m textassay "$@"\n')
    (programs / "textassay").chmod(0o755)
    return folder, {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "TERM": "dumb"}


def run(workshop: tuple[Path, dict[str, str]], *command: str) -> subprocess.CompletedProcess:
    folder, environment = workshop
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder, env=environment, timeout=600
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done


@pytest.mark.parametrize("page", ["quickstart.md", "cookbook.md", "monitoring.md"])
def test_recipes_run(workshop, page):
    """From the top of the page to its end, as a reader would."""
    script = "\n".join(blocks(text_of(page), "sh"))
    assert script.count("textassay ") >= 1
    run(workshop, "bash", "-euo", "pipefail", "-c", script)


@pytest.mark.parametrize("page", ["quickstart.md", "monitoring.md", "audit.md"])
def test_python_blocks_run(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    for block in blocks(text_of(page), "python"):
        exec(compile(ast.parse(block), page, "exec"), {"__name__": "docs"})  # noqa: S102 - our own text


def test_there_are_examples():
    assert {path.stem for path in EXAMPLES} >= {"training_loop", "measure_column", "generator_pipeline"}
    for path in EXAMPLES:
        assert path.name in text_of("cookbook.md")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_run(workshop, path):
    """As programs of their own; each asserts what it shows."""
    assert run(workshop, sys.executable, "-W", "error", f"examples/{path.name}").stdout


# Completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(workshop, shell):
    shown = run(workshop, "textassay", "--show-completion", shell).stdout
    assert "_TEXTASSAY_COMPLETE" in shown
    if shell == "bash":
        run(workshop, "bash", "-n", "-c", shown)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("textassay sc", {"scan"}),
        ("textassay anchor ", {"build", "check", "info"}),
        ("textassay scan --ent", {"--entropy-floor"}),
    ],
)
def test_bash_completes(workshop, line, expected):
    """In a bash that has sourced the script."""
    script = run(workshop, "textassay", "--show-completion", "bash").stdout
    words = line.split(" ")
    ask = f"COMP_WORDS=({' '.join(word or chr(39) * 2 for word in words)}); COMP_CWORD={len(words) - 1}"
    found = run(
        workshop, "bash", "-c", f'{script}\n{ask}; _textassay_completion textassay; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    assert expected <= set(found.stdout.split())
