"""Texts in memory."""

import sys
import weakref

import numpy as np
import pyarrow as pa
import pytest

import naive_text
from textassay import Scanner, Table, UsageError, measure

TEXTS = ["One two three. Four!", "", "naïve Ünïcode 日本語 words words", "x" * 300]


def as_lists(table: Table) -> dict[str, list]:
    rows = list(table.rows())
    return {name: [row[name] for row in rows] for name in table.columns}


def test_a_row_per_text(backend):
    table = measure(TEXTS)
    assert len(table) == len(TEXTS)
    assert table["n_tokens"].tolist() == [len(naive_text.tokens(text)) for text in TEXTS]
    assert table["n_bytes"].tolist() == [len(text.encode()) for text in TEXTS]
    assert table["n_tokens"].dtype == np.int64 and table["mattr"].dtype == np.float64
    assert np.isnan(table["type_token_ratio"][1])
    assert set(table["n_replaced"].tolist()) == {0}


class Stream:
    """Anything that exports Arrow data, not of pyarrow's own types."""

    def __init__(self, data):
        self.data = data

    def __arrow_c_stream__(self, requested_schema=None):
        return self.data.__arrow_c_stream__(requested_schema)


class Array:
    def __init__(self, data):
        self.data = data

    def __arrow_c_array__(self, requested_schema=None):
        return self.data.__arrow_c_array__(requested_schema)


