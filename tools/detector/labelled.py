"""The labelled data as training and evaluation see it: white space collapsed, no sentence that breaks off at the end."""

import hashlib
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from textassay import _backend

CODE = "Code"
"""Left out: its domains are too small to calibrate on."""
HUMAN_PREFIX_WORDS = 30
SHORTEST_WORDS = 20
CUT_WORDS = (50, 800)

CORPORA = {"english-novels": 20, "en-misc-docs": 2, "linux-kernel-docs": 1, "fortunes-en": 1}
"""Human text beside the labelled sets, and how many stretches a long document gives."""
LETTERS = 0.85
STRETCH = 20_000


@dataclass(frozen=True)
class Document:
    id: str
    dataset: str
    domain: str
    generator: str
    split: str
    synthetic: bool
    group: str
    """Shared by a human text and what was made of it."""
    text: str

    @property
    def opening(self) -> str:
        """Equal for the same text in two sets."""
        return self.text[:300].casefold()


def read_labelled(folder: Path) -> list[Document]:
    """All documents but code and the shortest, in the order of file names."""
    rows = (row for path in sorted(folder.glob("*.jsonl.zst")) for row in _rows(path))
    return [document for document in map(_document, rows) if document is not None]


def read_corpora(folder: Path) -> list[Document]:
    """Stretches of human prose."""
    return [
        Document(f"{row['id']}#{i}", "corpora", name, "human", "all", False, row["id"], text)
        for name, count in CORPORA.items()
        for row in _rows(folder / f"{name}-000.jsonl.zst")
        for i, text in enumerate(_stretches(row, count))
    ]


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
        for line in io.TextIOWrapper(stream, "utf-8"):
            yield json.loads(line)


def _document(row: dict[str, Any]) -> Document | None:
    group, _, split = row["id"].rpartition("/")
    group = group.rpartition("/")[0]
    text = finished(collapsed(row["text"]))
    if row["domain"] == CODE or len(words(text)) < SHORTEST_WORDS:
        return None
    synthetic = row["label"] == "synthetic"
    return Document(row["id"], row["source"], row["domain"], row["generator"], split, synthetic, group, text)


def _stretches(row: dict[str, Any], count: int) -> Iterator[str]:
    text = collapsed(row["text"])
    if len(text) < 400 or sum(c.isalpha() or c == " " for c in text) < LETTERS * len(text):
        return
    for i in range(count if len(text) > STRETCH else 1):
        begin = round(_fractions(f"{row['id']}#{i}")[0] * max(0, len(text) - STRETCH))
        yield text[begin : begin + STRETCH]


def collapsed(text: str) -> str:
    return " ".join(text.split())


_CLOSED = re.compile(r"""[.!?\u2026]["'\u201d\u2019)\]*_]*$""")


def finished(text: str) -> str:
    """Without a last sentence that breaks off, unless it is all there is."""
    raw = text.encode()
    boundaries = _backend.get().sentence_boundaries(raw).tolist()
    if len(boundaries) < 3 or _CLOSED.search(text):
        return text
    return raw[: boundaries[-2]].decode().rstrip()


def words(text: str) -> list[list[int]]:
    """Begin and end of each word, in bytes."""
    return _backend.get().word_spans(text.encode()).tolist()


def without_human_prefix(document: Document) -> str:
    """What the model wrote: a completion begins with 30 words or so of a human's."""
    spans = words(document.text)
    if document.split != "prefix30" or len(spans) <= HUMAN_PREFIX_WORDS + SHORTEST_WORDS:
        return document.text
    return document.text.encode()[spans[HUMAN_PREFIX_WORDS][0] :].decode()


def cut(document: Document) -> str:
    """A stretch for training. Its length is even in its logarithm; where it lies and how long it is follow from the
    id.
    """
    text = without_human_prefix(document)
    spans = words(text)
    shortest, longest = CUT_WORDS[0], min(CUT_WORDS[1], len(spans))
    if longest <= shortest:
        return text
    place, size = _fractions(document.id)
    count = round(shortest * (longest / shortest) ** size)
    begin = round(place * (len(spans) - count))
    raw = text.encode()
    end = spans[begin + count][0] if begin + count < len(spans) else len(raw)
    return raw[spans[begin][0] : end].decode().rstrip()


def _fractions(name: str) -> tuple[float, float]:
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest[:4]) / 2**32, int.from_bytes(digest[4:]) / 2**32
