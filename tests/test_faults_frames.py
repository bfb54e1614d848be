"""Hostile compressed files: cut and flipped everywhere, headers that lie, bombs. What is kept, what is named, and that both backends
say the same. `TEXTASSAY_FAULTS=all` tries far more of them (minutes)."""

import bz2
import gzip
import io
import lzma
import os
import random
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from hostile_frames import (
    END,
    MOST_IN_A_BLOCK,
    RESERVED,
    block,
    checksum_of,
    frame,
    frame_of,
    gzip_bomb,
    long_line,
    raw,
    run,
    window_descriptor,
)
from implementations import BACKENDS, Scanned, on_every_backend, scan
from test_frames import assert_alike, assert_holds, compress, in_blocks, lines_of, seekable, skippable

SIGNALS = ("n_bytes",)
ALL = os.environ.get("TEXTASSAY_FAULTS") == "all"

LINES = lines_of(8)
DATA = b"".join(LINES)
GOOD = b'{"id": "good", "text": "a b"}\n'


def library(implementation, name: str) -> str:
    return implementation.use().backend_info()[name]


def same_library(name: str) -> bool:
    return len({library(implementation, name) for implementation in BACKENDS}) == 1


def scanned_alike(paths: list[Path], **options) -> Scanned:
    """By the backends, each with its own number of threads."""
    native, others, numba = (
        scan(implementation.use(), paths, signals=SIGNALS, threads=threads, **options)
        for implementation, threads in ((BACKENDS[0], 1), (BACKENDS[0], 5), (BACKENDS[1], 2))
    )
    assert_alike(others, native, "5 threads against one")
    assert_alike(numba, native, "numba against native")
    return native


def write_all(folder: Path, files: Iterator[bytes]) -> list[Path]:
    paths = []
    for number, content in enumerate(files):
        paths.append(folder / f"{number}.zst")
        paths[-1].write_bytes(content)
    return paths


def scanned_one(tmp_path: Path, content: bytes, **options) -> tuple[Scanned, dict]:
    scanned = scanned_alike(write_all(tmp_path, iter([content])), **options)
    return scanned, scanned.outcomes[0]


# Cut and flipped

RUNS = raw(GOOD) + run(b"\n", 300) + raw(b'{"text": "') + run(b"x", 2000) + raw(b'"}\n')
RUNS_CONTENT = GOOD + b"\n" * 300 + b'{"text": "' + b"x" * 2000 + b'"}\n'
FLAGGED = gzip.compress(DATA)[:3] + b"\x1e" + gzip.compress(DATA)[4:10] + b"\x03\0abcname\0comment\0"

# By hand, so that every version of libzstd says the same of them, and whatever zlib is there.
FILES = {
    "raw blocks": (frame_of(*LINES[:3], checksum=checksum_of(b"".join(LINES[:3]))), b"".join(LINES[:3])),
    "raw blocks without a checksum": (frame_of(*LINES[:2]), b"".join(LINES[:2])),
    "sized": (frame(raw(LINES[0]), raw(GOOD, last=True), content_size=len(LINES[0] + GOOD)), LINES[0] + GOOD),
    "runs": (frame(RUNS, END, checksum=checksum_of(RUNS_CONTENT)), RUNS_CONTENT),
    "skippable between": (frame_of(GOOD) + skippable(b"xyz", 9) + frame_of(GOOD), GOOD * 2),
    "gzip": (gzip.compress(b"".join(LINES[:2])) + gzip.compress(GOOD), b"".join(LINES[:2]) + GOOD),
    "gzip, stored": (gzip.compress(LINES[0], 0), LINES[0]),
}
BY_LIBZSTD = {
    "one block": (compress(b"".join(LINES[:4])), b"".join(LINES[:4])),
    "no checksum": (compress(LINES[0], checksum=False) + compress(GOOD, checksum=False), LINES[0] + GOOD),
}
SMALL_WINDOW = zstandard.ZstdCompressionParameters(window_log=10, write_checksum=True, write_content_size=False)
if ALL:
    BY_LIBZSTD |= {
        "blocks": (in_blocks(LINES), DATA),
        "frames": (b"".join(map(compress, LINES)), DATA),
        "frames without checksums": (b"".join(compress(line, checksum=False) for line in LINES), DATA),
        "seek table": (seekable(LINES[:5]), b"".join(LINES[:5])),
        "a small window": (zstandard.ZstdCompressor(compression_params=SMALL_WINDOW).compress(DATA * 3), DATA * 3),
    }
    FILES |= {"gzip of many": (b"".join(map(gzip.compress, LINES)), DATA)}


