"""All shards of a scan in this process, one after the other: for a scan that may be interrupted, and as what other engines are
held against.
"""

from collections.abc import Callable, Iterable
from os import PathLike
from pathlib import Path
from typing import Any

from textassay.checkpoint import SECONDS
from textassay.merging import merge_shards
from textassay.profile import Profile
from textassay.scanning import Course, Progress
from textassay.shards import make_plan


def scan(
    inputs: str | PathLike[str] | Iterable[str | PathLike[str]],
    out: str | PathLike[str],
    *,
    shards: int,
    on_progress: Callable[[Progress], None] | None = None,
    restart: bool = False,
    checkpoint_seconds: float | None = SECONDS,
    should_stop: Callable[[], bool] | None = None,
    **options: Any,
) -> tuple[Profile, dict[str, Any]]:
    """Scans the shards that are not finished yet, adds all up, and leaves the sum in `out`, too. `options` are those of
    `scan`; `on_progress` is told of one shard at a time, and `restart` is for shards that have been begun. Raises what
    `scan_shard` and `merge_profiles` raise.
    """
    plan = make_plan(inputs, shards, **options)
    plan.claim(out)
    course = Course(on_progress, restart, checkpoint_seconds, should_stop)
    for shard in plan.record.shards:
        if not shard.is_finished(Path(out)):
            plan.scan(shard.index, Path(out), course)
    return merge_shards(out)