FORMS = {
    "tuple": tuple,
    "generator": lambda texts: (text for text in texts),
    "numpy U": np.array,
    "numpy objects": lambda texts: np.array(texts, object),
    "numpy matrix": lambda texts: np.array(texts).reshape(2, 2),
    "string": pa.array,
    "large_string": lambda texts: pa.array(texts, pa.large_string()),
    "string_view": lambda texts: pa.array(texts, pa.string_view()),
    "dictionary": lambda texts: pa.array(texts).dictionary_encode(),
    "chunked": lambda texts: pa.chunked_array([texts[:1], texts[1:]]),
    "no chunk": lambda texts: pa.chunked_array([pa.array([], pa.string()), pa.array(texts)]),
    "slice": lambda texts: pa.array(["skipped", *texts, "also"]).slice(1, len(texts)),
    "large slice": lambda texts: pa.array(["skipped", *texts, "x"], pa.large_string()).slice(1, len(texts)),
    "stream": lambda texts: Stream(pa.chunked_array([texts])),
    "array": lambda texts: Array(pa.array(texts)),
    "sliced array": lambda texts: Array(pa.array(["skipped", *texts]).slice(1)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_texts(backend, form):
    assert as_lists(measure(FORMS[form](TEXTS))) == as_lists(measure(TEXTS))


LIBRARIES = {
    "pandas.Series": lambda pandas, texts: pandas.Series(texts),
    "pandas.DataFrame": lambda pandas, texts: pandas.DataFrame({"text": texts}),
    "polars.Series": lambda polars, texts: polars.Series(texts),
    "polars.DataFrame": lambda polars, texts: polars.DataFrame({"text": texts}),
    "pyarrow.Table": lambda pyarrow, texts: pyarrow.table({"text": texts}),
    "duckdb.relation": lambda duckdb, texts: duckdb.from_arrow(pa.table({"text": texts})),
    "datasets.Column": lambda datasets, texts: datasets.Dataset.from_dict({"text": texts, "n": texts})["text"],
    "datasets.arrow": lambda datasets, texts: datasets.Dataset.from_dict({"a": texts}).with_format("arrow")["a"],
}


@pytest.mark.parametrize("name", LIBRARIES)
def test_tables_of_other_libraries(backend, name):
    texts = [None, *TEXTS, None, "ein Ende"] * 3
    library = pytest.importorskip(name.partition(".")[0])
    assert as_lists(measure(LIBRARIES[name](library, texts))) == as_lists(measure(texts))


def test_a_table_of_several_columns_is_no_text(backend):
    with pytest.raises(TypeError, match=r"found 2 \(a, b\): choose one"):
        measure(pa.table({"a": TEXTS, "b": TEXTS}))


def test_a_stream_is_not_gathered(backend):
    """Batch by batch: what is measured goes away before the next is made."""
    made, alive = [], []

    def batches():
        for _ in range(5):
            batch = pa.record_batch({"text": pa.array(["some words here"] * 1000)})
            made.append(weakref.ref(batch))
            alive.append(sum(one() is not None for one in made))
            yield batch

    stream = pa.RecordBatchReader.from_batches(pa.schema([("text", pa.string())]), batches())
    assert measure(stream)["n_tokens"].sum() == 15_000
    assert max(alive) <= 3


@pytest.mark.parametrize(
    "read",
    [
        pa.table,
        lambda table: pytest.importorskip("polars").DataFrame(table).to_arrow(),
        lambda table: pytest.importorskip("duckdb").from_arrow(pa.table(table)).to_arrow_table(),
        lambda table: pa.Table.from_pandas(pytest.importorskip("pandas").DataFrame.from_arrow(table)),
    ],
    ids=["pyarrow", "polars", "duckdb", "pandas"],
)
def test_other_libraries_read_a_table(backend, read):
    table = measure([*TEXTS, None])
    found = read(table)
    assert found.column_names == list(table.columns)
    assert found["n_tokens"].to_pylist()[-1] is None and found["provenance"].to_pylist()[-1] is None
    assert found.to_pylist() == list(table.rows())


@pytest.mark.parametrize(
    "texts",
    [
        [None, *TEXTS[:2], None, *TEXTS[2:]],
        pa.array([None, *TEXTS[:2], None, *TEXTS[2:]]),
        pa.array([None, *TEXTS[:2], None, *TEXTS[2:]], pa.string_view()),
        pa.array(["skipped", None, *TEXTS[:2], None, *TEXTS[2:]]).slice(1),
        pa.chunked_array([[None], [*TEXTS[:2], None], TEXTS[2:]], pa.string()),
    ],
    ids=["list", "string", "string_view", "slice", "chunked"],
)
def test_nulls_are_rows_of_nulls(backend, texts):
    table, whole = measure(texts), measure(TEXTS)
    assert table["n_tokens"].dtype == np.float64
    kept = [1, 2, 4, 5]
    for name in table.columns:
        assert all(value is None or np.isnan(value) for value in table[name][[0, 3]])
        wanted = whole[name] if name == "provenance" else whole[name].astype(np.float64)
        np.testing.assert_array_equal(table[name][kept], wanted)


@pytest.mark.parametrize(
    "nothing", [[], np.array([], str), pa.array([], pa.string()), pa.chunked_array([], pa.string())]
)
def test_no_texts(backend, nothing):
    table = measure(nothing, "n_tokens,mattr")
    assert len(table) == 0 and table.columns == ("n_tokens", "mattr", "n_replaced")


def test_all_null(backend):
    assert np.isnan(measure(pa.nulls(3), "n_tokens")["n_tokens"]).all()
    assert len(measure([None])) == 1


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("one text", r"pass \[text\]"),
        (b"one text", r"pass \[text\]"),
        (["a", 7], r"texts\[1\]: wanted a string or None, found int"),
        ([b"a"], r"texts\[0\]: wanted a string or None, found bytes"),
        (7, "wanted strings or Arrow data, found int"),
        (pa.array([1, 2]), "wanted a column of strings, found int64"),
        (pa.array([b"a"]), "wanted a column of strings, found binary"),
        (pa.array([{"text": "a"}]), "wanted a column of strings, found struct"),
    ],
)
def test_what_is_no_text(backend, texts, message):
    with pytest.raises(TypeError, match=message):
        measure(texts)


def test_errors_name_the_row_in_the_whole_input(backend, monkeypatch):
    monkeypatch.setattr("textassay.texts.CHUNK_TEXTS", 2)
    with pytest.raises(TypeError, match=r"texts\[5\]: wanted a string"):
        measure(iter(["a"] * 5 + [5]))
    assert measure(iter(TEXTS * 3))["n_tokens"].tolist() == measure(TEXTS * 3)["n_tokens"].tolist()


def test_arrow_without_pyarrow(backend, monkeypatch):
    texts = Stream(None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(TypeError, match=r"textassay\[arrow\]"):
        measure(texts)


def test_arrow_data_that_is_no_utf8(backend):
    """Arrow does not check. Nothing of it may be counted."""
    bad = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(np.array([0, 1, 2], np.int32)), pa.py_buffer(b"a\xff")]
    )
    with pytest.raises(ValueError, match="1"):
        measure(bad)
    scanner = Scanner("n_tokens")
    with pytest.raises(ValueError, match="1"):
        scanner.update(bad)
    assert scanner.profile.totals()["n_documents"] == 0


