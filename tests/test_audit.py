"""The audit of files of token ids: formats, batches, figures, accounts, exit codes. And the counter under it."""

import json
import math
import struct
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from implementations import BACKENDS, backend_module, on_every_backend
from test_cli import textassay
from textassay import UsageError, _backend, audit_tokens
from textassay.batch import MAX_BATCH
from textassay.errors import OutputError

DTYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8")


# A naive audit: Python integers only.


def fixed_log(count):
    """c log2 c with 32 fractional bits, as docs/semantics.md has it: 58 squarings of the mantissa."""
    if count < 2:
        return 0
    k = count.bit_length() - 1
    mantissa, fraction = count << (63 - k), 0
    for _ in range(58):
        square = mantissa * mantissa
        carry = square >> 127
        fraction = 2 * fraction + carry
        mantissa = square >> (64 if carry else 63)
    return (count * ((k << 58) + fraction)) >> 26


def naive_batch(ids, vocab_size):
    inside = [one for one in ids if 0 <= one < vocab_size]
    outside = [place for place, one in enumerate(ids) if not 0 <= one < vocab_size]
    counts = Counter(inside)
    n = len(inside)
    units = fixed_log(n) - sum(map(fixed_log, counts.values()))
    return {
        "n_tokens": n,
        "n_types": len(counts),
        "n_outside": len(outside),
        "first_outside": outside[0] if outside else -1,
        "entropy_bits": None if n == 0 else max(0.0, float(units) / (float(n) * 4294967296.0)),
    }


def naive_ends(document_ends, n_ids, batch_tokens):
    """A batch is closed by the first document that brings it to `batch_tokens` or more."""
    ends, begin = [], 0
    for end in document_ends:
        if end - begin >= batch_tokens:
            ends.append(end)
            begin = end
    return ends + ([n_ids] if begin < n_ids else [])


def measured(counter, ids, ends):
    found = counter.measure(ids, np.array(ends, np.int64))
    lists = {name: column.tolist() for name, column in found.items()}
    rows = [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]
    return [{k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()} for row in rows]


# The counter


@on_every_backend
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("vocab_size", [1, 100, 120, 1 << 16, 1 << 20, 1 << 62])
def test_counter(implementation, dtype, vocab_size):
    """To the bit, over all integer types, with ids outside, and empty batches."""
    rng = np.random.default_rng(1)
    kind = np.dtype(dtype)
    low = -3 if kind.kind == "i" else 0
    ids = rng.integers(low, 121, 5000).astype(kind)
    ids[100:140] = 7  # equal ids in a row
    ids[200] = np.iinfo(kind).max
    ends = [1, 1, 64, 3001, 3003, 5000]
    counter = implementation.use().IdCounter(vocab_size)
    wanted = [naive_batch(ids[a:b].tolist(), vocab_size) for a, b in zip([0, *ends], ends, strict=False)]
    assert measured(counter, ids, ends) == wanted
    assert measured(counter, ids, ends) == wanted, "a call left something behind"


@on_every_backend
def test_counter_of_ids_far_apart(implementation):
    """Beyond 2^22 there is no counter for each id."""
    rng = np.random.default_rng(2)
    ids = (rng.integers(0, 50, 999) ** 11).astype(np.int64)
    ids[5], ids[17] = (1 << 62), -1
    counter = implementation.use().IdCounter(1 << 62)
    assert measured(counter, ids, [500, 999]) == [
        naive_batch(ids[a:b].tolist(), 1 << 62) for a, b in ((0, 500), (500, 999))
    ]
    around = np.array([(1 << 22) - 2, (1 << 22) - 1, 1 << 22, (1 << 22) - 1], np.uint32)
    for n in (2, 3, 4):
        assert measured(counter, around[:n], [n]) == [naive_batch(around[:n].tolist(), 1 << 62)]


