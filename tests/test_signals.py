"""Each figure against its definition in naive_signals.py: to the bit, since what is binned must be equal everywhere."""

import math
import random
from collections import Counter
from decimal import Decimal, localcontext
from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import naive_signals as naive
from implementations import (
    BACKENDS,
    BATCH_FIGURES,
    IMPLEMENTATIONS,
    all_types,
    as_list,
    on_every_backend,
    on_every_implementation,
    packed,
    unpacked_types,
)
from naive_text import sentence_lengths, tokens
from unicode_data import is_emoji, property_values

MARKERS = (
    (b"delve", b"into"),
    (b"delve",),
    (b"it's", b"worth", b"noting"),
    (b"it's", b"worth"),
    (b"noting", b"that"),
    (b"landscape",),
)
RANDOM = random.Random(5)


def prose(count: int, vocabulary: int = 300, seed: int = 0) -> str:
    rng = random.Random(seed)
    words = [f"w{int(rng.paretovariate(0.8)) % vocabulary}" for _ in range(count)]
    return " ".join(w + rng.choice(["", "", "", "", "", ".", ",", ".\n", "\n\n"]) for w in words)


TEXTS = {
    "empty": "",
    "space": " \n ",
    "one word": "word",
    "one word twice": "word Word",
    "punctuation": "... --- !!!",
    "two sentences": "One two three. Four!",
    "equal sentences": "A b. C d. E f.",
    "99 tokens": prose(99),
    "100 tokens": prose(100),
    "101 tokens": prose(101),
    "1,000 tokens": prose(1000),
    "30,000 tokens": prose(30_000, 9000),
    "all different": " ".join(f"x{i}" for i in range(777)),
    "all the same": "the " * 777,
    "long words": " ".join("ab" * n for n in range(1, 300)),
    "one very long word": "z" * 100_000,
    "hard-wrapped": "one two\nthree four\nfive six.\nSeven\neight\n",
    "non-ASCII": "Über die naïve Café-Kultur. Ещё одна строка! 日本語の文章。한국어 문장. हिन्दी वाक्य।",
    "emoji": "😀 ok 👩‍👩‍👧 fine ❤️ 1️⃣ 🇩🇪",
    "line ends": "a\r\nb\r\n\r\nb\r\n a \r\n",
    "markers": "Let us delve into it. It's worth noting that the LANDSCAPE; it's worth it. Delve, delve into. noting that noting",
    "folding": "Straße STRASSE ſtrasse ΣΊΣΥΦΟΣ σίσυφος K k Å å İ i",
}


@cache
def expected_document(text: str, kind: str = "word", markers=MARKERS) -> dict:
    return naive.document(text, tokens(text, kind), sentence_lengths(text), is_emoji, markers, kind == "word")


def assert_measured(backend, texts: list[str], kind: str = "word", markers=MARKERS) -> None:
    measurer = backend.Measurer(backend.SIGNALS, tokens=kind, markers=markers)
    columns = {name: as_list(c) for name, c in measurer.measure(*packed([t.encode() for t in texts])).items()}
    assert set(columns) == {*backend.SIGNALS, "n_replaced"}
    for i, text in enumerate(texts):
        expected = expected_document(text, kind, markers)
        found = {name: columns[name][i] for name in backend.SIGNALS}
        assert found == expected, ascii(text[:200])


def test_every_signal_has_a_definition():
    for implementation in BACKENDS:
        backend = implementation.use()
        assert set(backend.SIGNALS) == set(expected_document("a"))
        assert set(backend.INTEGER_SIGNALS) <= set(backend.SIGNALS)
        assert set(backend.INTEGER_SIGNALS) == {
            n for n, v in expected_document("a b. c d.").items() if isinstance(v, int)
        }
        assert backend.BATCH_SIGNALS == tuple(f"batch_{n}" for n in BATCH_FIGURES)


@pytest.mark.parametrize("kind", ["word", "byte", "char", "bigram"])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@on_every_implementation
def test_documents(implementation, text, kind):
    assert_measured(implementation.use(), [text], kind)


@on_every_implementation
def test_documents_of_one_call_do_not_touch(implementation):
    """What one document leaves behind must not reach the next: all texts in all orders of neighbours, twice."""
    texts = list(TEXTS.values())
    for seed in range(4):
        random.Random(seed).shuffle(texts)
        assert_measured(implementation.use(), texts)