def test_lone_surrogates_become_replacement_characters(backend):
    """As in a scan, where they come from JSON escapes."""
    texts = ["a\ud800b", "fine", "\udfff\udc00"]
    table = measure(texts)
    assert table["n_replaced"].tolist() == [1, 0, 2]
    assert table["n_chars"].tolist() == [3, 4, 2]
    assert table["n_bytes"].tolist() == [5, 4, 6]
    scanner = Scanner("n_tokens")
    scanner.update(texts)
    assert scanner.profile.totals()["n_replaced"] == 3


def test_string_data_is_not_copied(backend):
    """The texts of an Arrow array lie where they lay."""
    from textassay.texts import chunks_of

    for kind in (pa.string(), pa.large_string()):
        array = pa.array(["skipped", *TEXTS], kind).slice(1)
        (chunk,) = chunks_of(array)
        start = array.buffers()[2].address
        assert chunk.data.__array_interface__["data"][0] == start + len("skipped")


def test_token_kinds_and_threads(backend):
    assert measure(TEXTS, tokens="byte")["n_tokens"].tolist() == [len(text.encode()) for text in TEXTS]
    assert measure(TEXTS, tokens="char")["n_tokens"].tolist() == [len(text) for text in TEXTS]
    many = TEXTS * 50
    assert as_lists(measure(many, threads=1)) == as_lists(measure(many, threads=3))
    with pytest.raises(UsageError, match="tokens='words': wanted one of word, byte, char"):
        measure(TEXTS, tokens="words")


def test_own_lexicon(backend):
    from textassay.lexicon import parse_lexicon

    lexicon = parse_lexicon("two three # a comment\n\nIt's", "test")
    rates = measure(["one two three", "it's", "it’s it is", "two"], "marker_rate", lexicon=lexicon)["marker_rate"]
    assert rates.tolist() == [pytest.approx(1000 / 3), 1000, pytest.approx(1000 / 3), 0]


def test_the_packaged_lexicon_finds_its_phrases(backend):
    found = measure(["Let us delve into the rich tapestry of it.", "The cat sat on the mat."], "marker_rate")
    assert found["marker_rate"].tolist() == [pytest.approx(2000 / 9), 0]


# Scanner


def test_scanner_is_a_scan_of_one_file(backend):
    scanner = Scanner(batch_tokens=6)
    parts = [scanner.update(TEXTS[:1]), scanner.update([None, *TEXTS[1:]])]
    assert [len(part) for part in parts] == [1, 4]
    whole = Scanner(batch_tokens=6)
    whole.update(TEXTS)
    assert scanner.profile.serialize() == whole.profile.serialize()
    assert as_lists(scanner.batches) == as_lists(whole.batches)
    assert scanner.batches["n_tokens"].tolist() == [11]
    assert scanner.profile.totals()["n_batches"] == 2, "the open batch counts as closed"
    assert scanner.profile.totals()["n_documents"] == len(TEXTS), "a null is no document"


def test_scanner_goes_on_after_a_look_at_its_profile(backend):
    one, other = Scanner(batch_tokens=6), Scanner(batch_tokens=6)
    for text in TEXTS:
        one.update([text])
        assert one.profile.totals()["n_documents"]
        other.update([text])
    assert one.profile.serialize() == other.profile.serialize()


# Table


def test_table_is_read_only_and_says_what_it_holds():
    table = Table({"n": [1, 2, 3], "x": [0.5, np.nan, 2.0]})
    assert (len(table), table.columns, "x" in table, "y" in table) == (3, ("n", "x"), True, False)
    with pytest.raises(ValueError, match="read-only"):
        table["n"][0] = 7
    with pytest.raises(KeyError, match="there are n, x"):
        table["y"]
    assert list(table.rows()) == [{"n": 1, "x": 0.5}, {"n": 2, "x": None}, {"n": 3, "x": 2.0}]
    assert "Table of 3 rows" in repr(table) and "0.5, nan, 2" in repr(table)
    assert table.to_arrow()["x"].null_count == 1
    assert list(table.to_dict()) == ["n", "x"]
    with pytest.raises(ValueError, match="one length"):
        Table({"a": [1], "b": [1, 2]})


def test_the_arrays_given_stay_writable():
    mine = np.arange(3)
    Table({"n": mine})
    mine[0] = 5