@given(st.data())
@settings(max_examples=50)
def test_backends_agree(data):
    kind = np.dtype(data.draw(st.sampled_from(DTYPES)))
    info = np.iinfo(kind)
    one = st.integers(0, 9) | st.integers(max(info.min, -5), min(info.max, 300)) | st.integers(info.min, info.max)
    ids = np.array(data.draw(st.lists(one, max_size=80)), kind)
    vocab_size = data.draw(st.sampled_from([1, 5, 128, 256, 300, 1 << 16, 1 << 62]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(ids)), max_size=3)))
    ends = [*cuts, len(ids)]
    wanted = [naive_batch(ids[a:b].tolist(), vocab_size) for a, b in zip([0, *ends], ends, strict=False)]
    for implementation in BACKENDS:
        assert measured(backend_module(implementation.backend).IdCounter(vocab_size), ids, ends) == wanted


@on_every_backend
def test_totals(implementation):
    backend = implementation.use()
    counter = backend.IdCounter(20, totals=True)
    ids = np.array([3, 3, 19, 20, 0, -1], np.int32)
    counter.measure(ids, np.array([2, 6]))
    counter.measure(ids[:1], np.array([1]))
    assert counter.totals().tolist() == [1, 0, 0, 3, *[0] * 15, 1]
    assert counter.totals().dtype == np.uint64
    assert len(backend.IdCounter(20).totals()) == 0


@on_every_backend
def test_counter_refuses(implementation):
    make = implementation.use().IdCounter
    for size in (0, (1 << 62) + 1):
        with pytest.raises(ValueError, match="vocab_size"):
            make(size)
    with pytest.raises(ValueError, match="vocab_size"):
        make((1 << 22) + 1, totals=True)
    counter, ids = make(10), np.arange(6)
    with pytest.raises(TypeError, match="integers"):
        counter.measure(ids * 1.0, np.array([6]))
    strange = np.frombuffer(bytes(8 * 6 + 1), np.uint8)[1:].view(np.int64)
    for other in (ids[::2], ids.reshape(2, 3), ids.astype(">i8"), strange):
        with pytest.raises(ValueError, match="1-D array, contiguous, aligned"):
            counter.measure(other, np.array([len(other)]))
    for ends in ([5], [7], [4, 3, 6], [-1, 6], []):
        with pytest.raises(ValueError, match="ends: wanted"):
            counter.measure(ids, np.array(ends, np.int64))
    many = np.broadcast_to(np.uint8(0), MAX_BATCH + 1).copy()
    with pytest.raises(ValueError, match="2\\^26 apart"):
        counter.measure(many, np.array([len(many)]))


def test_entropy_is_that_of_the_definition():
    """The fixed logarithm against the exact one."""
    ids = np.random.default_rng(3).zipf(1.3, 5000).clip(max=999)
    found = _backend.get().IdCounter(1000).measure(ids, np.array([5000]))["entropy_bits"][0]
    counts = Counter(ids.tolist())
    assert found == pytest.approx(
        -math.fsum(Fraction(c, 5000) * math.log2(c / 5000) for c in counts.values()), rel=1e-9
    )


# Files


def write_index(path, lengths, dtype, documents=None, code=None, version=1, magic=b"MMIDIDX\x00\x00", more=b""):
    codes = {"uint8": 1, "int8": 2, "int16": 3, "int32": 4, "int64": 5, "uint16": 8}
    kind = np.dtype(dtype)
    lengths = np.array(lengths, np.int32)
    pointers = (np.cumsum(lengths, dtype=np.int64) - lengths) * kind.itemsize
    bounds = np.arange(len(lengths) + 1) if documents is None else np.array(documents)
    header = magic + struct.pack("<QBQQ", version, code or codes[kind.name], len(lengths), len(bounds))
    path.write_bytes(header + lengths.tobytes() + pointers.tobytes() + bounds.astype(np.int64).tobytes() + more)


def write_shard(path, ids, magic=20240520, n_ids=None):
    header = np.zeros(256, np.int32)
    header[:3] = magic, 1, len(ids) if n_ids is None else n_ids
    path.write_bytes(header.tobytes() + ids.tobytes())


