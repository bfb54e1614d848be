"""Profiles: what is read off them, and the file they travel in."""

import io
import json
import random
import struct
import zlib
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

import naive_corpus
import naive_signals
import naive_text
from textassay import OutputError, Profile, ProfileError, UsageError, tap_format
from textassay.configuration import Configuration
from textassay.tap_format import from_planes
from textassay.tap_reader import first_unsorted

TEXTS = [
    "The cat sat on the mat. The cat slept.",
    "A dog barked at the cat; the cat, it's true, ran.",
    "",
    "Ünïcödé wörds and 日本語 text\nin two lines.",
    "the the the the",
]


def words_of(texts):
    return [naive_text.tokens(text) for text in texts]


@pytest.fixture
def profile(backend):
    profile = Profile("all", batch_tokens=8)
    profile.update(TEXTS)
    return profile


# Figures


def test_summary_is_that_of_the_texts(profile):
    counts = Counter(token for words in words_of(TEXTS) for token in words)
    documents = Counter(token for words in words_of(TEXTS) for token in set(words))
    values = list(counts.values())
    found = profile.summary()
    assert found["estimate"] is False
    assert found["n_documents"] == len(TEXTS)
    assert found["n_tokens"] == sum(values)
    assert found["n_types"] == len(values)
    assert found["n_bytes"] == sum(len(text.encode()) for text in TEXTS)
    assert found["n_chars"] == sum(map(len, TEXTS))
    assert found["entropy_bits"] == pytest.approx(naive_corpus.entropy_bits(values), rel=1e-9)
    assert found["chao1"] == pytest.approx(float(naive_corpus.chao1(values)), rel=1e-9)
    assert {m: n for m, n in found["spectrum"].items() if n} == {
        m: n for m, n in naive_corpus.spectrum(values).items() if n
    }
    wanted = sorted(counts, key=lambda token: (-counts[token], token))
    assert [row["token"].encode() for row in found["top"]] == wanted[:50]
    assert [row["count"] for row in found["top"]] == [counts[token] for token in wanted[:50]]
    assert [row["documents"] for row in found["top"]] == [documents[token] for token in wanted[:50]]
    json.dumps(found, allow_nan=False)


def test_rarefied_types_of_a_part(profile):
    values = list(Counter(token for words in words_of(TEXTS) for token in words).values())
    for n in (0, 1, 7, sum(values)):
        wanted = naive_corpus.rarefied_types(values, n)
        assert profile.rarefied_types(n) == pytest.approx(float(wanted), rel=1e-9)
    with pytest.raises(ValueError, match="wanted a number from 0"):
        profile.rarefied_types(sum(values) + 1)


def test_count_looks_up_one_token(profile):
    counts = Counter(token for words in words_of(TEXTS) for token in words)
    for token, count in counts.items():
        assert profile.count(token) == profile.count(token.decode()) == count
    for absent in ("", "ca", "cats", "zebra", "\0", "t"):
        assert profile.count(absent) == 0


def test_count_of_bytes_and_characters(backend):
    text = "\0\0a\xff"
    bytewise = Profile(["n_bytes"], tokens="byte")
    bytewise.update([text])
    assert [bytewise.count(bytes([b])) for b in (0, 0x61, 0xC3, 0xBF, 0xFF, 1)] == [2, 1, 1, 1, 0, 0]
    assert {row["token"] for row in bytewise.top(10)} == {"\0", "a", "\\xc3", "\\xbf"}
    charwise = Profile(["n_bytes"], tokens="char")
    charwise.update([text])
    assert [charwise.count(c) for c in ("\0", "a", "\xff", "A")] == [2, 1, 1, 0]


def test_distributions_are_of_documents_and_batches(profile):
    lengths = [len(words) for words in words_of(TEXTS)]
    found = profile.distributions()
    assert list(found) == list(profile.configuration.signals)
    assert found["n_tokens"]["mean"] == pytest.approx(Fraction(sum(lengths), len(lengths)))
    assert found["type_token_ratio"]["null"] == 1
    batches = naive_signals.batches(words_of(TEXTS), 8)
    assert profile.batch_distributions()["batch_n_tokens"]["n"] == len(batches) == profile.totals()["n_batches"]


