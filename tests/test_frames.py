"""Compressed files, whole and damaged: what comes out, what is said about the rest, and that both backends say the same."""

import gzip
import json
import os
import random
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
import zstandard

import naive_records
from implementations import BACKENDS, Implementation, Scanned, comparable, on_every_backend, scan
from naive_records import BOM

GOLDEN = Path(__file__).parent / "data" / "zstd"
SIGNALS = ("n_bytes", "n_chars", "n_tokens", "n_types", "entropy_bits")
THREADS = (1, 3)


def record(number: int, text: str) -> bytes:
    return json.dumps({"id": number, "text": text}, ensure_ascii=number % 2 == 0).encode() + b"\n"


def lines_of(count: int, seed: int = 0) -> list[bytes]:
    rng = random.Random(seed)
    words = ["the", "of", "and", "Über", "naïve", "한글", "😀", "can't", "3.14", "river"]
    return [record(n, " ".join(rng.choices(words, k=rng.randint(1, 12))) + ".") for n in range(count)]


LINES = lines_of(40)
DATA = b"".join(LINES)


def compress(data: bytes, checksum: bool = True, size: bool = True, **options) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=checksum, write_content_size=size, **options).compress(data)


def in_blocks(pieces: list[bytes], checksum: bool = True) -> bytes:
    """One frame of unknown content size, a block for each piece."""
    compressor = zstandard.ZstdCompressor(write_checksum=checksum).compressobj()
    out = b"".join(compressor.compress(p) + compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK) for p in pieces)
    return out + compressor.flush()


def skippable(content: bytes, nibble: int = 0) -> bytes:
    return struct.pack("<II", 0x184D2A50 | nibble, len(content)) + content


def seekable(pieces: list[bytes], checksums: bool = False) -> bytes:
    """zstd's seekable format: frames, then a seek table in a skippable frame."""
    frames = [compress(p) for p in pieces]
    entries = b"".join(
        struct.pack("<II", len(f), len(p)) + (b"\0\0\0\0" if checksums else b"")
        for f, p in zip(frames, pieces, strict=True)
    )
    footer = struct.pack("<IBI", len(frames), 0x80 if checksums else 0, 0x8F92EAB1)
    return b"".join(frames) + skippable(entries + footer, 0xE)


def scan_on(implementation: Implementation, paths: list[Path], **options) -> Scanned:
    """On one backend, any number of threads says the same; returned is what they say."""
    options.setdefault("signals", SIGNALS)
    backend = implementation.use()
    first, *others = (scan(backend, paths, threads=threads, **options) for threads in THREADS)
    for other in others:
        assert_alike(other, first, str(implementation))
    return first


def assert_alike(one: Scanned, other: Scanned, where: str) -> None:
    assert [comparable(o) for o in one.outcomes] == [comparable(o) for o in other.outcomes], where
    assert one.errors == other.errors, where
    assert one.documents == other.documents, where
    assert one.batches == other.batches, where
    assert one.profile.totals() == other.profile.totals(), where


def scan_alike(paths: list[Path], **options) -> Scanned:
    """Both backends say the same; returned is what they say."""
    native, numba = (scan_on(implementation, paths, **options) for implementation in BACKENDS)
    assert_alike(numba, native, "numba against native")
    return native


def scan_apart(paths: list[Path], **options) -> list[Scanned]:
    """Where bits are wrong, what a decoder gives out before it notices is its own: it depends on the version of libzstd and on how
    much of a frame is decoded at a time. That something is wrong is no matter of opinion where there are checksums."""
    return [scan_on(implementation, paths, **options) for implementation in BACKENDS]