IDS = np.random.default_rng(4).integers(0, 300, 1000)


def audited(path, **options):
    result = audit_tokens(path, batch_tokens=options.pop("batch_tokens", 100), threads=2, **options)
    inputs = result.summary["inputs"]
    assert inputs["balanced"] and sum(inputs["accounted"].values()) == inputs["bytes"]
    return result


def rows_of(result):
    names = ("first_token", "n_tokens", "n_types", "n_outside", "entropy_bits")
    return [{name: row[name] for name in names} for row in result.batches.rows()]


def naive_rows(ids, ends, vocab_size=1 << 62):
    rows = []
    for begin, end in zip([0, *ends], ends, strict=False):
        row = naive_batch(ids[begin:end].tolist(), vocab_size)
        rows.append({"first_token": begin, **{k: v for k, v in row.items() if k != "first_outside"}})
    return rows


@pytest.mark.parametrize("dtype", ["<u1", "<i1", "<u2", ">u2", "<i4", ">i4", "<u4", "<i8", ">u8"])
def test_npy(backend, tmp_path, dtype):
    ids = (IDS % 100).astype(dtype)
    np.save(tmp_path / "a.npy", ids)
    result = audited(tmp_path / "a.npy")
    assert rows_of(result) == naive_rows(ids, range(100, 1001, 100))
    assert result.summary["inputs"]["kinds"] == {f"npy {ids.dtype.name}": 1}
    assert result.summary["inputs"]["accounted"]["bytes_ids"] == ids.nbytes


@pytest.mark.parametrize("shape", [(1000,), (100, 10), (8, 125), (3, 11, 7), (4, 0), (0, 5), (), (0,)])
def test_rows_of_an_array_are_documents(tmp_path, shape):
    n = math.prod(shape)
    ids = IDS[:n].reshape(shape)
    np.save(tmp_path / "a.npy", ids)
    row = n // shape[0] if len(shape) > 1 and shape[0] else 0
    ends = list(range(row, n + 1, row)) if row else [*range(100, n, 100), *[n] * (n > 0)]
    ends = naive_ends(ends, n, 100) if row else ends
    assert rows_of(audited(tmp_path / "a.npy")) == naive_rows(ids.ravel(), ends)


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "int64", "uint8"])
def test_raw(tmp_path, dtype):
    ids = (IDS % 200).astype(dtype)
    (tmp_path / "a.bin").write_bytes(ids.tobytes())
    assert rows_of(audited(tmp_path / "a.bin", dtype=dtype)) == naive_rows(ids, range(100, 1001, 100))


def test_raw_is_uint16_and_says_where_that_looks_wrong(tmp_path):
    (tmp_path / "a.bin").write_bytes(IDS.astype(np.uint16).tobytes())
    assert audited(tmp_path / "a.bin").summary["inputs"]["kinds"] == {"raw uint16": 1}
    (tmp_path / "b.bin").write_bytes(IDS.astype(np.uint32).tobytes())
    with pytest.raises(UsageError, match=r"b\.bin: looks like ids of 32 bits; say which with dtype"):
        audited(tmp_path / "b.bin")
    assert audited(tmp_path / "b.bin", dtype="uint16").summary["inputs"]["tokens"] == 2000


@pytest.mark.parametrize(("magic", "dtype"), [(20240520, "uint16"), (20240801, "uint32")])
def test_shards(tmp_path, magic, dtype):
    ids = IDS.astype(dtype)
    write_shard(tmp_path / "a.bin", ids, magic)
    result = audited(tmp_path / "a.bin")
    assert rows_of(result) == naive_rows(ids, range(100, 1001, 100))
    assert result.summary["inputs"]["accounted"]["bytes_header"] == 1024
    with pytest.raises(UsageError, match=f"dtype int32 was asked for; the file says that it holds {dtype}"):
        audited(tmp_path / "a.bin", dtype="int32")


