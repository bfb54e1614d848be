#!/usr/bin/env python3
"""Cuts the sample in examples/ out of whole novels.

Usage:  python tools/make_sample.py ../shared/data/corpora/english-novels-000.jsonl.zst examples

The novels are in the public domain: published before 1929 by authors who died before 1955. Every paragraph of a novel goes into
exactly one document, in order, so that counts over the sample are counts over the novels. Line breaks inside a paragraph are kept
(half of the novels are hard-wrapped, which is what the sentence splitter has to cope with); CR LF becomes LF.
The same input gives the same files: lengths come from a generator with a fixed seed, and the frames are written by one thread.
"""

import io
import json
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import zstandard

SAMPLE = (
    "Barclay_Postern_1911",
    "Bennet_Helen_1910",
    "Chesterton_Thursday_1908",
    "Conrad_Almayer_1895",
    "Doyle_Hound_1902",
    "Gissing_Warburton_1903",
    "Haggard_Mines_1885",
    "Kipling_Captains_1896",
    "Schreiner_Trooper_1897",
    "Stevenson_Treasure_1883",
    "Trollope_Warden_1855",
)
SHARDS = (
    ("Burnett_Princess_1905",),
    ("Ford_Girl_1907",),
    ("Lee_Penelope_1903", "Schreiner_Farm_1883"),
    ("Morris_Wood_1894", "Ward_Milly_1881"),
)
NAMES = {
    "Bennet": "Bennett",
    "Cbronte": "Charlotte Brontë",
    "Ford": "Ford Madox Ford",
    "Lee": "Vernon Lee",
    "Ward": "Mary Augusta Ward",
}

SHORTEST, LONGEST = 2_000, 20_000  # characters of a section
SHORT_PARAGRAPH = range(20, 400)  # characters of a paragraph that may stand alone


def paragraphs_of(text: str) -> list[str]:
    """Blocks between blank lines; a text without any holds one paragraph a line."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").strip("\n")
    blank_lines = len(re.findall(r"\n[ \t]*\n", text))
    separator = r"\n[ \t]*\n\s*" if blank_lines > len(text) // 5_000 else r"\n"
    return [p.rstrip() for p in re.split(separator, text) if p.strip()]


def section_length(rng: random.Random) -> float:
    """Between SHORTEST and LONGEST with a density of 1 / x^2: many short sections, few long ones, as on the web."""
    return SHORTEST / (1 - rng.random() * (1 - SHORTEST / LONGEST))


def documents_of(text: str, rng: random.Random) -> Iterator[str]:
    """Sections of whole paragraphs; after each a few of the short paragraphs that follow stand alone."""
    paragraphs = paragraphs_of(text)
    at = 0
    while at < len(paragraphs):
        wanted, section = section_length(rng), [paragraphs[at]]
        at += 1
        while at < len(paragraphs) and sum(map(len, section)) < wanted:
            section.append(paragraphs[at])
            at += 1
        yield "\n\n".join(section)
        for _ in range(rng.randrange(9)):
            if at < len(paragraphs) and len(paragraphs[at]) in SHORT_PARAGRAPH:
                yield paragraphs[at]
                at += 1


def source_of(novel: str) -> str:
    author, title, year = novel.split("_")
    return f"{NAMES.get(author, author)}, {title} ({year})"


def write_shard(path: Path, novels: tuple[str, ...], texts: dict[str, str]) -> None:
    lines = io.BytesIO()
    count = 0
    for novel in novels:
        rng = random.Random(novel)
        for number, text in enumerate(documents_of(texts[novel], rng)):
            record = {"id": f"{novel.lower()}/{number:04d}", "text": text, "source": source_of(novel)}
            lines.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
            count += 1
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(zstandard.ZstdCompressor(level=19, write_checksum=True).compress(lines.getvalue()))
    print(f"{path}: {count} documents, {lines.tell()} bytes, {path.stat().st_size} compressed")


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    novels, out = Path(sys.argv[1]), Path(sys.argv[2])
    wanted = set(SAMPLE).union(*SHARDS)
    texts = {}
    with novels.open("rb") as raw:
        reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
        for line in io.TextIOWrapper(reader, encoding="utf-8"):
            record = json.loads(line)
            name = record["id"].removesuffix(".txt")
            if name in wanted:
                texts[name] = record["text"]
    if missing := wanted - set(texts):
        sys.exit(f"{novels} does not hold {', '.join(sorted(missing))}")
    write_shard(out / "sample.jsonl.zst", SAMPLE, texts)
    for number, shard in enumerate(SHARDS):
        write_shard(out / "shards" / f"shard-{number:03d}.jsonl.zst", shard, texts)


if __name__ == "__main__":
    main()
