"""Tap a pipeline of generators: python examples/generator_pipeline.py.

A `Scanner` sees the records that pass, some at a time, drops those that repeat themselves, and keeps the profile of what it saw, the same that
a scan of a file with these texts would have.
"""

import io
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import zstandard

import textassay as ta

SHARD = Path(__file__).parent / "shards" / "shard-000.jsonl.zst"
AT_ONCE = 64


def read(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
        for line in io.TextIOWrapper(stream, "utf-8"):
            yield json.loads(line)


def tapped(records: Iterable[dict[str, Any]], scanner: ta.Scanner) -> Iterator[dict[str, Any]]:
    """Passes on what is lively enough. All of it is counted."""
    stream = iter(records)
    while some := list(islice(stream, AT_ONCE)):
        figures = scanner.update([record["text"] for record in some])
        for record, tokens, mattr in zip(some, figures["n_tokens"], figures["mattr"], strict=True):
            if tokens < 100 or mattr > 0.72:
                yield record | {"mattr": float(mattr)}


def main() -> None:
    scanner = ta.Scanner(signals="n_tokens,mattr")
    kept = sum(1 for _ in tapped(read(SHARD), scanner))
    summary = scanner.profile.summary()
    print(f"{kept} of {summary['n_documents']} documents kept; {summary['entropy_bits']:.3f} bits a token before that")
    assert 0 < kept < summary["n_documents"]
    assert summary["entropy_bits"] == ta.scan(SHARD, signals="n_tokens,mattr").summary["corpus"]["entropy_bits"]


if __name__ == "__main__":
    main()
