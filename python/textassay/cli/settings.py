"""Settings. The command line comes first, then TEXTASSAY_*, then textassay.toml or [tool.textassay], then the default."""

import os
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from textassay.errors import UsageError, reason_of
from textassay.untrusted import read_toml

OWN_FILE = "textassay.toml"
PROJECT_FILE = "pyproject.toml"
PREFIX = "TEXTASSAY_"

OTHER_VARIABLES = ("TEXTASSAY_BACKEND", "TEXTASSAY_KERNELS", "TEXTASSAY_NUMBA_CACHE", "TEXTASSAY_REQUIRE_NATIVE")
"""Variables that are no options of a command."""

CommandOptions = Mapping[str, Mapping[str, str]]
"""Of each command: its options' long names without dashes, each with the name that its value has in the program."""


def variable_of(option: str) -> str:
    """`batch-tokens` is TEXTASSAY_BATCH_TOKENS."""
    return PREFIX + option.upper().replace("-", "_")


def settings_file(folder: Path) -> Path | None:
    """textassay.toml of a folder, else its pyproject.toml if that has a table [tool.textassay]."""
    own, project = folder / OWN_FILE, folder / PROJECT_FILE
    if own.is_file():
        return own
    return project if project.is_file() and _of_project(_parsed(project)) is not None else None


def load_settings(path: Path, commands: CommandOptions) -> dict[str, dict[str, Any]]:
    """Values by command and name in the program.

    A key at the top goes to every command that has the option, one in a table named for a command to that command
    only. `-` and `_` are the same. Raises `UsageError` naming the file and key for what is no option of any
    command.
    """
    content = _parsed(path)
    if path.name == PROJECT_FILE:
        content = _of_project(content) or {}
    values: dict[str, dict[str, Any]] = {command: {} for command in commands}
    anywhere = {option for options in commands.values() for option in options}
    # Tables last: a command's own key beats one for all.
    for key, value in sorted(content.items(), key=lambda item: isinstance(item[1], dict)):
        option = key.replace("_", "-")
        if isinstance(value, dict):
            if key not in commands:
                raise UsageError(f"{path}: unknown table [{key}]{_hint(key, commands)}")
            for inner, setting in value.items():
                _set(values[key], commands[key], path, inner, setting)
        elif option not in anywhere:
            raise UsageError(f"{path}: unknown key {key!r}{_hint(option, anywhere)}")
        else:
            for command, options in commands.items():
                if option in options:
                    _set(values[command], options, path, key, value)
    return values


def check_variables(environment: Mapping[str, str], commands: CommandOptions) -> None:
    """Raises `UsageError` for a TEXTASSAY_ variable that looks like a misspelt option.

    One that resembles none is let through: scripts and other tools may use the prefix for their own purposes.
    """
    known = {variable_of(option) for options in commands.values() for option in options} | set(OTHER_VARIABLES)
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known:
            close = get_close_matches(name, known, 1, 0.85)
            if close:
                raise UsageError(f"unknown variable {name}: did you mean {close[0]}?")


def _set(values: dict[str, Any], options: Mapping[str, str], path: Path, key: str, value: Any) -> None:
    option = key.replace("_", "-")
    if option not in options:
        raise UsageError(f"{path}: unknown key {key!r}{_hint(option, options)}")
    if isinstance(value, dict):
        raise UsageError(f"{path}: {key}: wanted a value, found a table")
    values[options[option]] = ",".join(map(str, value)) if isinstance(value, list) else value


def _hint(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, list(known), 1)
    return f"; did you mean {close[0]!r}?" if close else f"; known are {', '.join(sorted(known))}"


def _of_project(content: Mapping[str, Any]) -> dict[str, Any] | None:
    """The table [tool.textassay]."""
    tools = content.get("tool")
    found = tools.get("textassay") if isinstance(tools, dict) else None
    return found if isinstance(found, dict) else None


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return read_toml(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read the settings in {os.fspath(path)}: {reason_of(error)}") from error