def assert_holds(scanned: Scanned, file: int, data: bytes, **options) -> None:
    """The file's documents and errors are those of the decoded bytes, which are a beginning of `data`."""
    outcome = scanned.outcomes[file]
    decoded = data[: outcome["bytes"]]
    assert len(decoded) == outcome["bytes"], "more came out than went in"
    expected = naive_records.read(decoded, damaged=outcome["status"] != "ok", **options)
    columns = scanned.documents[file]
    assert columns.get("id", []) == [d.id for d in expected.documents]
    assert columns.get("n_bytes", []) == [len(d.text.encode()) for d in expected.documents]
    assert scanned.errors[file] == expected.errors
    for counter in ("bytes_parsed", "bytes_malformed", "bytes_blank", "bytes_too_long"):
        assert outcome[counter] == expected.counters[counter], counter


def assert_whole(tmp_path: Path, raw: bytes, data: bytes, name: str = "f.jsonl.zst", **options) -> dict:
    path = tmp_path / name
    path.write_bytes(raw)
    scanned = scan_alike([path], **options)
    outcome = scanned.outcomes[0]
    assert (outcome["status"], outcome["bytes"]) == ("ok", len(data)), outcome
    assert outcome["bytes_compressed"] == len(raw)
    assert_holds(scanned, 0, data)
    return outcome


# Whole files

HALF = len(DATA) // 2
WHOLE = {
    "one frame": (compress(DATA), 1, 0),
    "no checksum": (compress(DATA, checksum=False), 1, 1),
    "no content size": (compress(DATA, size=False), 1, 0),
    "blocks": (in_blocks(LINES), 1, 0),
    "empty blocks": (in_blocks([b"", DATA[:HALF], b"", b"", DATA[HALF:], b""]), 1, 0),
    "two frames": (compress(DATA[:HALF]) + compress(DATA[HALF:]), 2, 0),
    "one of two without a checksum": (compress(DATA[:HALF], checksum=False) + compress(DATA[HALF:]), 2, 1),
    "a frame a line": (b"".join(map(compress, LINES)), len(LINES), 0),
    "empty frames between": (compress(b"") + compress(DATA[:HALF]) + compress(b"") * 3 + compress(DATA[HALF:]) + compress(b""), 7, 0),
    "skippable frames": (skippable(b"hello") + compress(DATA[:HALF]) + skippable(b"", 15) + skippable(b"x" * 9000, 3) + compress(DATA[HALF:]) + skippable(b"bye", 7), 2, 0),
    "seekable": (seekable(LINES), len(LINES), 0),
    "seekable with checksums": (seekable([DATA[:HALF], DATA[HALF:]], checksums=True), 2, 0),
    "pzstd": (b"".join(skippable(struct.pack("<I", len(f))) + f for f in map(compress, LINES)), len(LINES), 0),
}  # fmt: skip


@pytest.mark.parametrize(("raw", "frames", "without"), WHOLE.values(), ids=WHOLE)
def test_whole_files(tmp_path, raw, frames, without):
    outcome = assert_whole(tmp_path, raw, DATA)
    assert (outcome["format"], outcome["frames"], outcome["frames_without_checksum"]) == ("zstd", frames, without)


@pytest.mark.parametrize("size", [1, 7, 1000, len(DATA), len(DATA) + 1])
@pytest.mark.parametrize(("raw", "frames", "without"), [*WHOLE.values(), (DATA, 0, 0), (gzip.compress(DATA), 1, 0)])
def test_bytes_of_whole_files(tmp_path, backend, raw, frames, without, size):
    """A Decompressor gives out what a scan reads, and fills the memory it is given while there is something."""
    (tmp_path / "f").write_bytes(raw)
    decompressor = backend.Decompressor(os.fsencode(tmp_path / "f"))
    memory, pieces = np.empty(size, np.uint8), []
    while n := decompressor.read_into(memory):
        pieces.append(memory[:n].tobytes())
    assert b"".join(pieces) == DATA and decompressor.damage == "" and decompressor.read_into(memory) == 0
    assert all(len(piece) == size for piece in pieces[:-1])