@on_every_backend
def test_signals_can_be_chosen(implementation):
    backend = implementation.use()
    data = packed([t.encode() for t in TEXTS.values()])
    whole = backend.Measurer(backend.SIGNALS, markers=MARKERS).measure(*data)
    for name in backend.SIGNALS:
        columns = backend.Measurer((name,), markers=MARKERS).measure(*data)
        assert set(columns) == {name, "n_replaced"}
        assert as_list(columns[name]) == as_list(whole[name]), name
    pair = backend.Measurer(("mattr", "n_chars")).measure(*data)
    assert list(pair)[:2] == ["mattr", "n_chars"] or set(pair) == {"mattr", "n_chars", "n_replaced"}
    with pytest.raises(ValueError, match="no_such_signal"):
        backend.Measurer(("no_such_signal",))


PIECES = st.sampled_from(
    ["the", "The", "a", "it's", "delve", "into", "worth", "noting", "landscape", "é", "ЯR", "日本", "한", "3.5", "_", "😀", "\u200b", "\ufe0f", "❤\ufe0f",
     "\u202e", "\U000e0041", "x\U000e0100", "一\U000e0100", "\u1820\u180b", ".", ". ", "! ", ",", "\n", "\r\n", "\n\n", "\t", " ", " ", " ", "-"]
)  # fmt: skip


@settings(max_examples=250, deadline=None)
@example(texts=["delve delve into it's worth it's worth noting that"])
@given(texts=st.lists(st.lists(PIECES, max_size=140).map("".join), min_size=1, max_size=3))
def test_random_documents(texts):
    for implementation in IMPLEMENTATIONS:
        assert_measured(implementation.use(), texts)


# MATTR


@on_every_implementation
@pytest.mark.parametrize("vocabulary", [1, 2, 50, 99, 100, 101, 1000])
def test_mattr_by_windows(implementation, vocabulary):
    """Token i returns after `vocabulary` others: each window's types are known without counting."""
    backend = implementation.use()
    text = " ".join(f"t{i % vocabulary}" for i in range(450))
    columns = backend.Measurer(("mattr",)).measure(*packed([text.encode()]))
    assert columns["mattr"][0] == naive.mattr(tokens(text)) == min(vocabulary, 100) / 100


# L(c)


def decimal_log2_times(c: int) -> Decimal:
    with localcontext() as context:
        context.prec = 60
        return Decimal(c) * Decimal(c).ln() / Decimal(2).ln() * (1 << 32)


# L fits in 63 bits up to about 2^26.3; a document or batch of more tokens than that does not exist.
EDGES = sorted(
    {c for k in range(1, 27) for c in ((1 << k) - 1, 1 << k, (1 << k) + 1)} | {3, 5, 6, 7, 10, 12345, 80_000_003}
)


@on_every_implementation
def test_log2_times(implementation):
    backend = implementation.use()
    for c in [0, 1, *EDGES, *(RANDOM.randrange(2, 1 << 26) for _ in range(200)), *range(2, 300)]:
        assert backend.log2_times(c) == naive.log2_times(c), c


@pytest.mark.parametrize("c", EDGES)
def test_recipe_for_log2_times_is_a_logarithm(c):
    """The recipe truncates 58 bits of log2 and then 26 more: never above the true value, below it by less than 1 + c / 2^26."""
    error = decimal_log2_times(c) - naive.log2_times(c) if c > 1 else Decimal(0)
    assert Decimal("-1e-20") <= error < 1 + Decimal(c) / (1 << 26)


def test_entropy_is_close_to_the_float_formula():
    for counts in ([1], [1, 1], [5, 3, 2], list(range(1, 500)), [10**6, 1, 1]):
        n = sum(counts)
        true = math.log2(n) - math.fsum(c * math.log2(c) for c in counts) / n
        assert naive.entropy_bits(counts) == pytest.approx(true, rel=1e-9, abs=1e-9)


# Bins


@on_every_implementation
def test_bins(implementation):
    backend = implementation.use()
    for name in backend.INTEGER_SIGNALS:
        for value in (*range(70), *EDGES, (1 << 40) - 1, 1 << 40, (1 << 62) + 12345):
            assert backend.bin_index(name, value) == naive.bin_index(name, value), (name, value)
    for name, (lo, scale, count) in naive.LINEAR.items():
        edges = [lo + i / scale for i in (0, 1, 2, 3, 7, 100, count - 2, count - 1, count, count + 1, 10 * count)]
        values = [v for edge in edges for v in (edge, math.nextafter(edge, -9e9), math.nextafter(edge, 9e9))]
        for value in (*values, -5.0, 0.0, 1.0, 1e9, 1 / 3):
            assert backend.bin_index(name, value) == naive.bin_index(name, value), (name, value)
    for value in (0.5, 1.0, 1.03, 1.03125, 2.0, math.nextafter(2.0, 0), 3.999, 100.0, 2.0**29 * 1.97, 2.0**30, 1e12):
        assert backend.bin_index("perplexity", value) == naive.bin_index("perplexity", value), value
    for name in backend.BATCH_SIGNALS:
        assert backend.bin_index(name, 12.0) == naive.bin_index(name, 12.0)
    with pytest.raises(ValueError, match="no_such"):
        backend.bin_index("no_such", 1.0)