def test_an_empty_profile_has_a_summary(backend):
    found = Profile().summary()
    assert found["n_documents"] == found["n_types"] == 0
    assert found["entropy_bits"] is found["zipf_exponent"] is found["heaps_beta"] is None
    json.dumps(found, allow_nan=False)


# Merging


def test_merge_is_addition(backend):
    parts = []
    for texts in (TEXTS[:2], TEXTS[2:]):
        parts.append(Profile(batch_tokens=8))
        parts[-1].update(texts)
    left, right = parts
    before = left.serialize(), right.serialize()
    both = left | right
    assert both.serialize() == (right | left).serialize()
    assert (left.serialize(), right.serialize()) == before
    assert both.count("the") == left.count("the") + right.count("the")
    left.merge(right)
    assert left.digest() == both.digest() != before


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"batch_tokens": 9}, "batch_tokens is 8 and 9"),
        ({"max_types": 99}, "max_types"),
        ({"tokens": "char"}, "tokens is 'word' and 'char'"),
        ({"signals": "n_tokens"}, "signals"),
    ],
)
def test_unlike_profiles_do_not_merge(backend, tmp_path, other, named):
    mine = Profile("n_bytes", batch_tokens=8)
    theirs = Profile(**{"signals": "n_bytes", "batch_tokens": 8} | other)
    with pytest.raises(UsageError, match=named):
        mine.merge(theirs)
    theirs.save(tmp_path / "theirs.tap")
    with pytest.raises(UsageError, match=named):
        mine.merge_file(tmp_path / "theirs.tap")


def test_another_lexicon_is_another_configuration(backend):
    from textassay.lexicon import parse_lexicon

    mine, theirs = Profile(), Profile(lexicon=parse_lexicon("delve into", "test"))
    assert mine.configuration.markers != theirs.configuration.markers
    with pytest.raises(UsageError, match="markers"):
        mine.merge(theirs)
    with pytest.raises(UsageError, match="markers"):
        theirs.update(["text"])
    without = [Profile("n_bytes", lexicon=lexicon) for lexicon in (None, parse_lexicon("delve", "test"))]
    without[0].merge(without[1])


# The file


def test_a_file_comes_back(profile, tmp_path):
    digest = profile.save(tmp_path / "a.tap")
    assert digest == profile.digest()
    assert (tmp_path / "a.tap").read_bytes() == profile.serialize()
    loaded = Profile.load(tmp_path / "a.tap")
    assert loaded.configuration == profile.configuration
    assert loaded.serialize() == profile.serialize()
    assert loaded.summary() == profile.summary()
    assert [path.name for path in tmp_path.iterdir()] == ["a.tap"]