@pytest.mark.parametrize("dtype", ["uint16", "int32", "uint8", "int64"])
@given(data=st.data())
@settings(max_examples=15)
def test_megatron(tmp_path_factory, dtype, data):
    folder = tmp_path_factory.mktemp("megatron")
    lengths = data.draw(st.lists(st.integers(0, 60), min_size=1, max_size=40))
    bounds = data.draw(st.lists(st.integers(0, len(lengths)), max_size=12))
    bounds = sorted([0, *bounds, len(lengths)])
    ids = (np.arange(sum(lengths)) ** 2 % 100).astype(dtype)
    (folder / "a.bin").write_bytes(ids.tobytes())
    write_index(folder / "a.idx", lengths, dtype, bounds, more=bytes(len(lengths)) if data.draw(st.booleans()) else b"")
    starts = [0, *np.cumsum(lengths).tolist()]
    result = audited(folder / "a.bin")
    assert rows_of(result) == naive_rows(ids, naive_ends([starts[b] for b in bounds], len(ids), 100))
    assert result.summary["inputs"]["files_damaged"] == 0


def test_a_document_too_long_for_a_batch(tmp_path, monkeypatch):
    monkeypatch.setattr("textassay.audit.MAX_BATCH", 30)
    np.save(tmp_path / "a.npy", IDS[:240].reshape(3, 80))
    result = audited(tmp_path / "a.npy", batch_tokens=50)
    assert [row["n_tokens"] for row in rows_of(result)] == [30, 30, 20] * 3


def test_neither_threads_nor_units_matter(tmp_path, monkeypatch):
    shards, seen = tmp_path / "shards", set()
    shards.mkdir()
    for name in "abc":
        np.save(shards / f"{name}.npy", np.roll(IDS, ord(name)))
    write_index(shards / "d.idx", [70] * 10, "uint16")
    (shards / "d.bin").write_bytes(IDS[:700].astype(np.uint16).tobytes())
    for threads in (1, 3):
        for unit in (1, 64, 1 << 23):
            monkeypatch.setattr("textassay.audit.UNIT_TOKENS", unit)
            out = tmp_path / "out.jsonl"
            result = audit_tokens(shards, out, vocab_size=290, batch_tokens=100, floor=6.0, threads=threads)
            assert result.summary["batches"]["n_batches"] == 35
            kept = {name: value for name, value in result.summary.items() if name != "performance"}
            seen.add((json.dumps(kept), out.read_text()))
    assert len(seen) == 1


def test_ids_outside_are_named_and_the_audit_goes_on(backend, tmp_path):
    ids = IDS.astype(np.int32)
    ids[[150, 160, 990]] = -1, 300, 10**6
    np.save(tmp_path / "a.npy", ids)
    np.save(tmp_path / "b.npy", IDS)
    result = audited(tmp_path, vocab_size=300)
    assert rows_of(result)[:10] == naive_rows(ids, range(100, 1001, 100), 300)
    inputs = result.summary["inputs"]
    assert (inputs["tokens"], inputs["outside"]) == (1997, 3)
    assert inputs["accounted"]["bytes_outside"] == 12
    header = (tmp_path / "a.npy").stat().st_size - 4000
    first, second = inputs["outside_first"]
    assert first == {
        "file": str(tmp_path / "a.npy"),
        "position": 150,
        "byte_offset": header + 600,
        "id": -1,
        "batch": 1,
        "n_outside": 2,
    }
    assert (second["position"], second["id"]) == (990, 10**6)
    assert result.is_damaged() and result.is_damaged(2) and not result.is_damaged(3) and not result.is_damaged(0.01)
    corpus = result.summary["corpus"]
    counts = Counter([*IDS.tolist(), *(i for i in ids.tolist() if 0 <= i < 300)])
    assert (corpus["n_tokens"], corpus["n_types"]) == (1997, len(counts))
    n = 1997
    assert corpus["entropy_bits"] == pytest.approx(-math.fsum(c / n * math.log2(c / n) for c in counts.values()), 1e-9)


