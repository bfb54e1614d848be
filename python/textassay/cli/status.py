"""`textassay status`."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from textassay.cli.options import Json


def status(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder that a scan writes to.")],
    as_json: Json = False,
) -> None:
    """How far a scan is: as of its last commit, whether it runs or has stopped."""
    from textassay.folder import json_text
    from textassay.status import scan_status

    found = scan_status(out)
    sys.stdout.write(json_text(found) if as_json else "".join(f"{line}\n" for line in _lines(out, found)))


def _lines(out: Path, found: dict[str, Any]) -> list[str]:
    from textassay.cli.render import number

    state = {"stopped": "stopped; the same command goes on with it"}.get(found["state"], found["state"])
    shards = [f"{count:,} {name}" for name, count in found.get("shards", {}).items() if count]
    if found["committed"] is None:
        return [f"{out}: {state}; nothing has been committed yet"]
    done = f"{number(found['bytes_compressed'])}B"
    total = found["bytes_total"]
    share = "" if not total else f" of {number(total)}B ({100 * found['bytes_compressed'] / total:.1f} %)"
    return [
        f"{out}: {state}",
        *([f"shards     {', '.join(shards)}"] if shards else []),
        f"files      {found['files']:,} of {found['files_total']:,}",
        f"read       {done}{share}",
        f"documents  {found['documents']:,}",
        f"committed  {found['committed']}",
    ]
