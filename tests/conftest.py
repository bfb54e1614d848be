"""Fixtures for all tests."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import settings

from implementations import BACKENDS, backend_module
from shard_texts import SHARD_TEXTS
from textassay import _backend

# A busy machine, or a kernel that is compiled on its first call, is no failure.
settings.register_profile("textassay", deadline=None)
settings.load_profile("textassay")


@pytest.fixture(params=[implementation.backend for implementation in BACKENDS])
def backend(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The test runs once on each backend; one that does not load fails its tests, it does not skip them."""
    backend_module(request.param)
    with _backend.using(request.param) as module:
        yield module


@pytest.fixture
def shard(tmp_path: Path) -> Callable[..., Path]:
    """Writes a shard: `shard("name.jsonl.zst", records, junk=b"...")`. A record is a text, a dict, or bytes as they are."""

    def write(name: str, records: Sequence[Any], junk: bytes = b"") -> Path:
        lines = [
            one if isinstance(one, bytes) else json.dumps(_record(i, one)).encode() for i, one in enumerate(records)
        ]
        data = b"".join(line + b"\n" for line in lines)
        if name.endswith(".zst"):
            data = zstandard.ZstdCompressor(write_checksum=True).compress(data)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data + junk)
        return path

    return write


@pytest.fixture
def corpus(shard: Callable[..., Path], tmp_path: Path) -> Path:
    """A folder of seven shards, zstd-compressed and not."""
    for number, texts in enumerate(SHARD_TEXTS):
        records = [{"id": f"{number}-{n}", "text": text} for n, text in enumerate(texts)]
        shard(f"in/{'abcdefg'[number]}.jsonl{'.zst' if number % 2 else ''}", records)
    return tmp_path / "in"


def _record(position: int, one: Any) -> Any:
    return {"id": f"d{position}", "text": one} if isinstance(one, str) else one