def test_bytes_of_a_damaged_file(tmp_path, backend):
    """As many as the scan of the same backend found, and why no more."""
    path = tmp_path / "f"
    path.write_bytes(in_blocks(LINES)[:-20])
    decompressor = backend.Decompressor(os.fsencode(path))
    memory = np.empty(2 * len(DATA), np.uint8)
    found = decompressor.read_into(memory)
    assert memory[:found].tobytes() == DATA[:found]
    outcome = scan(backend, [path], signals=SIGNALS).outcomes[0]
    assert (found, decompressor.damage) == (outcome["bytes"], outcome["reason"]) and decompressor.damage


def decoded_in_steps(backend, path: Path, step: int) -> tuple[bytes, str]:
    decompressor = backend.Decompressor(os.fsencode(path))
    memory, pieces = np.empty(step, np.uint8), []
    while found := decompressor.read_into(memory):
        pieces.append(memory[:found].tobytes())
    return b"".join(pieces), decompressor.damage


def damaged_in_the_end(data: bytes) -> dict[str, bytes]:
    """What libzstd and zlib hold back when they have no room must not be lost with the damage behind it."""
    wrong_checksum = bytearray(compress(data))
    wrong_checksum[-1] ^= 1
    blocks = in_blocks([data], checksum=False)
    assert blocks.endswith(b"\1\0\0")  # an empty last block: one of a kind that there is not, instead
    return {"checksum": bytes(wrong_checksum), "block": blocks[:-3] + b"\7\0\0", "gzip": gzip.compress(data)[:-9]}


@pytest.mark.parametrize("kind", damaged_in_the_end(DATA))
def test_bytes_before_a_damage_come_out_in_any_steps(tmp_path, backend, kind):
    path = tmp_path / "f"
    path.write_bytes(damaged_in_the_end(DATA)[kind])
    wanted = decoded_in_steps(backend, path, 1 << 20)
    assert wanted[1] and DATA.startswith(wanted[0])
    if kind != "gzip":
        assert wanted[0] == DATA
    for step in (1, 2, 64, 1000, len(DATA) - 1, len(DATA)):
        assert decoded_in_steps(backend, path, step) == wanted


def test_frames_behind_a_damage_are_not_counted(tmp_path):
    path = tmp_path / "f.jsonl.zst"
    broken = bytearray(compress(DATA[:HALF]))
    broken[-1] ^= 1
    path.write_bytes(compress(DATA[:HALF], checksum=False) + broken + compress(DATA[HALF:]) * 2)
    outcome = scan_alike([path]).outcomes[0]
    assert (outcome["status"], outcome["frames"], outcome["frames_without_checksum"]) == ("damaged", 2, 1)


@pytest.mark.parametrize("data", [b"\n\n", b"\r\n", b"\n", b"\n{", b"{\n", b"{}", b" "])
def test_a_damaged_file_of_two_bytes(tmp_path, data):
    """They might have begun a byte order mark; the lines among them are whole all the same."""
    path = tmp_path / "f.jsonl.zst"
    path.write_bytes(in_blocks([data])[:-5])
    assert_holds(scan_alike([path]), 0, data)


def test_what_no_decompressor_reads(tmp_path, backend):
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(OSError):
            backend.Decompressor(os.fsencode(path))
    with pytest.raises(ValueError, match="10 to 31"):
        backend.Decompressor(os.fsencode(tmp_path / "missing"), max_window_log=40)


@pytest.mark.parametrize(
    "raw",
    [compress(b""), skippable(b"nothing"), compress(b"") * 2 + skippable(b"")],
    ids=["frame", "skippable", "several"],
)
def test_files_without_content(tmp_path, raw):
    assert assert_whole(tmp_path, raw, b"")["documents"] == 0


def test_seek_table_that_lies_is_not_believed(tmp_path):
    """The table says where frames are; the frames say what is in them. A false table must not change what is read."""
    frames = [compress(line) for line in LINES]
    for lie in ("sizes", "count", "order"):
        sizes = [[len(f), len(line)] for f, line in zip(frames, LINES, strict=True)]
        if lie == "sizes":
            sizes[3][1] += 5
        elif lie == "order":
            sizes.reverse()
        entries = b"".join(struct.pack("<II", *s) for s in (sizes[:-1] if lie == "count" else sizes))
        table = entries + struct.pack("<IBI", len(sizes) - (lie == "count"), 0, 0x8F92EAB1)
        assert_whole(tmp_path, b"".join(frames) + skippable(table, 0xE), DATA)