def test_a_failed_save_leaves_the_old_file(profile, tmp_path, monkeypatch):
    path = tmp_path / "a.tap"
    profile.save(path)
    before = path.read_bytes()
    profile.update(["more"])

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("textassay.profile.write_profile", full)
    with pytest.raises(OutputError, match="No space"):
        profile.save(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.tap"]


def test_merge_file_is_merge(profile, tmp_path):
    profile.save(tmp_path / "a.tap")
    twice = profile | profile
    profile.merge_file(tmp_path / "a.tap")
    assert profile.serialize() == twice.serialize()


def test_many_chunks(backend, monkeypatch):
    """Chunk borders fall where they fall by the tokens alone, also where one token is larger than a chunk."""
    monkeypatch.setattr(tap_format, "CHUNK_TYPES", 16)
    monkeypatch.setattr(tap_format, "CHUNK_BYTES", 64)
    rng = random.Random(1)
    texts = [
        " ".join("x" * rng.choice([1, 3, 30, 200]) + str(rng.randrange(200)) for _ in range(40)) for _ in range(20)
    ]
    one = Profile(["n_tokens"])
    one.update(texts)
    data = one.serialize()
    assert data.count(b"TYPE") >= 10
    assert Profile.deserialize(data).serialize() == data


def test_bounded_profiles_come_back(backend):
    one = Profile(["n_tokens"], max_types=64, batch_tokens=50)
    one.update([" ".join(f"w{n}" for n in range(start, start + 300)) for start in range(0, 3000, 250)])
    assert not one.is_exact
    data = one.serialize()
    again = Profile.deserialize(data)
    assert again.serialize() == data
    assert again.summary() == one.summary()


def parts_of(data: bytes) -> tuple[dict, list[tuple[int, bytes, int, bytes]], int]:
    """Header, chunks (offset, kind, entries, raw bytes) and the footer's offset of a profile: read by the format's own text."""
    length = struct.unpack_from("<I", data, 12)[0]
    header, offset, chunks = json.loads(data[16 : 16 + length]), 16 + length, []
    while data[offset : offset + 4] != b"END ":
        kind, n, raw_length, stored, crc = struct.unpack_from("<4sQQQI", data, offset)
        packed = data[offset + 32 : offset + 32 + stored]
        raw = zstandard.decompress(packed)
        assert len(raw) == raw_length and zlib.crc32(packed) == crc
        chunks.append((offset, kind, n, raw))
        offset += 32 + stored
    return header, chunks, offset


def rebuilt(header: dict, chunks: list[tuple[bytes, int, bytes]], footer: int | None = None) -> bytes:
    """A file whose checksums are right, whatever it holds."""
    from hashlib import blake2b

    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    head = b"\x89TAP\r\n\x1a\n" + struct.pack("<II", 1, len(text)) + text
    digest, out = blake2b(head, digest_size=16), io.BytesIO()
    out.write(head)
    for kind, n, raw in chunks:
        stored = zstandard.compress(raw)
        out.write(struct.pack("<4sQQQI", kind, n, len(raw), len(stored), zlib.crc32(stored)) + stored)
        digest.update(kind + struct.pack("<QQ", n, len(raw)) + raw)
    tail = b"END " + struct.pack("<Q", len(chunks) if footer is None else footer)
    digest.update(tail)
    return out.getvalue() + tail + digest.digest()


def test_the_format_is_what_its_text_says(profile):
    data = profile.serialize()
    header, chunks, _ = parts_of(data)
    assert header["totals"]["n_documents"] == len(TEXTS)
    assert [kind for _, kind, _, _ in chunks] == [b"BINS", b"TYPE"]
    _, _, n, raw = chunks[1]
    lengths = [sum(raw[plane * n + i] << (8 * plane) for plane in range(4)) for i in range(n)]
    tokens, at = [], n * 28
    for length in lengths:
        tokens.append(raw[at : at + length])
        at += length
    assert at == len(raw)
    assert tokens == sorted({token for words in words_of(TEXTS) for token in words})
    counts = [sum(raw[n * 4 + plane * n + i] << (8 * plane) for plane in range(8)) for i in range(n)]
    assert counts == [profile.count(token) for token in tokens]
    assert rebuilt(header, [chunk[1:] for chunk in chunks])[-16:] == data[-16:]


@pytest.mark.parametrize("size", [0, 4, 7, 8, 11, 15, 20, 100, -200, -17, -16, -12, -1])
def test_a_truncated_file_is_refused(profile, size):
    data = profile.serialize()
    with pytest.raises(ProfileError, match="wanted"):
        Profile.deserialize(data[:size])


def test_every_flipped_bit_is_refused(backend):
    profile = Profile(["n_tokens"])
    profile.update(TEXTS)
    data = profile.serialize()
    rng = random.Random(7)
    for at in sorted(rng.sample(range(len(data)), 300)):
        bad = bytearray(data)
        bad[at] ^= 1 << rng.randrange(8)
        with pytest.raises(ProfileError) as caught:
            Profile.deserialize(bytes(bad))
        assert caught.value.path == "<bytes>" and 0 <= caught.value.byte_offset <= len(data)


def test_errors_name_path_and_offset(profile, tmp_path):
    path = tmp_path / "bad.tap"
    path.write_bytes(profile.serialize()[:-1] + b"!")
    with pytest.raises(ProfileError, match=r"bad\.tap: byte \d+: digest of the whole file: wanted") as caught:
        Profile.load(path)
    assert caught.value.byte_offset == len(profile.serialize()) - 28
    path.write_bytes(b"PAR1 is something else")
    with pytest.raises(ProfileError, match="not a profile"):
        Profile.load(path)
    path.write_bytes(profile.serialize() + b"more")
    with pytest.raises(ProfileError, match="wanted the end of the file, found 4 more bytes"):
        Profile.load(path)
    path.write_bytes(profile.serialize().replace(b"\x1a\n\x01\0", b"\x1a\n\x02\0", 1))
    with pytest.raises(ProfileError, match="made by a newer textassay: format 2"):
        Profile.load(path)


def types_chunk(rows: list[tuple[bytes, int, int, int]]) -> tuple[bytes, int, bytes]:
    """A chunk of (token, count, document frequency, peak), written without the code under test."""
    n = len(rows)
    columns = [[len(t) for t, *_ in rows], [c for _, c, _, _ in rows], [c - d for _, c, d, _ in rows]]
    columns.append([c - p for _, c, _, p in rows])
    raw = b""
    for column, width in zip(columns, (4, 8, 8, 8), strict=True):
        raw += b"".join(bytes((value >> (8 * plane)) & 255 for value in column) for plane in range(width))
    return b"TYPE", n, raw + b"".join(t for t, *_ in rows)


HOSTILE_TYPES = {
    "descending": [(b"b", 1, 1, 1), (b"a", 1, 1, 1)],
    "twice": [(b"a", 1, 1, 1), (b"a", 1, 1, 1)],
    "prefix behind": [(b"ab", 1, 1, 1), (b"a", 1, 1, 1)],
    "empty token": [(b"", 1, 1, 1), (b"a", 1, 1, 1)],
    "no count": [(b"a", 0, 0, 0), (b"b", 2, 1, 1)],
    "frequency above count": [(b"a", 1, 2, 1), (b"b", 1, 1, 1)],
    "no peak": [(b"a", 1, 1, 0), (b"b", 1, 1, 1)],
    "count above all": [(b"a", 1 << 62, 1, 1), (b"b", 1, 1, 1)],
    "too many": [(b"a", 2, 1, 1), (b"b", 1, 1, 1)],
    "too few": [(b"a", 1, 1, 1)],
}


def test_columns_of_one_number_are_aligned():
    for start in range(8):
        column = from_planes(bytes(start) + bytes(range(8)) + bytes(8), start, 1)
        assert column.tolist() == [0x0706050403020100] and column.flags.aligned


def small_file(backend) -> tuple[dict, list[tuple[bytes, int, bytes]]]:
    profile = Profile(["n_tokens"])
    profile.update(["a b"])
    header, chunks, _ = parts_of(profile.serialize())
    return header, [chunk[1:] for chunk in chunks]


def test_a_file_built_by_hand_is_read(backend):
    header, chunks = small_file(backend)
    data = rebuilt(header, [chunks[0], types_chunk([(b"a", 1, 1, 1), (b"b", 1, 1, 1)])])
    assert Profile.deserialize(data).count("b") == 1


@pytest.mark.parametrize("name", HOSTILE_TYPES)
def test_hostile_types_are_refused(backend, name):
    header, chunks = small_file(backend)
    with pytest.raises(ProfileError, match="wanted"):
        Profile.deserialize(rebuilt(header, [chunks[0], types_chunk(HOSTILE_TYPES[name])]))


def bounded_file() -> tuple[dict, list[tuple[bytes, int, bytes]]]:
    profile = Profile(["n_tokens"], max_types=64, batch_tokens=50)
    rare = [" ".join(f"w{n}" for n in range(start, start + 300)) for start in range(0, 3000, 250)]
    profile.update([*rare, "often often soon soon never never"])
    header, chunks, _ = parts_of(profile.serialize())
    return header, [chunk[1:] for chunk in chunks]


def test_types_beyond_the_sample_are_refused(backend):
    """Of another level than the file's, so that it names another state than its digest."""
    header, chunks = bounded_file()
    assert Profile.deserialize(rebuilt(header, chunks)).state.level == header["bounded"]["level"] > 0
    for level in (header["bounded"]["level"] + 4, 64):
        with pytest.raises(ProfileError, match="level"):
            Profile.deserialize(rebuilt(changed(header, "bounded/level", level), chunks))


def test_frequent_types_that_the_sketches_do_not_hold_are_refused(backend):
    header, chunks = bounded_file()
    n = header["bounded"]["n_frequent"]
    kind, entries, raw = chunks[-1]
    assert (kind, entries) == (b"FREQ", n) and n > 0
    peaks = bytes([0]) * n + bytes([1]) * n + bytes(6 * n)  # 256 each
    with pytest.raises(ProfileError, match="sketches that hold the frequent types"):
        Profile.deserialize(rebuilt(header, [*chunks[:-1], (kind, n, raw[: 4 * n] + peaks + raw[12 * n :])]))


@pytest.mark.parametrize("sums", [{"sum_squares": -1}, {"sum_squares": 1}, {"sum": 1}])
def test_sums_of_no_values_are_refused(backend, sums):
    header, chunks, _ = parts_of(Profile(["n_tokens"]).serialize())
    header["signals"]["n_tokens"] |= sums
    with pytest.raises(ProfileError, match="sum of squares"):
        Profile.deserialize(rebuilt(header, [chunk[1:] for chunk in chunks]))


def changed(header: dict, path: str, value: object) -> dict:
    header = json.loads(json.dumps(header))
    *parents, last = path.split("/")
    place = header
    for key in parents:
        place = place[key]
    if value is None and last not in place:
        raise KeyError(path)
    place[last] = value
    return header


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("n_types", 3),
        ("n_types", 1 << 62),
        ("n_types", -1),
        ("n_types", 1.0),
        ("n_types", True),
        ("totals/n_documents", 2),
        ("totals/n_tokens", 1 << 70),
        ("totals/surplus", 1),
        ("signals/n_tokens/nulls", 5),
        ("signals/n_tokens/bins", 513),
        ("signals/n_tokens/sum", "7"),
        ("signals/n_tokens/sum", 10**60),
        ("signals/n_tokens/sum", 1000),
        ("signals/n_tokens/sum_squares", -1),
        ("signals/mattr", {}),
        ("configuration/signals", ["n_tokens", "no_such_signal"]),
        ("configuration/signals", "n_tokens"),
        ("configuration/signals", [1]),
        ("configuration/signals", ["n_tokens", "n_tokens"]),
        ("configuration/signals", [["n_tokens"]]),
        ("configuration/max_types", 1),
        ("configuration/max_types", 0),
        ("configuration/max_types", 1 << 62),
        ("configuration/batch_tokens", 0),
        ("configuration/tokens", 7),
        ("configuration/tokens", "words"),
        ("configuration/extra", 7),
        ("bounded", {"level": 1, "floor_level": 0, "width": 1 << 40, "n_frequent": 0}),
        ("bounded", {"level": 1, "floor_level": 0, "width": 1000, "n_frequent": 0}),
        ("bounded", {"level": 99, "floor_level": 0, "width": 1 << 20, "n_frequent": 0}),
        ("bounded", {"level": 1, "floor_level": 1 << 60, "width": 1 << 20, "n_frequent": 0}),
        ("bounded", {"level": 1, "floor_level": 0, "width": 1 << 20, "n_frequent": 1 << 40}),
        ("bounded", []),
    ],
)
def test_hostile_headers_are_refused(backend, path, value):
    header, chunks = small_file(backend)
    with pytest.raises(ProfileError, match="wanted"):
        Profile.deserialize(rebuilt(changed(header, path, value), chunks))


