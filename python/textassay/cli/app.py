"""Puts the commands together."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from textassay.cli.anchor import anchor
from textassay.cli.audit import audit
from textassay.cli.bench import bench
from textassay.cli.calibrate import calibrate
from textassay.cli.collapse import collapse
from textassay.cli.compare import compare
from textassay.cli.errors import open_standard_streams, reported
from textassay.cli.filter import filter_
from textassay.cli.gate import gate
from textassay.cli.merge import merge
from textassay.cli.mix import mix
from textassay.cli.options import example
from textassay.cli.report import report
from textassay.cli.sample import labels, sample
from textassay.cli.scan import scan
from textassay.cli.settings import CommandOptions, check_variables, load_settings, settings_file
from textassay.cli.simulate import simulate
from textassay.cli.status import status
from textassay.cli.tail import tail

app = typer.Typer(
    name="textassay",
    help="Measures text corpora: shards, zstd-compressed JSONL or Parquet, go in, one mergeable profile comes out.",
    epilog="Exit codes: 0 fine, 1 over a limit, 2 usage or configuration, 3 input damaged or malformed beyond the budget, 4 internal error "
    "or disk full, 130 and 143 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(epilog=example("scan shards/ -o audit/ --text-field content"))(reported(scan))
app.command(epilog=example("status audit/"))(reported(status))
app.command(epilog=example("merge node-1/ node-2/ -o corpus/"))(reported(merge))
app.command(epilog=example("calibrate labelled/ -o my.calibration --group-field prompt_id"))(reported(calibrate))
app.command(epilog=example("compare last-month/ audit/"))(reported(compare))
app.command(epilog=example("gate audit/ --policy policy.toml --junit junit.xml"))(reported(gate))
app.command(
    "filter", epilog=example("filter shards/ --scan audit/ -o filtered/ --hold 'mattr < 0.7 or n_tokens < 20'")
)(reported(filter_))
app.command(epilog=example("sample shards/ -n 100 -o review.jsonl --csv review.csv"))(reported(sample))
app.command(epilog=example("labels review.jsonl --csv review.csv -o labelled.jsonl"))(reported(labels))
app.command(epilog=example("mix audit/ --policy policy.toml -o weights.json"))(reported(mix))
app.command(epilog=example("collapse human.tap march.tap april.tap"))(reported(collapse))
app.command(epilog=example("simulate shards/ -o generations/ --generation-tokens 1M --tail-floor 0.6"))(
    reported(simulate)
)
app.command(epilog=example("audit train.bin --vocab-size 50257 --floor 7.5"))(reported(audit))
app.command(epilog=example("report audit/ --anchor human.anchor"))(reported(report))
app.command(epilog=example("bench shards/part-000.jsonl.zst"))(reported(bench))
app.add_typer(anchor, name="anchor")
app.add_typer(tail, name="tail")


def _print_version(wanted: bool) -> None:
    if wanted:
        reported(print_version)()
        raise typer.Exit


def print_version() -> None:
    from textassay import __version__, _backend

    info = _backend.get().backend_info()
    print(f"textassay {__version__}")
    for name, value in info.items():
        print(f"{name} {value}")
    print(f"chosen because {_backend.reason()}")


@app.callback()
@reported
def start(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings file instead of ./textassay.toml or ./pyproject.toml.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Versions, backend, kernels.")
    ] = False,
) -> None:
    commands = _command_options(context.command)
    check_variables(os.environ, commands)
    path = settings_file(Path.cwd()) if config is None else config
    if path is not None:
        context.default_map = _nested(load_settings(path, commands))


def _command_options(group: Any, prefix: str = "") -> CommandOptions:
    """A command of a group is named `group command`."""
    found: dict[str, dict[str, str]] = {}
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found |= _command_options(command, f"{name} ")
        else:
            found[prefix + name] = {
                option.removeprefix("--"): parameter.name
                for parameter in command.params
                for option in parameter.opts
                if option.startswith("--") and option != "--help"
            }
    return found


def _nested(values: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """As click wants it: the values of `group command` in a mapping of the group."""
    found: dict[str, Any] = {}
    for name, settings in values.items():
        group, _, command = name.rpartition(" ")
        (found.setdefault(group, {}) if group else found)[command] = settings
    return found


def main() -> None:
    """The program `textassay`."""
    open_standard_streams()
    app(prog_name="textassay")
