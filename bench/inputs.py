"""What the benchmarks read, made once, with what must come out of it counted by plain Python.

From ../shared/data/corpora where that is present, otherwise from examples/. Inputs go to bench/input/ (or $TEXTASSAY_BENCH_INPUT)
with a file of counts beside each: no benchmark reports a time for a result that these do not confirm.
"""

import io
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import zstandard

ROOT = Path(__file__).parent.parent
CORPORA = ROOT.parent / "shared" / "data" / "corpora"
INPUT = Path(os.environ.get("TEXTASSAY_BENCH_INPUT", ROOT / "bench" / "input"))

ENGLISH = ("english-novels-000", "en-misc-docs-000")
LANGUAGES = {
    "Japanese": "libreoffice-help-ja-000",
    "Chinese": "libreoffice-help-zh-cn-000",
    "Korean": "libreoffice-help-ko-000",
    "Hindi": "libreoffice-help-hi-000",
    "Russian": "libreoffice-help-ru-000",
    "German": "gesetze-de-001",
    "Python code": "code-python-000",
    "Kernel documentation": "linux-kernel-docs-000",
    "Fortunes (very short)": "fortunes-en-000",
}
FRAME = 8 << 20
FILES = 8

# UAX #29 restricted to ASCII, where it fits in one expression: an independent count of words for documents that are all ASCII.
ASCII_WORD = re.compile(r"(?:[A-Za-z0-9_]|(?<=[A-Za-z])[:.'](?=[A-Za-z])|(?<=[0-9])[.,;'](?=[0-9]))+")
ASCII_SPACE = re.compile(r"[\t\n\f\r ]+")  # what DuckDB's \s means


def read_lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as raw:
        yield from io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True))


def count(path: Path) -> dict[str, int]:
    """Kept beside the input; made again when the input is."""
    kept = path.with_name(path.name + ".counts.json")
    stamp = [path.stat().st_size, path.stat().st_mtime_ns]
    if kept.exists() and (found := json.loads(kept.read_text()))["stamp"] == stamp:
        return found["counts"]
    counts = dict.fromkeys(("documents", "bytes", "text_bytes", "chars", "ascii_documents", "ascii_words"), 0)
    counts |= dict.fromkeys(("python_split", "blank_split", "ascii_space_split"), 0)
    for line in read_lines(path):
        text = json.loads(line)["text"]
        counts["documents"] += 1
        counts["bytes"] += len(line)
        counts["text_bytes"] += len(text.encode())
        counts["chars"] += len(text)
        lower = text.lower()
        counts["python_split"] += len(lower.split())
        counts["blank_split"] += len(lower.split(" "))
        counts["ascii_space_split"] += sum(map(bool, ASCII_SPACE.split(lower)))
        if text.isascii():
            counts["ascii_documents"] += 1
            counts["ascii_words"] += sum(bool(word.strip("_")) for word in ASCII_WORD.findall(text))
    kept.write_text(json.dumps({"stamp": stamp, "counts": counts}))
    return counts


def write(path: Path, lines: list[bytes], frame: int | None = None) -> Path:
    """One frame, or frames of about `frame` bytes; level 3 and a checksum, as most shards are made."""
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
    with path.with_suffix(".part").open("wb") as out:
        data = b"".join(lines)
        if frame is None:
            out.write(compressor.compress(data))
        else:
            for at in range(0, len(data), frame):
                out.write(compressor.compress(data[at : at + frame]))
    path.with_suffix(".part").rename(path)
    return path


def source(name: str) -> Path | None:
    path = CORPORA / f"{name}.jsonl.zst"
    return path if path.exists() else None


def english_lines() -> list[bytes]:
    """Without ../shared: the sample and the shards, thirty times over under new ids, so that a run takes longer than its start."""
    if all(map(source, ENGLISH)):
        return [line for name in ENGLISH for line in read_lines(source(name))]
    once = [json.loads(line) for path in sorted((ROOT / "examples").rglob("*.jsonl.zst")) for line in read_lines(path)]
    return [
        json.dumps({**record, "id": f"{turn}/{record['id']}"}, ensure_ascii=False).encode() + b"\n"
        for turn in range(30)
        for record in once
    ]


def english() -> Path:
    path = INPUT / "english.jsonl.zst"
    return path if path.exists() else write(path, english_lines())


def english_frames() -> Path:
    path = INPUT / "english-frames.jsonl.zst"
    return path if path.exists() else write(path, english_lines(), FRAME)


def english_files() -> list[Path]:
    """The same documents over several files, of unequal size as shards are."""
    paths = [INPUT / "files" / f"english-{n}.jsonl.zst" for n in range(FILES)]
    if not all(p.exists() for p in paths):
        lines = english_lines()
        for n, path in enumerate(paths):
            write(path, lines[n::FILES])
    return paths


def english_again() -> list[Path]:
    """The same file four times: what a scan costs once its start and its end have been paid for."""
    paths = [INPUT / "again" / f"english-{n}.jsonl.zst" for n in range(4)]
    for path in paths:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(english(), path)  # a link would be known for the same file, and scanned once
    return paths


def languages() -> dict[str, Path]:
    """Empty without ../shared: the sample is English."""
    return {
        language: write(INPUT / f"{name}.jsonl.zst", list(read_lines(source(name))))
        for language, name in LANGUAGES.items()
        if source(name)
    }


def million_types(megabytes: int = 400, types: int = 1_000_000) -> Path:
    """Made-up text with exactly `types` distinct tokens in about `megabytes` MB, Zipf-distributed: what fills a histogram."""
    path = INPUT / f"types-{types}-{megabytes}mb.jsonl.zst"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    letters = "etaoinshrdlcumwfgypbvkjxqz"
    words = []
    for number in range(types):
        word = ""
        while number >= 0:
            word += letters[number % 26]
            number = number // 26 - 1
        words.append(word)
    table = np.array(words)
    with path.with_suffix(".part").open("wb") as out:
        writer = zstandard.ZstdCompressor(level=3, write_checksum=True).stream_writer(out, closefd=False)
        size = first = document = 0
        while size < megabytes << 20 or first < types:
            picks = np.minimum(rng.zipf(1.15, 400) - 1, types - 1)
            every = np.arange(first, min(first + 12, types))  # each type at least once
            first += len(every)
            text = " ".join(table[np.concatenate([picks, every])].tolist())
            writer.write(b'{"id": %d, "text": "%s"}\n' % (document, text.encode()))
            size += len(text)
            document += 1
        writer.close()
    path.with_suffix(".part").rename(path)
    return path