def flipped(content: bytes, bits: Iterator[int]) -> Iterator[bytes]:
    for bit in bits:
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


@pytest.mark.parametrize("name", [*FILES, *BY_LIBZSTD])
def test_every_bit_flipped(tmp_path, name):
    """Found, or without effect, or (where there is no checksum) another text: accounted for in any case, and by both alike."""
    content, data = (FILES | BY_LIBZSTD)[name]
    paths = write_all(tmp_path, flipped(content, iter(range(8 * len(content)))))
    if name in FILES or same_library("zstd"):
        results = [scanned_alike(paths)]
    else:
        results = [scan(implementation.use(), paths, signals=SIGNALS) for implementation in BACKENDS]
    for scanned in results:
        is_checked = scanned_alike([write(tmp_path, content)]).outcomes[0]["frames_without_checksum"] == 0
        found = 0
        for file, outcome in enumerate(scanned.outcomes):
            assert outcome["status"] in ("ok", "damaged")
            found += outcome["status"] == "damaged"
            if outcome["status"] == "ok" and outcome["format"] != "plain" and is_checked:
                assert_holds(scanned, file, data)
                assert outcome["bytes"] == len(data), f"bit {file}: bytes were lost and nobody said so"
        assert found > len(paths) * (0.8 if is_checked else 0.03)