def test_frame_cut_at_every_byte_of_the_text(tmp_path):
    """Frames end anywhere: inside a key, an escape, a character, a CR LF, the BOM."""
    data = (
        BOM
        + b"".join(LINES[:3]).replace(b"\n", b"\r\n")
        + b'{"text": "\\ud83d\\ude00 \\u00e9"}\r\n'
        + '{"text": "한😀"}'.encode()
    )
    paths = []
    for cut in range(len(data) + 1):
        paths.append(tmp_path / f"{cut}.jsonl")
        paths[-1].write_bytes(compress(data[:cut]) + compress(data[cut:]))
    scanned = scan_alike(paths)
    for file, outcome in enumerate(scanned.outcomes):
        assert outcome["status"] == "ok" and outcome["frames"] == 2
        assert_holds(scanned, file, data)


def test_block_cut_at_every_byte_of_the_text(tmp_path):
    data = b"".join(LINES[:3]).replace(b"\n", b"\r\n") + b'{"text": "\\ud83d\\ude00"}\n' + '{"text": "한😀"}'.encode()
    paths = []
    for cut in range(len(data) + 1):
        paths.append(tmp_path / f"{cut}.jsonl")
        paths[-1].write_bytes(in_blocks([data[:cut], data[cut:]]))
    scanned = scan_alike(paths)
    for file in range(len(paths)):
        assert scanned.outcomes[file]["status"] == "ok"
        assert_holds(scanned, file, data)