@on_every_implementation
def test_token_hash(implementation):
    backend = implementation.use()
    for token in (b"", b"a", b"the", "straße".encode(), b"x" * 1000, bytes(range(1, 128))):
        assert backend.token_hash(token) == naive.token_hash(token)


# Invisible characters


@on_every_implementation
def test_invisible_characters(implementation):
    backend = implementation.use()
    bases = [
        "a",
        "1",
        "#",
        "❤",
        "😀",
        "一",
        "あ",
        "\u1820",
        "\u1810",
        "\u18b0",
        " ",
        "\n",
        "$",
        "\u0301",
        "\u200d",
        "-",
        "\u4dbf",
        "\U00020000",
    ]
    selectors = [0xFE00, 0xFE0D, 0xFE0E, 0xFE0F, 0x180A, 0x180B, 0x180D, 0x180E, 0x180F, 0xE0100, 0xE01EF, 0xE01F0]
    others = [
        0x200A,
        0x200B,
        0x200C,
        0x200D,
        0x200E,
        0x200F,
        0x2010,
        0x2029,
        0x202A,
        0x202E,
        0x202F,
        0x205F,
        0x2060,
        0x2061,
        0x2065,
        0x2066,
    ]
    others += [
        0x2069,
        0x206A,
        0xFEFE,
        0xFEFF,
        0x061B,
        0x061C,
        0xDFFFF,
        0xE0000,
        0xE0001,
        0xE007F,
        0xE0080,
        0xFE10,
        0xFDFF,
        0xAD,
        0x34F,
    ]
    texts = [base + chr(cp) * n for base in ["", *bases] for cp in selectors + others for n in (1, 2)]
    texts += ["x" * n + "\u200b" for n in range(60, 68)] + ["x" * n + "❤\ufe0f\ufe0f" for n in range(56, 68)]
    found = (
        backend.Measurer(("invisible_chars",)).measure(*packed([t.encode() for t in texts]))["invisible_chars"].tolist()
    )
    assert found == [naive.invisible_chars(t, is_emoji) for t in texts]


@on_every_implementation
def test_emoji_selector_after_every_emoji(implementation):
    backend = implementation.use()
    text = "".join(chr(cp) + "\ufe0f" for cp in sorted(property_values("emoji-data.txt", "Emoji")))
    text += "".join(chr(cp) + "\ufe0f" for cp in range(0x21, 0x3000, 7))
    found = backend.Measurer(("invisible_chars",)).measure(*packed([text.encode()]))["invisible_chars"].tolist()
    assert found == [naive.invisible_chars(text, is_emoji)]


# Markers


@on_every_implementation
def test_markers_leftmost_longest(implementation):
    backend = implementation.use()
    phrases = ((b"a",), (b"a", b"b"), (b"a", b"b", b"c", b"d"), (b"b", b"c"), (b"c",), (b"b", b"b", b"a"), (b"x",) * 5)
    for seed in range(60):
        rng = random.Random(seed)
        text = " ".join(rng.choice("abcdx") for _ in range(rng.randint(0, 60)))
        assert_measured(backend, [text], markers=phrases)
    assert_measured(backend, ["a b c", "x x x x x x"], markers=())
    assert_measured(backend, ["A-b, C: d"], markers=phrases)


# Batches and the corpus


def words_of(texts: list[str]) -> list[list[bytes]]:
    return [tokens(t) for t in texts]


@pytest.mark.parametrize("batch_tokens", [1, 7, 100, 250, 1 << 18])
@on_every_backend
def test_batches(implementation, batch_tokens):
    backend = implementation.use()
    texts = [prose(n, 60, seed=n) for n in (5, 0, 3, 90, 120, 1, 1, 0, 33, 260, 2, 0)]
    measurer = backend.Measurer(backend.SIGNALS, batch_tokens=batch_tokens)
    for a, b in ((0, 4), (4, 5), (5, 12)):
        measurer.update(*packed([t.encode() for t in texts[a:b]]))
    expected = naive.batches(words_of(texts), batch_tokens)
    is_open = sum(map(len, expected[-1])) < batch_tokens
    found = {name: as_list(c) for name, c in measurer.batches().items()}
    first, closed = 0, expected[:-1] if is_open else expected
    assert len(found["batch"]) == len(closed)
    for number, batch in enumerate(closed):
        figures = naive.batch_figures(batch)
        assert (found["batch"][number], found["first_document"][number], found["n_documents"][number]) == (
            number,
            first,
            len(batch),
        )
        assert found["n_types"][number] == len({t for document in batch for t in document})
        for name in BATCH_FIGURES:
            assert found[name][number] == figures[f"batch_{name}"], (number, name)
        first += len(batch)
    profile = measurer.profile()  # in which the open batch counts as closed
    assert profile.totals()["n_batches"] == len(expected)
    for name in backend.BATCH_SIGNALS:
        state = profile.signal(name)
        wanted = naive.signal_state(name, [naive.batch_figures(b)[name] for b in expected])
        assert {**state, "bins": state["bins"].tolist()} == wanted, name
    assert all_types(profile) == naive.histogram([words_of(texts)], batch_tokens)


