"""What `--shard`, `--engine` and the options beside them ask for."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textassay.cli.errors import say
from textassay.errors import UsageError
from textassay.profile import Profile

ENGINES = ("local", "ray")


@dataclass(frozen=True)
class Scanned:
    """What there is to print."""

    summary: Mapping[str, Any]
    profile: Profile
    out: Path | None


@dataclass(frozen=True)
class Division:
    """How the work is to be divided. `memory` is in bytes."""

    shard: str | None
    engine: str
    shards: int | None
    address: str | None
    memory: int | None

    def scan(self, inputs: list[str], out: Path | None, options: Mapping[str, Any]) -> Scanned | None:
        """`options` are those of `scan`. None where a shard has no files."""
        self._check(out)
        if out is not None and self.shard is not None:
            return self._scan_shard(inputs, out, options)
        if out is not None and self.engine == "ray":
            from textassay.engines.ray import scan as scan_on_ray

            ray_options = {"shards": self.shards, "address": self.address, "memory": self.memory}
            profile, summary = scan_on_ray(inputs, out, **ray_options, **options)
            return Scanned(summary, profile, out)
        if out is not None and self.shards is not None:
            from textassay.engines.local import scan as scan_here

            profile, summary = scan_here(inputs, out, shards=self.shards, **options)
            return Scanned(summary, profile, out)
        from textassay.scanning import scan

        result = scan(inputs, out, **options)
        return Scanned(result.summary, result.profile, result.out)

    def _check(self, out: Path | None) -> None:
        if self.engine not in ENGINES:
            raise UsageError(f"--engine {self.engine}: wanted one of {', '.join(ENGINES)}")
        if self.shard is not None and (self.shards is not None or self.engine != "local"):
            raise UsageError(
                "--shard is for one part, --shards and --engine are for all of them: wanted one or the other"
            )
        if self.engine != "ray" and (self.address, self.memory) != (None, None):
            raise UsageError("--address and --memory are for --engine ray")
        if out is None and (self.shard, self.shards, self.engine) != (None, None, "local"):
            raise UsageError("shards leave their results in a folder: wanted -o OUT")

    def _scan_shard(self, inputs: list[str], out: Path, options: Mapping[str, Any]) -> Scanned | None:
        from textassay.shards import scan_shard

        done = scan_shard(inputs, out, self.shard or "", **options)
        summary = done.summary
        if summary is None:
            say(f"shard {done.index}/{done.count} has no files: nothing to do")
            return None
        if done.was_there:
            say(f"shard {done.index}/{done.count} was finished before: nothing to do")
        return Scanned(summary, Profile.load(done.folder / "profile.tap"), done.folder)