@pytest.mark.parametrize("text", [b"{", b"[" * 100_000, b'{"n_types": 1' + b"0" * 5000 + b"}", b"null", b"\xff"])
def test_hostile_header_text_is_refused(backend, text):
    with pytest.raises(ProfileError, match="wanted"):
        Profile.deserialize(tap_format.MAGIC + struct.pack("<II", 1, len(text)) + text)


def test_sizes_are_checked_before_anything_is_allocated(backend):
    """Declared sizes of exabytes cost nothing: the file is too short for them, or no frame expands that far."""
    header, chunks = small_file(backend)
    data = rebuilt(header, chunks)
    start = 16 + struct.unpack_from("<I", data, 12)[0]
    for entries, raw, stored in ((1 << 60, 1 << 63, 64), (1288, 10304, 1 << 60), (1 << 61, 1 << 64 - 1, 1 << 50)):
        bad = bytearray(data)
        struct.pack_into("<QQQ", bad, start + 4, entries, min(raw, (1 << 64) - 1), stored)
        with pytest.raises(ProfileError, match="wanted|cannot be"):
            Profile.deserialize(bytes(bad))


def test_a_frame_that_lies_about_its_size_is_refused(backend):
    """zstandard would allocate what the frame says; it must be what the chunk says, and that what its entries need."""
    header, chunks = small_file(backend)
    _, n, raw = chunks[1]
    bomb = zstandard.compress(bytes(1 << 26))
    good = rebuilt(header, chunks)
    start = good.index(b"TYPE")
    chunk = struct.pack("<4sQQQI", b"TYPE", n, len(raw), len(bomb), zlib.crc32(bomb)) + bomb
    with pytest.raises(ProfileError, match="wanted a zstd frame of"):
        Profile.deserialize(good[:start] + chunk)


