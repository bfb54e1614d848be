"""What a type checker makes of code that uses the package: py.typed works, and the annotations of public names hold."""

import subprocess
import sys
from pathlib import Path

import pytest

import textassay

ROOT = Path(__file__).parent.parent
PACKAGE = Path(textassay.__file__).parent


def checked(cache: Path, *files: Path) -> str:
    """What mypy says of them. The package is found where it is imported from; what it holds itself is not judged here."""
    options = ("--strict", "--follow-imports=silent", "--ignore-missing-imports", "--no-error-summary")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, f"--cache-dir={cache}", *map(str, files)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cache,
        env={"MYPYPATH": str(PACKAGE.parent), "PATH": ""} if "site-packages" not in PACKAGE.parts else None,
        timeout=300,
    )
    assert not done.stderr, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("mypy")


def test_examples_are_typed(cache):
    files = sorted((ROOT / "examples").glob("*.py"))
    assert len(files) > 2
    assert checked(cache, *files) == ""


def test_every_public_name_has_a_type(cache, tmp_path):
    """None is Any: a checker knows what each name is."""
    lines = ["import textassay as ta", *(f"reveal_type(ta.{name})" for name in textassay.__all__)]
    (tmp_path / "names.py").write_text("\n".join(lines) + "\n")
    found = checked(cache, tmp_path / "names.py").splitlines()
    assert {int(line.split(":")[1]) for line in found} == set(range(2, len(lines) + 1))
    assert [line for line in found if 'Revealed type is "Any"' in line or ": error:" in line] == []


@pytest.mark.parametrize(
    ("use", "error"),
    [
        ('ta.scan("shard", thread=2)', "call-arg"),
        ("ta.scan(5)", "arg-type"),
        ('ta.scan("shard", documents="rows")', "arg-type"),
        ('number: int = ta.measure(["text"])', "assignment"),
        ("ta.BatchAuditor(10).updat([1])", "attr-defined"),
        ("ta.Scaner()", "attr-defined"),
    ],
)
def test_wrong_use_is_seen(cache, tmp_path, use, error):
    (tmp_path / "use.py").write_text(f"import textassay as ta\n\n{use}\n")
    assert f"[{error}]" in checked(cache, tmp_path / "use.py")