def test_a_batch_without_a_token_is_null(tmp_path):
    np.save(tmp_path / "a.npy", np.full(200, 9))
    result = audited(tmp_path / "a.npy", vocab_size=9, floor=1.0)
    row = next(result.batches.rows())
    assert [row[name] for name in ("entropy_bits", "entropy_mm_bits", "type_token_ratio", "below_floor")] == [None] * 4
    assert result.summary["batches"]["distributions"]["entropy_bits"]["null"] == 2


def damaged_files(folder):
    raw, half = IDS.astype(np.uint16).tobytes(), IDS.astype(np.uint16)
    (folder / "odd.bin").write_bytes(raw[:-1])
    np.save(folder / "whole.npy", IDS)
    whole = (folder / "whole.npy").read_bytes()
    (folder / "whole.npy").unlink()
    (folder / "cut.npy").write_bytes(whole[:-9])
    (folder / "long.npy").write_bytes(whole + b"xyz")
    (folder / "head.npy").write_bytes(whole[:40])
    (folder / "text.npy").write_bytes(b"\x93NUMPY\x01\x00\x10\x00{'descr': open(1)}")
    np.save(folder / "float.npy", IDS * 0.5)
    np.save(folder / "fortran.npy", np.asfortranarray(IDS.reshape(10, 100)))
    np.save(folder / "object.npy", np.array([1, "a"], object), allow_pickle=True)
    write_shard(folder / "short.bin", half, n_ids=1001)
    write_shard(folder / "more.bin", half, n_ids=900)
    (folder / "stub.bin").write_bytes(np.array([20240520], np.int32).tobytes())
    for name, arguments in {
        "magic": {"magic": b"TNTIDX\x00\x00\x00"},
        "version": {"version": 2},
        "float": {"code": 7},
        "lengths": {"lengths": [500, 501]},
        "bounds": {"documents": [0, 2, 1, 2]},
        "first": {"documents": [1, 2]},
        "beyond": {"documents": [0, 3]},
        "more": {"more": b"x"},
    }.items():
        (folder / f"index-{name}.bin").write_bytes(raw)
        write_index(folder / f"index-{name}.idx", **{"lengths": [400, 600], "dtype": "uint16", **arguments})
    (folder / "index-huge.bin").write_bytes(raw)
    (folder / "index-huge.idx").write_bytes(b"MMIDIDX\x00\x00" + struct.pack("<QBQQ", 1, 8, (1 << 64) - 1, 1 << 63))
    (folder / "index-apart.bin").write_bytes(raw)
    write_index(folder / "index-apart.idx", [400, 600], "uint16")
    content = bytearray((folder / "index-apart.idx").read_bytes())
    content[50:58] = struct.pack("<q", 802)  # where the second sequence begins
    (folder / "index-apart.idx").write_bytes(content)
    return {
        "cut.npy": (998, "cut off: wanted 1000 ids, found 998"),
        "float.npy": (0, "wanted an array of integers, found float64"),
        "fortran.npy": (0, "wanted an array in C order"),
        "head.npy": (0, "wanted a header of numpy, found a damaged one"),
        "index-apart.bin": (0, "index-apart.idx: wanted sequences one behind the other"),
        "index-beyond.bin": (0, "index-beyond.idx: wanted documents one behind the other"),
        "index-bounds.bin": (0, "index-bounds.idx: wanted documents one behind the other"),
        "index-first.bin": (0, "index-first.idx: wanted documents from the first sequence to the last"),
        "index-float.bin": (0, "index-float.idx: wanted a code of an integer type, found 7"),
        "index-huge.bin": (0, "index-huge.idx: wanted "),
        "index-lengths.bin": (1000, "cut off: wanted 1001 ids, found 1000"),
        "index-magic.bin": (0, "index-magic.idx: wanted Megatron's index, found something else"),
        "index-more.bin": (0, "index-more.idx: wanted 82 bytes, found 83"),
        "index-version.bin": (0, "index-version.idx: wanted version 1, found 2"),
        "long.npy": (1000, "wanted 8000 bytes of ids, found 8003 bytes"),
        "more.bin": (900, "wanted 1800 bytes of ids, found 2000 bytes"),
        "object.npy": (0, "wanted an array of integers, found object"),
        "odd.bin": (999, "wanted whole ids of 2 bytes, found 1999 bytes"),
        "short.bin": (1000, "cut off: wanted 1001 ids, found 1000"),
        "stub.bin": (0, "wanted a header of 1024 bytes, found 4"),
        "text.npy": (0, "wanted a header of numpy, found a damaged one"),
    }


