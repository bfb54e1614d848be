"""Writes docs/reference/cli.md, the reference of all commands: `python tools/make_cli_reference.py`.

It is read off the functions that the commands are, so that it does not depend on how typer formats its help.
tests/test_docs.py fails where the page is not what this writes.
"""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from typer import Typer
from typer.models import ArgumentInfo, CommandInfo, OptionInfo

from textassay.cli.app import app
from textassay.cli.hook import gate_staged

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "cli.md"

HEAD = """\
# Command line

<!-- Written by tools/make_cli_reference.py -->

{help}

{epilog}

A value comes from the command line, else from the variable `TEXTASSAY_` and the option's name in capitals (`TEXTASSAY_BATCH_TOKENS`), else from
`textassay.toml` or `[tool.textassay]` in `pyproject.toml`, else it is the default. Sizes may end in K, M, G or T. Where a command
prints JSON with `--json`, nothing else is on stdout. `textassay --install-completion` completes commands and options in
bash, zsh, fish and PowerShell.
"""

METAVARS = {int: "INTEGER", float: "NUMBER", str: "TEXT", Path: "PATH"}


def page() -> str:
    """The whole page."""
    parts = [HEAD.format(help=app.info.help, epilog=app.info.epilog)]
    parts += [_section(*command) for command in _commands(app, "textassay")]
    parts.append(_section("textassay-gate-staged", gate_staged, ""))
    return "\n".join(parts)


def _commands(group: Typer, prefix: str) -> Iterator[tuple[str, Any, str]]:
    if group.registered_callback is not None and prefix == "textassay":
        yield prefix, group.registered_callback.callback, ""
    for command in group.registered_commands:
        yield f"{prefix} {_name_of(command)}", command.callback, command.epilog or ""
    for inner in group.registered_groups:
        assert isinstance(inner.name, str) and inner.typer_instance is not None
        yield from _commands(inner.typer_instance, f"{prefix} {inner.name}")


def _name_of(command: CommandInfo) -> str:
    return command.name or str(getattr(command.callback, "__name__", "")).rstrip("_").replace("_", "-")


def _section(name: str, callback: Any, example: str) -> str:
    arguments, options = [], []
    for parameter in inspect.signature(callback).parameters.values():
        if get_origin(parameter.annotation) is not Annotated:
            continue
        kind, info = get_args(parameter.annotation)[:2]
        if isinstance(info, ArgumentInfo):
            dots = "..." if _plain_type(kind)[1] and not str(info.metavar).endswith(".") else ""
            is_needed = parameter.default is inspect.Parameter.empty
            arguments.append((f"{info.metavar}{dots}", info.help or "", is_needed))
        elif isinstance(info, OptionInfo):
            options.append((_option(parameter.name, kind, info), _default(parameter.default, info), info.help or ""))
    usage = " ".join([name, "[OPTIONS]", *(text if needed else f"[{text}]" for text, _, needed in arguments)])
    lines = [f"## {name}", "", _plain(inspect.getdoc(callback) or "All commands."), "", "```", usage, "```", ""]
    if example:
        lines += [re.sub("^(For example): (.*)$", r"\1: `\2`", example), ""]
    if arguments:
        lines += ["| argument | what |", "| --- | --- |"]
        lines += [f"| `{text}` | {_cell(what)} |" for text, what, _ in arguments]
        lines.append("")
    if options:
        lines += ["| option | default | what |", "| --- | --- | --- |"]
        lines += [f"| {option} | {default} | {_cell(what)} |" for option, default, what in options]
        lines.append("")
    return "\n".join(lines)


def _option(name: str, kind: Any, info: OptionInfo) -> str:
    plain, is_many = _plain_type(kind)
    dashed = name.replace("_", "-")
    # In Annotated[...], typer takes what stands first for the default.
    declared = [one for one in (info.default, *(info.param_decls or ())) if isinstance(one, str) and one[0] == "-"]
    declared = declared or [f"--{dashed}/--no-{dashed}" if plain is bool else f"--{dashed}"]
    value = "" if plain is bool else f" {info.metavar or METAVARS.get(plain, 'TEXT')}"
    names = sorted(declared, key=lambda one: one.startswith("--"))
    return ", ".join(f"`{one}`" for one in names[:-1] + [names[-1] + value]) + (" …" if is_many else "")


def _plain_type(kind: Any) -> tuple[Any, bool]:
    """Without None; of a list what is in it."""
    if get_origin(kind) in (Union, UnionType):
        kind = next(one for one in get_args(kind) if one is not NoneType)
    return (get_args(kind)[0], True) if get_origin(kind) is list else (kind, False)


def _default(value: Any, info: OptionInfo) -> str:
    if isinstance(info.show_default, str):
        return info.show_default
    if value is inspect.Parameter.empty:
        return "needed"
    if value is None or value is False or value == [] or info.show_default is False:
        return ""
    if value is True:
        return "on"
    return f"`{','.join(map(str, value)) if isinstance(value, list) else value}`"


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