@on_every_implementation
def test_profile(implementation):
    """Totals, signal histograms and the corpus histogram of all the texts."""
    backend = implementation.use()
    texts = list(TEXTS.values()) * 2
    measurer = backend.Measurer(backend.SIGNALS, markers=MARKERS, batch_tokens=5000)
    measurer.update(*packed([t.encode() for t in texts]))
    profile = measurer.profile()
    documents = [expected_document(t) for t in texts]
    totals = {
        "n_documents": len(texts),
        **{n: sum(d[n] for d in documents) for n in ("n_tokens", "n_bytes", "n_chars", "n_sentences")},
    }
    totals |= {"n_replaced": 0, "n_batches": len(naive.batches(words_of(texts), 5000))}
    assert profile.totals() == totals
    assert list(profile.totals()) == [
        "n_documents",
        "n_tokens",
        "n_bytes",
        "n_chars",
        "n_sentences",
        "n_replaced",
        "n_batches",
    ]
    for name in backend.SIGNALS:
        state = profile.signal(name)
        assert {**state, "bins": state["bins"].tolist()} == naive.signal_state(name, [d[name] for d in documents]), name
    expected = naive.histogram([words_of(texts)], 5000)
    assert all_types(profile) == expected
    assert profile.n_types == len(expected) and profile.level == 0 and profile.bounded() is None
    top = sorted(expected.items(), key=lambda item: (-item[1][0], item[0]))[:40]
    assert list(unpacked_types(profile.top(40)).items()) == top
    spectrum = Counter(count for count, _, _ in expected.values())
    distinct, how_many = profile.count_of_counts()
    assert dict(zip(distinct.tolist(), how_many.tolist(), strict=True)) == spectrum
    assert distinct.tolist() == sorted(spectrum)


@pytest.mark.parametrize("vocabulary", [1024, 1025, 1100, 3000, 9000])
@on_every_backend
def test_bounded_form(implementation, vocabulary):
    """Past max_types: the sample, the sketches and the frequent types, as semantics.md computes them from the whole histogram."""
    backend = implementation.use()
    rng = random.Random(vocabulary)
    texts = [" ".join(f"k{i}" for i in range(n, vocabulary, 7)) for n in range(7)]
    texts += [" ".join(f"k{int(rng.paretovariate(0.6)) % vocabulary}" for _ in range(800)) for _ in range(30)]
    measurer = backend.Measurer((), max_types=1024, batch_tokens=3000)
    for text in texts:
        measurer.update(*packed([text.encode()]))
    profile = measurer.profile()
    histogram = naive.histogram([words_of(texts)], 3000)
    assert len(histogram) == vocabulary
    if vocabulary <= 1024:
        assert profile.bounded() is None and all_types(profile) == histogram
        return
    expected, found = naive.bounded(histogram, 1024), profile.bounded()
    assert (profile.level, found["level"], found["floor_level"]) == (
        expected["level"],
        expected["level"],
        expected["floor_level"],
    )
    assert profile.level >= 1
    assert found["width"] == expected["width"]
    assert all_types(profile) == expected["sample"]
    assert found["count_sketch"].tolist() == expected["count_sketch"]
    assert found["document_sketch"].tolist() == expected["document_sketch"]
    frequent = unpacked_types(found["frequent"])
    assert {token: peak for token, (_, _, peak) in frequent.items()} == expected["frequent"]
    assert all(count == frequency == 0 for count, frequency, _ in frequent.values())
    assert profile.totals()["n_tokens"] == sum(c for c, _, _ in histogram.values())


# texts that are refused


@on_every_backend
def test_invalid_text_is_refused_and_nothing_counted(implementation):
    backend = implementation.use()
    measurer = backend.Measurer(backend.SIGNALS)
    measurer.update(*packed([b"good text"]))
    before = measurer.profile()
    with pytest.raises(ValueError, match="(?s)1.*7|7.*1"):
        measurer.update(*packed([b"also good", b"broken \xff here", b"good"]))
    after = measurer.profile()
    assert after.totals() == before.totals() and all_types(after) == all_types(before)