@given(
    st.lists(st.binary(min_size=1, max_size=20) | st.text("ab\0", min_size=1, max_size=20).map(str.encode), max_size=12)
)
def test_order_of_tokens(tokens):
    data = np.frombuffer(b"".join(tokens), np.uint8)
    offsets = np.cumsum([0, *map(len, tokens)])
    wrong = [i for i in range(1, len(tokens)) if tokens[i] <= tokens[i - 1]]
    assert first_unsorted(data, offsets) == (wrong[0] if wrong else None)
    ordered = sorted(set(tokens))
    assert first_unsorted(np.frombuffer(b"".join(ordered), np.uint8), np.cumsum([0, *map(len, ordered)])) is None


def test_configuration_names_all_that_differs():
    one = Configuration(("n_tokens",), "word", 8, 16, "")
    with pytest.raises(UsageError, match="batch_tokens is 8 and 9; max_types is 16 and 17"):
        one.check_same(Configuration(("n_tokens",), "word", 9, 17, ""))
    one.check_same(Configuration(("n_tokens",), "word", 8, 16, ""))


def test_limits_of_the_bounded_form(backend):
    """The reader's own formulas against what the backend does."""
    for max_types in (1, 16, 1024, 16_384, 16_385, 40_000):
        profile = Profile(["n_tokens"], max_types=max_types, batch_tokens=100_000)
        profile.update([" ".join(f"w{n}" for n in range(start, start + 10_000)) for start in range(0, 50_000, 10_000)])
        bounded = profile._state.bounded()
        assert bounded["width"] == tap_format.sketch_width(max_types)
        assert len(bounded["frequent"]["peaks"]) <= tap_format.most_frequent(max_types)
        assert Profile.deserialize(profile.serialize()).serialize() == profile.serialize()