@pytest.mark.parametrize("shift", range(-5, 6))
def test_what_straddles_block_borders(tmp_path, shift):
    """Invalid bytes, long characters, escapes and line breaks laid across every multiple of 128 KiB (zstd's block; ours are multiples)."""
    border = 128 << 10
    straddlers = [
        b"\xff",
        b"\xf0\x9f\x98",
        "😀".encode(),
        b"\\ud83d\\ude00",
        b"\\ud800",
        b"\\n",
        "한".encode(),
        b"\xed\xa0\x80",
        b"",
    ]
    out = bytearray()
    for number in range(1, 20):
        straddler = straddlers[number % len(straddlers)]
        target = number * border + shift
        head = b'{"id": %d, "text": "' % number
        out += head
        # `straddler` begins at `target`; where it is empty, a line break does.
        out += (b"lorem ipsum " * (1 + border // 12))[: target - len(out) - (2 if not straddler else 0)]
        out += straddler + (b'"}\r\n' if not straddler else b' tail"}\r\n')
        while len(out) < (number + 1) * border - 4000:
            out += LINES[number % 40]
    data = bytes(out)
    paths = [tmp_path / name for name in ("one.zst", "blocks.zst", "plain.jsonl", "gz.gz")]
    paths[0].write_bytes(compress(data, level=1))
    paths[1].write_bytes(b"".join(compress(data[i : i + border], level=1) for i in range(0, len(data), border)))
    paths[2].write_bytes(data)
    paths[3].write_bytes(gzip.compress(data, 1))
    scanned = scan_alike(paths, signals=("n_bytes", "n_tokens"))
    for file in range(4):
        assert scanned.outcomes[file]["status"] == "ok"
        assert_holds(scanned, file, data)
    assert len(scanned.errors[0]) >= 6


# Other formats, told apart by their first bytes

NAMES = ("f.jsonl", "f.jsonl.zst", "f.jsonl.gz", "f.zst", "noext")


@pytest.mark.parametrize("name", NAMES)
def test_names_say_nothing(tmp_path, name):
    for format_, raw in (("zstd", compress(DATA)), ("gzip", gzip.compress(DATA)), ("plain", DATA)):
        outcome = assert_whole(tmp_path, raw, DATA, name)
        assert outcome["format"] == format_


GZIP = {
    "one member": gzip.compress(DATA),
    "two members": gzip.compress(DATA[:HALF]) + gzip.compress(DATA[HALF:]),
    "a member a line": b"".join(map(gzip.compress, LINES)),
    "empty members": gzip.compress(b"") + gzip.compress(DATA) + gzip.compress(b""),
    "stored": gzip.compress(DATA, 0),
    "with a name": gzip.compress(DATA)[:3]
    + b"\x08"
    + gzip.compress(DATA)[4:10]
    + b"name.jsonl\0"
    + gzip.compress(DATA)[10:],
}


@pytest.mark.parametrize("raw", GZIP.values(), ids=GZIP)
def test_gzip(tmp_path, raw):
    assert assert_whole(tmp_path, raw, DATA)["format"] == "gzip"


def test_gzip_truncated_at_every_byte(tmp_path):
    raw = gzip.compress(b"".join(LINES[:8])) + gzip.compress(b"".join(LINES[8:12]))
    first = len(gzip.compress(b"".join(LINES[:8])))
    paths = []
    for cut in range(2, len(raw)):  # with one byte there is no magic left
        paths.append(tmp_path / f"{cut}.gz")
        paths[-1].write_bytes(raw[:cut])
    scanned = scan_alike(paths)
    for file, cut in enumerate(range(2, len(raw))):
        assert scanned.outcomes[file]["status"] == ("ok" if cut == first else "damaged"), cut
        assert_holds(scanned, file, b"".join(LINES[:12]))


def test_plain_files_that_begin_like_others(tmp_path):
    for start in (b"\x1f", b"\x28\xb5\x2f", b"\x50\x2a\x4d", b"\x1f\x8a"):
        data = start + b"\n" + DATA
        path = tmp_path / "f.jsonl"
        path.write_bytes(data)
        scanned = scan_alike([path])
        assert scanned.outcomes[0]["format"] == "plain" and scanned.outcomes[0]["status"] == "ok"
        assert_holds(scanned, 0, data)


def test_empty_file(tmp_path):
    outcome = assert_whole(tmp_path, b"", b"")
    assert (outcome["documents"], outcome["lines"], outcome["frames"]) == (0, 0, 0)


def test_what_cannot_be_opened(tmp_path):
    (tmp_path / "good.jsonl").write_bytes(DATA)
    scanned = scan_alike([tmp_path / "missing.jsonl", tmp_path / "good.jsonl", tmp_path])
    assert [o["status"] for o in scanned.outcomes] == ["unreadable", "ok", "unreadable"]
    assert scanned.outcomes[1]["documents"] == len(LINES)
    assert all(scanned.outcomes[i]["bytes"] == 0 for i in (0, 2))


@on_every_backend
@pytest.mark.parametrize("format_", ["zstd", "gzip", "plain"])
def test_pipe(implementation, format_):
    """An open descriptor that cannot seek; written slowly, in odd pieces."""
    backend = implementation.use()
    raw = {"zstd": seekable(LINES), "gzip": GZIP["two members"], "plain": DATA}[format_]
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb", buffering=0) as sink:
            for i in range(0, len(raw), 7):
                sink.write(raw[i : i + 7])

    writer = threading.Thread(target=write)
    writer.start()
    scanned = scan(backend, [reading], signals=SIGNALS, threads=2)
    writer.join()
    assert scanned.outcomes[0]["status"] == "ok" and scanned.outcomes[0]["format"] == format_
    assert_holds(scanned, 0, DATA)


# Damage

TRUNCATED = {
    "blocks": in_blocks(LINES[:12]),
    "frames": b"".join(compress(line) for line in LINES[:12]),
    "frames without checksums": b"".join(compress(line, checksum=False) for line in LINES[:12]),
    "seekable": seekable(LINES[:12]),
    "one block": compress(b"".join(LINES[:12])),
    "skippable first": skippable(b"0123456789") + compress(b"".join(LINES[:12])),
}


def ends_of_frames(raw: bytes) -> set[int]:
    """Where a cut is no damage. Found by asking the decoder, frame by frame."""
    ends, at = {0}, 0
    while at < len(raw):
        if raw[at + 1 : at + 4] == b"\x2a\x4d\x18":
            at += 8 + struct.unpack("<I", raw[at + 4 : at + 8])[0]
        else:
            decoder = zstandard.ZstdDecompressor().decompressobj()
            decoder.decompress(raw[at:])
            at = len(raw) - len(decoder.unused_data)
        ends.add(at)
    return ends


@pytest.mark.parametrize("raw", TRUNCATED.values(), ids=TRUNCATED)
def test_truncated_at_every_byte(tmp_path, raw):
    data = b"".join(LINES[:12])
    cuts = range(4, len(raw))  # with fewer bytes there is no magic left, and the file is plain
    paths = []
    for cut in cuts:
        paths.append(tmp_path / f"{cut}.zst")
        paths[-1].write_bytes(raw[:cut])
    scanned = scan_alike(paths)
    ends = ends_of_frames(raw)
    for file, cut in enumerate(cuts):
        outcome = scanned.outcomes[file]
        assert outcome["status"] == ("ok" if cut in ends else "damaged"), (cut, outcome)
        assert_holds(scanned, file, data)
    documents = [o["documents"] for o in scanned.outcomes]
    assert documents == sorted(documents), "a longer file holds fewer documents"


def test_truncated_plain_file_is_a_shorter_file(tmp_path):
    paths = []
    for cut in range(4):
        paths.append(tmp_path / f"{cut}.zst")
        paths[-1].write_bytes(compress(DATA)[:cut])
    scanned = scan_alike(paths)
    assert [o["format"] for o in scanned.outcomes] == ["plain"] * 4
    assert [o["status"] for o in scanned.outcomes] == ["ok"] * 4


def test_truncation_counts_what_was_whole(tmp_path):
    """Blocks before the cut are decoded; the line that the cut leaves unfinished is cut_off, and the rest of the file is known to be lost."""
    raw = in_blocks(LINES)
    path = tmp_path / "f.zst"
    path.write_bytes(raw[: len(raw) // 2])
    scanned = scan_alike([path])
    outcome = scanned.outcomes[0]
    assert outcome["status"] == "damaged"
    assert 10 < outcome["documents"] < 30
    assert_holds(scanned, 0, DATA)


def test_half_a_line_of_a_damaged_file_is_cut_off(tmp_path):
    data = DATA[: HALF + 11]
    path = tmp_path / "f.zst"
    path.write_bytes(in_blocks([data[:HALF], data[HALF:]])[:-4])
    scanned = scan_alike([path])
    outcome = scanned.outcomes[0]
    assert outcome["status"] == "damaged" and outcome["bytes"] == len(data)
    assert scanned.errors[0][-1][2] == "cut_off"
    assert outcome["malformed_by_reason"] == {"cut_off": 1}


def flips(size: int, count: int = 300) -> list[int]:
    return sorted(random.Random(7).sample(range(8 * size), min(count, 8 * size)))


@pytest.mark.parametrize("kind", ["blocks", "frames", "one block", "seekable"])
def test_one_flipped_bit(tmp_path, kind):
    """Every flip is either without effect or found; nothing crashes, and what came out before is accounted for."""
    raw = TRUNCATED[kind]
    bits = flips(len(raw))
    assert len(bits) == 300
    paths = []
    for bit in bits:
        damaged = bytearray(raw)
        damaged[bit // 8] ^= 1 << bit % 8
        paths.append(tmp_path / f"{bit}.zst")
        paths[-1].write_bytes(damaged)
    for scanned in scan_apart(paths):
        found = 0
        for file, bit in enumerate(bits):
            outcome = scanned.outcomes[file]
            if bit < 32:
                continue  # another magic: another format
            if outcome["status"] == "ok":
                assert_holds(scanned, file, b"".join(LINES[:12]))
                assert outcome["bytes"] == len(b"".join(LINES[:12])), bit
            else:
                # What a damaged block decodes to before the checksum tells is the decoder's to say (1.5.4 and 1.5.7 differ).
                found += 1
                counters = ("bytes_parsed", "bytes_malformed", "bytes_blank", "bytes_too_long")
                assert sum(outcome[counter] for counter in counters) == outcome["bytes"], bit
        assert found > 200


def test_flipped_bit_without_checksum_is_counted_or_found(tmp_path):
    """Nobody can see every flip without a checksum: the law of accounting holds all the same."""
    raw = TRUNCATED["frames without checksums"]
    paths = []
    for bit in flips(len(raw)):
        damaged = bytearray(raw)
        damaged[bit // 8] ^= 1 << bit % 8
        paths.append(tmp_path / f"{bit}.zst")
        paths[-1].write_bytes(damaged)
    scan_apart(paths)


GARBAGE = {
    "text": b"garbage behind the last frame\n",
    "one byte": b"x",
    "zeros": b"\0" * 512,
    "half a magic": compress(b"")[:3],
    "gzip": gzip.compress(DATA),
    "plain records": DATA,
    "unfinished skippable": skippable(b"0123456789")[:-3],
    "header only": compress(DATA)[:5],
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_garbage_behind_frames(tmp_path, garbage):
    path = tmp_path / "f.zst"
    path.write_bytes(compress(DATA[:HALF]) + compress(DATA[HALF:]) + garbage)
    scanned = scan_alike([path])
    outcome = scanned.outcomes[0]
    assert outcome["status"] == "damaged" and outcome["documents"] == len(LINES)
    # The beginning of a frame may have gone into the decoder: it is then consumed, not lost.
    is_beginning = compress(DATA).startswith(garbage) or skippable(b"0123456789").startswith(garbage)
    assert (0 if is_beginning else 1) <= outcome["bytes_lost"] <= len(garbage)
    assert_holds(scanned, 0, DATA)


def test_damage_in_the_middle_ends_the_file(tmp_path):
    """Frames behind the damage are not taken up again: where a frame begins can no longer be known."""
    frames = [compress(line) for line in LINES]
    damaged = bytearray(frames[20])
    damaged[-1] ^= 1  # the checksum
    path = tmp_path / "f.zst"
    path.write_bytes(b"".join(frames[:20]) + bytes(damaged) + b"".join(frames[21:]))
    good = tmp_path / "good.zst"
    good.write_bytes(b"".join(frames))
    for scanned in scan_apart([path, good]):
        assert [o["status"] for o in scanned.outcomes] == ["damaged", "ok"]
        assert scanned.outcomes[0]["documents"] in (20, 21)  # the checksum stands behind what it is of
        assert scanned.outcomes[0]["bytes_lost"] > 0
        assert_holds(scanned, 0, DATA)
        assert scanned.outcomes[1]["documents"] == len(LINES)


def test_window_limit(tmp_path):
    parameters = zstandard.ZstdCompressionParameters(window_log=28, write_checksum=True)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    raw = compressor.compress(DATA) + compressor.flush()
    assert zstandard.get_frame_parameters(raw).window_size == 1 << 28
    path = tmp_path / "wide.zst"
    path.write_bytes(raw)
    refused = scan_alike([path])
    assert refused.outcomes[0]["status"] == "damaged" and refused.outcomes[0]["documents"] == 0
    assert "window" in refused.outcomes[0]["reason"].lower()
    for implementation in BACKENDS:
        allowed = scan(implementation.use(), [path], signals=SIGNALS, max_window_log=28)
        assert allowed.outcomes[0]["status"] == "ok" and allowed.outcomes[0]["documents"] == len(LINES)


def test_dictionary_frames_are_refused(tmp_path):
    dictionary = zstandard.ZstdCompressionDict(b"".join(lines_of(500, seed=1))[:20_000])
    trained = zstandard.train_dictionary(4096, lines_of(3000, seed=2))
    paths = [tmp_path / "raw.zst", tmp_path / "trained.zst"]
    paths[0].write_bytes(compress(DATA, dict_data=dictionary))
    paths[1].write_bytes(compress(b"") + compress(DATA, dict_data=trained))
    scanned = scan_alike(paths)
    assert [o["status"] for o in scanned.outcomes] == ["damaged", "damaged"]
    assert scanned.outcomes[1]["documents"] == 0 and "dictionar" in scanned.outcomes[1]["reason"].lower()


def knows_golden_files(backend) -> bool:
    """They are of libzstd 1.5.7; before, it refused one of the good and took the three bad (Debian 12 has 1.5.4)."""
    return tuple(map(int, backend.backend_info()["zstd"].split("."))) >= (1, 5, 7)


@pytest.mark.parametrize("path", sorted((GOLDEN / "golden-decompression").glob("*.zst")), ids=lambda p: p.stem)
@on_every_backend
def test_golden_files(implementation, path):
    decoded = zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes())
    scanned = scan_on(implementation, [path])
    outcome = scanned.outcomes[0]
    if knows_golden_files(implementation.use()) or path.stem != "zeroSeq_2B":
        assert (outcome["status"], outcome["bytes"], outcome["frames"]) == ("ok", len(decoded), 1)
        assert_holds(scanned, 0, decoded)


@pytest.mark.parametrize("path", sorted((GOLDEN / "golden-decompression-errors").glob("*.zst")), ids=lambda p: p.stem)
@on_every_backend
def test_golden_errors(implementation, path):
    outcome = scan_on(implementation, [path]).outcomes[0]
    assert outcome["documents"] == 0
    if knows_golden_files(implementation.use()):
        assert outcome["status"] == "damaged"


def test_golden_files_are_there():
    assert len(list((GOLDEN / "golden-decompression").glob("*.zst"))) == 4
    assert len(list((GOLDEN / "golden-decompression-errors").glob("*.zst"))) == 3


def test_reserved_and_unsupported_headers(tmp_path):
    """Block type 3, a reserved frame header bit, a block above the window: refused, each by both."""
    magic = b"\x28\xb5\x2f\xfd"
    headers = {
        "reserved bit": magic + b"\x08\x00" + b"\x01\x00\x00",
        "block type 3": magic + b"\x00\x58" + b"\x07\x00\x00",
        "huge raw block": magic + b"\x00\x00" + struct.pack("<I", (1 << 20) << 3 | 1)[:3],
        "huge content size": magic + b"\xe0" + struct.pack("<Q", 1 << 60) + b"\x01\x00\x00",
        "window log 41": magic + b"\x00\xff" + b"\x01\x00\x00",
    }
    paths = []
    for name, raw in headers.items():
        paths.append(tmp_path / f"{name}.zst")
        paths[-1].write_bytes(raw)
    scanned = scan_alike(paths)
    assert [o["status"] for o in scanned.outcomes] == ["damaged"] * len(headers)


def test_bomb_is_streamed(tmp_path):
    """A gigabyte of zeros in 32 kB is one line that is too long; nothing of that size is ever held."""
    import resource

    compressor = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    zeros = bytes(1 << 20)
    raw = (
        b"".join(compressor.compress(zeros) for _ in range(512))
        + compressor.compress(b"\n" + DATA)
        + compressor.flush()
    )
    path = tmp_path / "bomb.zst"
    path.write_bytes(raw)
    for implementation in BACKENDS:
        backend = implementation.use()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        scanned = scan(backend, [path], signals=SIGNALS, max_record_bytes=1 << 20)
        assert scanned.errors[0] == [(1, 0, "too_long")]
        assert scanned.outcomes[0]["documents"] == len(LINES)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10, "kB more than before"
