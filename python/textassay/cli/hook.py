"""`textassay-gate-staged`: what the pre-commit hook runs (.pre-commit-hooks.yaml)."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from textassay.cli.errors import DAMAGED, FINE


def gate_staged(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Data files that are staged.")],
    policy: Annotated[
        Path | None, typer.Option("--policy", help="Limits, a TOML file; else the default policy.")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option("--reference", help="What drift and tail are measured against.")
    ] = None,
) -> None:
    """Scan data files and hold them to a policy. All other options of `scan` and `gate` come from ./textassay.toml."""
    given = {"--policy": policy, "--reference": reference}
    options = [text for name, value in given.items() if value is not None for text in (name, str(value))]
    with TemporaryDirectory(prefix="textassay-") as folder:
        audit = str(Path(folder) / "staged")
        scanned = _run("scan", "--quiet", "--out", audit, "--", *map(str, files), is_quiet=True)
        # Damage is for the policy to judge.
        raise typer.Exit(_run("gate", *options, "--", audit) if scanned in (FINE, DAMAGED) else scanned)


def _run(*arguments: str, is_quiet: bool = False) -> int:
    """A command as the user would give it, so that settings and variables count. A quiet one speaks of errors only."""
    done = subprocess.run([sys.executable, "-m", "textassay", *arguments], capture_output=is_quiet, check=False)
    if is_quiet and done.returncode not in (FINE, DAMAGED):
        sys.stderr.buffer.write(done.stderr)
    return done.returncode


def main() -> None:
    """The program `textassay-gate-staged`."""
    typer.run(gate_staged)