def test_damaged_files(tmp_path):
    """Each is told, none stops the others, every byte is somewhere, and what is whole in front of the damage counts."""
    wanted = damaged_files(tmp_path)
    result = audited(tmp_path)
    found = {entry["file"].rpartition("/")[2]: entry["reason"] for entry in result.summary["inputs"]["damaged"]}
    assert found.keys() == wanted.keys()
    for name, (n_ids, reason) in wanted.items():
        assert found[name].startswith(reason), name
        alone = audited(tmp_path / name)
        assert alone.summary["inputs"]["tokens"] == n_ids, name
        assert alone.is_damaged()
    assert result.summary["inputs"]["tokens"] == sum(n for n, _ in wanted.values())


def test_empty_files_are_no_damage(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"")
    result = audited(tmp_path / "a.bin")
    assert not result.is_damaged() and result.summary["batches"]["n_batches"] == 0 and len(result.batches) == 0


def test_megatron_bin_that_was_cut(tmp_path):
    (tmp_path / "a.bin").write_bytes(IDS.astype(np.uint16).tobytes()[:1501])
    write_index(tmp_path / "a.idx", [250] * 4, "uint16")
    result = audited(tmp_path / "a.bin", batch_tokens=200)
    assert [row["n_tokens"] for row in rows_of(result)] == [250, 250, 250]
    inputs = result.summary["inputs"]
    assert inputs["damaged"][0]["reason"] == "cut off: wanted 1000 ids, found 750"
    assert inputs["accounted"]["bytes_left_over"] == 1


# What is asked for


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float32"}, "dtype='float32': wanted one of uint8"),
        ({"floor": -1}, "floor=-1: wanted bits"),
        ({"vocab_size": 0}, "vocab_size=0: wanted"),
        ({"batch_tokens": 0}, "batch_tokens=0: wanted"),
        ({"batch_tokens": 1 << 26}, "batch_tokens=67108864: wanted"),
        ({"threads": 0}, "threads=0: wanted"),
        ({"out": "a.csv"}, r"a\.csv: wanted a file ending in \.parquet"),
    ],
)
def test_usage(tmp_path, options, message):
    np.save(tmp_path / "a.npy", IDS)
    with pytest.raises(UsageError, match=message):
        audit_tokens(tmp_path / "a.npy", **options)


def test_folder_without_tokens(tmp_path):
    (tmp_path / "a.jsonl").write_text("{}")
    with pytest.raises(UsageError, match=r"no file ending in \.npy, \.bin in this folder"):
        audit_tokens(tmp_path)


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".jsonl.zst"])
def test_table(tmp_path, suffix):
    import pyarrow.parquet
    import zstandard

    np.save(tmp_path / "a.npy", IDS)
    out = tmp_path / f"batches{suffix}"
    result = audit_tokens(tmp_path / "a.npy", out, batch_tokens=300, floor=7.9)
    wanted = [{**row, "file": str(tmp_path / "a.npy")} for row in result.batches.rows()]
    if suffix == ".parquet":
        rows = pyarrow.parquet.read_table(out).to_pylist()
    else:
        data = out.read_bytes()
        data = zstandard.ZstdDecompressor().decompressobj().decompress(data) if suffix == ".jsonl.zst" else data
        rows = [json.loads(line) for line in data.splitlines()]
    assert rows == wanted and len(rows) == 4
    assert {row["action"] for row in rows} <= {"HOLD_FOR_REVIEW", "PROCEED"}
    with pytest.raises(OutputError, match="cannot write"):
        audit_tokens(tmp_path / "a.npy", tmp_path / "nowhere" / f"x{suffix}")