def write(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "whole.zst"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", [*FILES, *BY_LIBZSTD])
def test_cut_at_every_byte(tmp_path, name):
    """What is whole before the cut is kept; a longer file never holds less."""
    content, data = (FILES | BY_LIBZSTD)[name]
    scanned = scanned_alike(write_all(tmp_path, (content[:cut] for cut in range(4, len(content)))))
    for file, outcome in enumerate(scanned.outcomes):
        assert_holds(scanned, file, data)
        assert outcome["status"] == "damaged" or outcome["bytes"] > 0
    for counter in ("bytes", "documents"):
        counts = [outcome[counter] for outcome in scanned.outcomes]
        assert counts == sorted(counts)
    assert scanned.outcomes[-1]["status"] == "damaged"
    assert scanned.outcomes[-1]["bytes"] > 0.4 * len(data) or name in ("one block", "gzip")


def test_gzip_header_with_everything(tmp_path):
    """Extra field, name, comment and checksum of the header; then every bit of it flipped."""
    import zlib

    header = FLAGGED + struct.pack("<H", zlib.crc32(FLAGGED) & 0xFFFF)
    content = header + gzip.compress(DATA)[10:]
    scanned, outcome = scanned_one(tmp_path, content)
    assert outcome["status"] == "ok"
    assert_holds(scanned, 0, DATA)
    scanned = scanned_alike(write_all(tmp_path, flipped(content, iter(range(16, 8 * len(header))))))
    assert {outcome["status"] for outcome in scanned.outcomes} == {"damaged"}


@pytest.mark.parametrize("cut", [2030, 2045, 2060])
def test_gzip_cut_where_a_buffer_is_full(tmp_path, cut):
    """Of a match that did not fit zlib holds the rest, though the file is over: it comes out all the same."""
    content = gzip.compress(b"x" * (5 << 19), 9)
    paths = write_all(tmp_path, (content[: cut + more] for more in range(15)))
    scanned = scanned_alike(paths, max_record_bytes=1000)
    counts = [outcome["bytes"] for outcome in scanned.outcomes]
    assert len(set(counts)) == len(counts) and counts == sorted(counts)


def test_flips_in_a_large_file(tmp_path):
    """Of several units, so that blocks are in flight when the damage is met."""
    lines = lines_of(30_000)
    data = b"".join(lines)
    kinds = [in_blocks([data[i : i + 50_000] for i in range(0, len(data), 50_000)]), gzip.compress(data, 1)]
    chance = random.Random(5)
    for kind in kinds:
        bits = sorted(chance.sample(range(200, 8 * len(kind)), 20 if ALL else 2))
        paths = write_all(tmp_path, flipped(kind, iter(bits)))
        for implementation in BACKENDS:
            one, other = (
                scan(implementation.use(), paths, signals=SIGNALS, threads=threads, batch_tokens=1000)
                for threads in (1, 5)
            )
            assert_alike(other, one, str(implementation))
            assert all(outcome["status"] == "damaged" for outcome in one.outcomes)
            assert all(outcome["documents"] + outcome["malformed"] > 0 for outcome in one.outcomes[1:])


# Headers that lie

PART = GOOD * 3
LIES = {
    "less than there is": (frame_of(GOOD, GOOD, content_size=len(GOOD) + 3), 1, "damaged"),
    "nothing": (frame_of(GOOD, content_size=0), 0, "damaged"),
    "less, in a large frame": (frame(raw(PART), run(b"x", MOST_IN_A_BLOCK) * 60, END, content_size=5 << 20), 3, "damaged"),
    "a line less": (frame(raw(PART), run(b"\n", MOST_IN_A_BLOCK) * 60, raw(GOOD), END, content_size=len(PART) + 60 * MOST_IN_A_BLOCK), 3, "damaged"),
    "more than there is": (frame_of(GOOD, GOOD, content_size=1000), 2, "damaged"),
    "more, and no empty block at the end": (frame(raw(GOOD), raw(GOOD, last=True), content_size=1000), 1, "damaged"),
    "half of all there is": (frame_of(GOOD, content_size=1 << 63), 1, "damaged"),
    "the largest": (frame_of(GOOD, content_size=(1 << 64) - 2), 1, "damaged"),
    "what stands for unknown": (frame_of(GOOD, content_size=(1 << 64) - 1), 1, "ok"),
    "the truth": (frame_of(GOOD, GOOD, content_size=2 * len(GOOD)), 2, "ok"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_content_size_that_lies(tmp_path, name):
    """Alone, and behind frames that are whole: those are kept; what follows the lie is lost."""
    lying, documents, status = LIES[name]
    paths = write_all(tmp_path, iter([lying, compress(GOOD) + lying + compress(GOOD), lying + compress(GOOD)]))
    outcomes = scanned_alike(paths).outcomes
    assert [outcome["status"] for outcome in outcomes] == [status] * 3
    behind = status == "ok"
    assert [outcome["documents"] for outcome in outcomes] == [documents, 1 + documents + behind, documents + behind]


def test_a_lie_about_the_size_is_named(tmp_path):
    for content, word in ((LIES["a line less"][0], "more"), (LIES["more than there is"][0], "less")):
        path = write(tmp_path, content)
        for implementation in BACKENDS:
            reason = scan(implementation.use(), [path], signals=SIGNALS).outcomes[0]["reason"]
            assert reason == f"wanted the content size that the zstd frame declares, found {word}"


BAD_BLOCKS = {
    "reserved type": block(RESERVED, b"abc"),
    "raw, too large": raw(b"x" * (MOST_IN_A_BLOCK + 1)),
    "run, too large": run(b"x", MOST_IN_A_BLOCK + 1),
    "compressed, too large": block(2, b"x" * (MOST_IN_A_BLOCK + 1)),
    "compressed, empty": block(2, b""),
    "run of all sizes": run(b"x", (1 << 21) - 1),
    "raw, cut": raw(b"x" * 50)[:20],
}


@pytest.mark.parametrize("name", BAD_BLOCKS)
@pytest.mark.parametrize("sized", [True, False])
def test_the_block_before_a_bad_one_is_kept(tmp_path, name, sized):
    content_size = len(PART) + 100 if sized else None
    bad = frame(raw(PART), BAD_BLOCKS[name], content_size=content_size)
    _, outcome = scanned_one(tmp_path, compress(GOOD) + bad)
    assert (outcome["status"], outcome["documents"], outcome["frames"]) == ("damaged", 4, 2)


def test_block_above_the_window(tmp_path):
    """A window of 1 KiB allows no block of 1,025 bytes."""
    for size, status in ((1024, "ok"), (1025, "damaged")):
        _, outcome = scanned_one(tmp_path, frame(run(b"\n", size), END, window=0))
        assert outcome["status"] == status


WINDOWS = [
    (28, 0, 27, "--max-window 28, max_window_log=28"),
    (27, 1, 27, "--max-window 28, max_window_log=28"),
    (31, 0, 27, "--max-window 31, max_window_log=31"),
    (20, 7, 20, "--max-window 21, max_window_log=21"),
    (31, 1, 31, "which nothing allows"),
    (41, 7, 27, "which nothing allows"),
]


@pytest.mark.parametrize(("log", "eighths", "limit", "hint"), WINDOWS)
def test_a_window_that_is_too_large_names_what_allows_it(tmp_path, log, eighths, limit, hint):
    path = write(tmp_path, compress(GOOD) + frame_of(GOOD, window=window_descriptor(log, eighths)))
    size = (1 << log) + (1 << log >> 3) * eighths
    for implementation in BACKENDS:
        outcome = scan(implementation.use(), [path], signals=SIGNALS, max_window_log=limit).outcomes[0]
        assert (outcome["status"], outcome["documents"]) == ("damaged", 1)
        assert outcome["reason"].startswith(f"wanted a zstd window of at most 2^{limit} bytes, found one of {size}")
        assert outcome["reason"].endswith(hint)
        if "=" in hint:
            allowed = int(hint.partition("=")[2])
            assert (
                scan(implementation.use(), [path], signals=SIGNALS, max_window_log=allowed).outcomes[0]["status"]
                == "ok"
            )


def test_a_large_single_segment_is_a_large_window(tmp_path):
    """Such a frame is all one window. Its header alone is enough to refuse it."""
    content = frame_of(GOOD, content_size=1 << 30)
    single = content[:4] + bytes([content[4] | 32]) + content[6:]
    for implementation in BACKENDS:
        outcome = scan(implementation.use(), [write(tmp_path, single)], signals=SIGNALS).outcomes[0]
        assert outcome["status"] == "damaged" and "--max-window 30" in outcome["reason"]


def test_a_dictionary_is_named(tmp_path):
    for implementation in BACKENDS:
        path = write(tmp_path, compress(GOOD) + frame_of(GOOD, dictionary=123_456))
        outcome = scan(implementation.use(), [path], signals=SIGNALS).outcomes[0]
        assert outcome["documents"] == 1
        assert outcome["reason"] == "wanted a zstd frame without a dictionary, found one that needs 123456"


TABLE_MAGIC = 0x8F92EAB1


def table(entries: bytes, count: int, flags: int = 0, magic: int = TABLE_MAGIC) -> bytes:
    return skippable(entries + struct.pack("<IBI", count, flags, magic), 0xE)


ENTRY = struct.pack("<II", len(compress(LINES[0])), len(LINES[0]))
TABLES = {
    "sizes past the end": table(struct.pack("<II", 1 << 31, 1 << 31) * 8, 8),
    "a count of nothing": table(ENTRY * 8, 0),
    "a count beyond all": table(ENTRY, (1 << 32) - 1),
    "sizes of zero": table(bytes(64), 8),
    "reserved flags": table(ENTRY * 8, 8, flags=0x7F),
    "checksums that are none": table((ENTRY + b"\xff\xff\xff\xff") * 8, 8, flags=0x80),
    "no footer": skippable(ENTRY * 8, 0xE),
    "another magic number": table(ENTRY * 8, 8, magic=TABLE_MAGIC ^ 1),
    "an empty one": skippable(b"", 0xE),
    "two of them": table(ENTRY * 8, 8) * 2,
}


@pytest.mark.parametrize("name", TABLES)
def test_seek_tables_are_not_believed(tmp_path, name):
    """At the end, in front and between: the frames are read, whatever a table says of them."""
    frames, lie = b"".join(map(compress, LINES)), TABLES[name]
    paths = write_all(tmp_path, iter([frames + lie, lie + frames, compress(DATA[:100]) + lie + compress(DATA[100:])]))
    scanned = scanned_alike(paths)
    for file, outcome in enumerate(scanned.outcomes):
        assert (outcome["status"], outcome["bytes"]) == ("ok", len(DATA))
        assert_holds(scanned, file, DATA)


SKIPPABLE = {
    "longer than the file": (struct.pack("<II", 0x184D2A50, 0xFFFFFFFF) + b"x" * 100, "damaged"),
    "without a size": (struct.pack("<I", 0x184D2A5F), "damaged"),
    "with half a size": (struct.pack("<IH", 0x184D2A5F, 0), "damaged"),
    "empty": (skippable(b""), "ok"),
    "a frame inside": (skippable(compress(GOOD)), "ok"),
    "many": (skippable(b"x") * 5000, "ok"),
}


@pytest.mark.parametrize("name", SKIPPABLE)
def test_skippable_frames(tmp_path, name):
    content, status = SKIPPABLE[name]
    scanned = scanned_alike(write_all(tmp_path, iter([content, compress(DATA) + content])))
    assert [outcome["status"] for outcome in scanned.outcomes] == [status] * 2
    assert [outcome["documents"] for outcome in scanned.outcomes] == [0, len(LINES)]


# One thing behind another, and other things altogether

KINDS = {
    "zstd": compress(DATA),
    "gzip": gzip.compress(DATA),
    "plain": DATA,
    "zeros": bytes(1024),
    "xz": lzma.compress(DATA),
}


@pytest.mark.parametrize("second", KINDS)
@pytest.mark.parametrize("first", ["zstd", "gzip"])
def test_one_format_behind_another(tmp_path, first, second):
    """The first one is kept; only the same may follow."""
    scanned, outcome = scanned_one(tmp_path, KINDS[first] + KINDS[second])
    assert outcome["status"] == ("ok" if first == second else "damaged")
    assert outcome["documents"] == len(LINES) * (1 + (first == second))
    assert outcome["format"] == first
    assert_holds(scanned, 0, DATA * 2)


def test_compressed_twice(tmp_path):
    """What is inside is no text: every byte of it is in lines that are none."""
    inner = compress(DATA)
    scanned, outcome = scanned_one(tmp_path, compress(inner))
    assert outcome["status"] == "ok" and outcome["documents"] == 0 and outcome["bytes"] == len(inner)
    assert_holds(scanned, 0, inner)


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.jsonl", DATA)
    return stream.getvalue()


def tarred() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        about = tarfile.TarInfo("a.jsonl")
        about.size = len(DATA)
        archive.addfile(about, io.BytesIO(DATA))
    return stream.getvalue()


UNREAD = {
    "xz": lzma.compress(DATA),
    "bzip2": bz2.compress(DATA),
    "lz4": b'\x04"M\x18\x60\x40\x82' + struct.pack("<I", 1 << 31 | len(DATA)) + DATA + bytes(4),
    "zip": zipped(),
    "Parquet": b"PAR1" + bytes(50) + b"PAR1",
    "Arrow": b"ARROW1\0\0" + DATA,
}


@pytest.mark.parametrize("name", ["f.jsonl.zst", "f.jsonl.gz", "f.jsonl", "f.zst", "named"])
def test_formats_that_are_not_read_are_named(tmp_path, name):
    """And nothing of them is taken for lines."""
    paths = []
    for kind, content in UNREAD.items():
        paths.append(tmp_path / kind / name)
        paths[-1].parent.mkdir()
        paths[-1].write_bytes(content)
    scanned = scanned_alike(paths)
    for kind, outcome, content in zip(UNREAD, scanned.outcomes, UNREAD.values(), strict=True):
        assert (outcome["status"], outcome["format"]) == ("damaged", kind)
        assert outcome["reason"] == f"wanted zstd, gzip or plain text, found {kind}"
        assert (outcome["bytes"], outcome["lines"], outcome["bytes_lost"]) == (0, 0, len(content))


@on_every_backend
def test_formats_that_are_not_read_in_a_pipe(implementation):
    reading, writing = os.pipe()
    os.write(writing, UNREAD["xz"])
    os.close(writing)
    outcome = scan(implementation.use(), [reading], signals=SIGNALS).outcomes[0]
    os.close(reading)
    assert (outcome["status"], outcome["format"], outcome["bytes"]) == ("damaged", "xz", 0)


def test_what_only_begins_like_another_format_is_text(tmp_path):
    for content in (b"BZh9", b"BZh91AY&S", b"PK\n", b"PAR", b"ARROW", b"\xfd7zXZ", b'\x04"M', b"BZh91AY&Sx", b"P"):
        scanned, outcome = scanned_one(tmp_path, content + b"\n" + DATA)
        assert (outcome["format"], outcome["status"]) == ("plain", "ok")
        assert_holds(scanned, 0, content + b"\n" + DATA)


@pytest.mark.parametrize("inside", ["zstd", "gzip", "plain"])
def test_tar(tmp_path, inside):
    """Is text with headers in it, which are lines that are none; the records between them count, but the first of each member."""
    content = tarred()
    packed = {"zstd": compress, "gzip": gzip.compress, "plain": bytes}[inside](content)
    scanned, outcome = scanned_one(tmp_path, packed)
    assert outcome["status"] == "ok" and outcome["documents"] == len(LINES) - 1
    assert [reason for *_, reason in scanned.errors[0]] == ["not_json", "not_json"]
    assert_holds(scanned, 0, content)


# Bombs

MEASURE = """
import os, resource, sys
from implementations import Implementation, scan
name, threads, small, bomb = sys.argv[1:]
backend = Implementation(name, "scalar").use()
def peak(path):
    outcome = scan(backend, [path] * int(threads), signals=("n_bytes",), threads=int(threads)).outcomes[0]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, outcome
before, _ = peak(small)
after, outcome = peak(bomb)
print(after - before, outcome["bytes"], outcome["bytes_too_long"], outcome["documents"], outcome["status"])
"""


def grown(tmp_path: Path, backend: str, threads: int, bomb: bytes) -> tuple[int, int, int, int, str]:
    """MiB more than for a small file, at the most, in a process of its own; what the scan said of the bomb."""
    small, path = tmp_path / "small.zst", tmp_path / "bomb.zst"
    small.write_bytes(compress(DATA))
    path.write_bytes(bomb)
    places = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", MEASURE, backend, str(threads), small, path]
    environment = os.environ | {"PYTHONPATH": places, "TEXTASSAY_NUMBA_CACHE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    *numbers, status = done.stdout.split()
    kib, size, too_long, documents = map(int, numbers)
    return kib >> 10, size, too_long, documents, status


LIMIT_MIB = 64
"""The default of max_record_bytes: as much of a line is held before it is known to be too long."""


@pytest.mark.parametrize("backend", ["native", "numba"])
def test_a_line_of_four_gibibytes(tmp_path, backend):
    """131 kB in the file; the records around it count."""
    size = 4 << 30 if ALL or backend == "native" else 1 << 28
    bomb = frame_of(GOOD) + long_line(size) + frame_of(b"\n" + GOOD)
    assert len(long_line(4 << 30)) == 131_081 == 131_072 + 9
    more, found, too_long, documents, status = grown(tmp_path, backend, 1, bomb)
    assert (found, too_long, documents, status) == (size + 1 + 2 * len(GOOD), size + 1, 2, "ok")
    assert more < 4 * LIMIT_MIB


@pytest.mark.parametrize("backend", ["native", "numba"])
def test_a_gzip_bomb(tmp_path, backend):
    members = (64 if ALL else 8) if backend == "native" else (16 if ALL else 2)
    more, found, _, documents, status = grown(tmp_path, backend, 1, gzip_bomb(members) + gzip.compress(b"\n" + GOOD))
    assert (found, documents, status) == ((members << 26) + 1 + len(GOOD), 1, "ok")
    assert more < 4 * LIMIT_MIB


@pytest.mark.parametrize("backend", ["native", "numba"])
def test_bombs_for_every_thread(tmp_path, backend):
    """As many at once as there are threads: the bound holds for each."""
    more, found, *_ = grown(tmp_path, backend, 3, long_line(128 << 20))
    assert found == 128 << 20 and more < 3 * 4 * LIMIT_MIB


def test_a_bomb_of_blank_lines(tmp_path):
    """No line of it is too long, and every byte is counted."""
    _, outcome = scanned_one(tmp_path, frame(run(b"\n", MOST_IN_A_BLOCK) * 160, raw(GOOD, last=True)))
    assert (outcome["bytes_blank"], outcome["documents"]) == (160 * MOST_IN_A_BLOCK, 1)
    assert outcome["lines"] == 160 * MOST_IN_A_BLOCK + 1


@pytest.mark.parametrize("content", [frame(END), frame(END, content_size=0), skippable(b""), frame_of(b"", b"", b"")])
def test_many_frames_of_nothing(tmp_path, content):
    _, outcome = scanned_one(tmp_path, content * 20_000 + frame_of(GOOD))
    assert (outcome["status"], outcome["documents"], outcome["bytes"]) == ("ok", 1, len(GOOD))


def test_many_blocks_of_nothing(tmp_path):
    _, outcome = scanned_one(tmp_path, frame(raw(b"") * 100_000, raw(GOOD), END))
    assert (outcome["status"], outcome["documents"], outcome["frames"]) == ("ok", 1, 1)


def test_a_flip_in_a_bomb_is_no_hang(tmp_path):
    """gzip hands out a thousand bytes for each of its own: what stands before the damage is found in steps."""
    content = bytearray(gzip_bomb(1, 16 << 20))
    content[len(content) // 2] ^= 0xFF
    _, outcome = scanned_one(tmp_path, bytes(content), max_record_bytes=1000)
    assert outcome["status"] == "damaged" and outcome["bytes"] > 1 << 20


# All of them in one corpus


def test_threads_and_order_change_nothing(tmp_path):
    """Every file above at once, good ones between: the same of each as alone, and one profile."""
    contents = [content for content, *_ in (*FILES.values(), *LIES.values(), *SKIPPABLE.values())]
    contents += [*UNREAD.values(), tarred(), long_line(1 << 20), gzip_bomb(1, 1 << 20), compress(DATA), b"", DATA]
    contents += [frame(raw(PART), bad) for bad in BAD_BLOCKS.values()]
    paths = write_all(tmp_path, iter(contents))
    together = scanned_alike(paths, max_record_bytes=100_000, batch_tokens=7)
    for implementation in BACKENDS:
        for threads in (2, 3, 8):
            options = {"threads": threads, "max_record_bytes": 100_000, "batch_tokens": 7}
            assert_alike(scan(implementation.use(), paths, signals=SIGNALS, **options), together, f"{threads} threads")
        alone = [
            scan(implementation.use(), [path], signals=SIGNALS, max_record_bytes=100_000, batch_tokens=7)
            for path in paths
        ]
        assert [one.errors[0] for one in alone] == together.errors
        total = alone[0].profile
        for one in alone[1:]:
            total.merge(one.profile)
        assert total.totals() == together.profile.totals()
