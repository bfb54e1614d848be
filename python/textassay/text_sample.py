"""A sample of a corpus's documents, to show and to learn from: those whose texts have the least hashes.

Which they are follows from the texts alone, not from the order or the cut of the files, and samples of two corpora hold the
same part of what both have. Equal texts count once.
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from os import PathLike

from textassay.errors import InputError
from textassay.fields import parse_field
from textassay.inputs import resolve_inputs
from textassay.records import each_line, field_of, is_text, parse_record, text_of
from textassay.scanning import MAX_RECORD_BYTES, MAX_WINDOW_LOG

DOCUMENTS = 2000
CHARACTERS = 20_000
"""Of a longer text the beginning is kept."""


@dataclass(frozen=True)
class TextSample:
    """`texts`, by hash; of how many documents, and what could not be read on the way."""

    texts: Sequence[str]
    n_documents: int
    n_malformed: int
    n_damaged: int
    """Files that end in damage; what was whole before it counts."""

    def account(self) -> dict[str, int]:
        numbers = {name: value for name, value in vars(self).items() if name != "texts"}
        return numbers | {"n_sampled": len(self.texts)}


def sample_texts(
    inputs: str | PathLike[str] | Iterable[str | PathLike[str]],
    text_fields: Sequence[str] = ("text",),
    n: int = DOCUMENTS,
) -> TextSample:
    """Up to `n` documents of JSONL files, plain, zstd or gzip, named as for `scan`. All are read, `n` are held.

    Raises `InputError` where there is no input, `UsageError` on a field that is none.
    """
    fields = [parse_field(field) for field in text_fields]
    kept: list[tuple[int, str]] = []
    hashes: set[int] = set()
    documents = malformed = damaged = 0
    for given in resolve_inputs(inputs):
        try:
            for line in each_line(given.source, MAX_WINDOW_LOG, MAX_RECORD_BYTES):
                if line is not None and not line.strip(b" \t\r"):
                    continue
                text = None if line is None else _text(line, fields)
                if text is None:
                    malformed += 1
                    continue
                documents += 1
                # Negated: the heap's top is the greatest hash of those that are kept.
                entry = -int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big"), text[:CHARACTERS]
                if entry[0] in hashes or len(kept) == n and entry[0] <= kept[0][0]:
                    continue
                hashes.add(entry[0])
                heapq.heappush(kept, entry)
                if len(kept) > n:
                    hashes.discard(heapq.heappop(kept)[0])
        except InputError:
            damaged += 1
    ordered = [text for _, text in sorted(kept, reverse=True)]
    return TextSample(ordered, documents, malformed, damaged)


def _text(line: bytes, fields: Sequence[tuple[str, ...]]) -> str | None:
    """None where the line is no record with a text."""
    try:
        record = parse_record(line)
    except InputError:
        return None
    found = [value for field in fields if (value := field_of(record, field)) is not None]
    return text_of(record, fields) if found and all(map(is_text, found)) else None