def test_floor_and_verdicts(tmp_path):
    ids = np.concatenate([IDS[:500], np.zeros(100, int), IDS[600:650]])
    np.save(tmp_path / "a.npy", ids)
    result = audited(tmp_path / "a.npy", floor=3.0)
    batches = result.summary["batches"]
    assert (batches["n_batches"], batches["n_full"], batches["below_floor"], batches["below_floor_short"]) == (
        7,
        6,
        1,
        0,
    )
    assert result.breaks_floor() and batches["worst"][0]["batch"] == 5
    short = audited(tmp_path / "a.npy", floor=3.0, batch_tokens=500)
    assert (short.summary["batches"]["below_floor"], short.summary["batches"]["below_floor_short"]) == (1, 1)
    assert not short.breaks_floor(), "only a full batch is judged"
    assert audited(tmp_path / "a.npy", floor=3.0, batch_tokens=1000).breaks_floor(), "no data fails"


def test_a_bad_id_does_not_take_a_batch_out_of_the_floors_reach(tmp_path):
    ids = np.zeros(100, int)
    ids[0] = 77
    np.save(tmp_path / "a.npy", ids)
    assert audited(tmp_path / "a.npy", vocab_size=50, floor=3.0).breaks_floor()


# The command


@pytest.mark.parametrize("forced", [b.backend for b in BACKENDS])
def test_command(tmp_path, forced):
    np.save(tmp_path / "a.npy", IDS)
    arguments = ("audit", tmp_path / "a.npy", "--vocab-size", "300", "--batch-tokens", "100", "--floor", "6")
    done = textassay(*arguments, TEXTASSAY_BACKEND=forced)
    assert (done.returncode, done.stderr) == (0, "")
    for part in (
        "1,000 token ids",
        "npy int64",
        forced,
        "entropy_bits",
        "none below 6 bits",
        "ids occur",
        "Every byte",
    ):
        assert part in done.stdout, part
    done = textassay(*arguments, "--json", "-o", tmp_path / "out.jsonl", TEXTASSAY_BACKEND=forced)
    assert json.loads(done.stdout)["schema"] == "textassay.audit/1"
    assert done.stderr == f"textassay: written to {tmp_path / 'out.jsonl'}\n"
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 10


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--batch-tokens", "100", "--floor", "9", "--enforce"), 1, "HOLD_FOR_REVIEW"),
        (("--batch-tokens", "100", "--floor", "9"), 0, "HOLD_FOR_REVIEW"),
        (("--batch-tokens", "100", "--floor", "6", "--enforce"), 0, "none below 6 bits"),
        (("--floor", "6", "--enforce"), 1, "no batch is full"),
        (("--enforce",), 2, "--enforce: wanted --floor"),
        (("--vocab-size", "0",), 2, "vocab-size"),
        (("--dtype", "uint32"), 2, "the file says that it holds int64"),
        (("--vocab-size", "299"), 3, "ids outside the vocabulary"),
        (("--vocab-size", "299", "--malformed-budget", "1%"), 0, "ids outside the vocabulary"),
    ],
)  # fmt: skip
def test_exit_codes(tmp_path, options, code, said):
    np.save(tmp_path / "a.npy", IDS)
    done = textassay("audit", tmp_path / "a.npy", *options)
    assert done.returncode == code, done.stderr
    assert said in done.stdout + done.stderr


def test_a_cut_file_exits_with_3(tmp_path):
    (tmp_path / "a.bin").write_bytes(IDS.astype(np.uint16).tobytes()[:-1])
    done = textassay("audit", tmp_path / "a.bin")
    assert done.returncode == 3
    assert "damaged" in done.stdout and "1 left over" in done.stdout and "1 damaged file" in done.stderr
