"""UAX #29 of Unicode 15.0 on every implementation: the published suites, moved over block borders, and random strings."""

import itertools

import pytest
import uniseg.sentencebreak
import uniseg.wordbreak
from hypothesis import given, settings
from hypothesis import strategies as st

from implementations import IMPLEMENTATIONS, on_every_implementation
from naive_text import (
    sentence_boundaries,
    sentence_lengths,
    simple_fold,
    tokens,
    word_boundaries,
    word_spans,
)
from unicode_data import break_test_cases, category, sentence_break, simple_folds, word_break

WORD_CASES = break_test_cases("WordBreakTest.txt")
SENTENCE_CASES = break_test_cases("SentenceBreakTest.txt")

# One block of a kernel is 64 bytes. Paddings end in a line break, after which a text is as good as alone: nothing looks back over it.
PADDED_LENGTHS = range(71)
FILLERS = {"ascii": "a b. ", "two bytes": "é ", "three bytes": "한. ", "four bytes": "😀"}


def padding(filler: str, length: int) -> str:
    """`length` bytes, as much of it `filler` as fits, then digits, then a line feed."""
    if length == 0:
        return ""
    whole = filler * ((length - 1) // len(filler.encode()))
    return whole + "7" * (length - 1 - len(whole.encode())) + "\n"


def spans_from_boundaries(text: bytes, boundaries: list[int]) -> list[list[int]]:
    return [
        [a, b] for a, b in itertools.pairwise(boundaries) if any(category(ch)[0] in "LN" for ch in text[a:b].decode())
    ]


def test_suites_are_whole():
    assert (len(WORD_CASES), len(SENTENCE_CASES)) == (1823, 502)


def test_naive_rules_pass_the_suites():
    assert [text for text, expected in WORD_CASES if word_boundaries(text) != expected] == []
    assert [text for text, expected in SENTENCE_CASES if sentence_boundaries(text) != expected] == []


@on_every_implementation
def test_word_suite(implementation):
    backend = implementation.use()
    for text, expected in WORD_CASES:
        raw = text.encode()
        assert backend.word_boundaries(raw).tolist() == expected, ascii(text)
        assert backend.word_spans(raw).tolist() == spans_from_boundaries(raw, expected), ascii(text)


@on_every_implementation
def test_sentence_suite(implementation):
    backend = implementation.use()
    for text, expected in SENTENCE_CASES:
        assert backend.sentence_boundaries(text.encode(), tailored=False).tolist() == expected, ascii(text)


@on_every_implementation
@pytest.mark.parametrize("filler", FILLERS.values(), ids=FILLERS)
def test_word_suite_at_every_offset(implementation, filler):
    backend = implementation.use()
    pads = [padding(filler, n) for n in PADDED_LENGTHS]
    before = [word_boundaries(pad)[:-1] for pad in pads]
    # Every case at one offset, and every offset by many cases; all pairs would take minutes.
    for number, (text, expected) in enumerate(WORD_CASES):
        for n in {number % 71, (number * 7 + 13) % 71, 64 - len(text.encode()) % 64, 63, 64}:
            raw = (pads[n] + text).encode()
            boundaries = before[n] + [n + b for b in expected]
            assert backend.word_boundaries(raw).tolist() == boundaries, (n, ascii(text))
            assert backend.word_spans(raw).tolist() == spans_from_boundaries(raw, boundaries), (n, ascii(text))


@on_every_implementation
@pytest.mark.parametrize("filler", FILLERS.values(), ids=FILLERS)
def test_sentence_suite_at_every_offset(implementation, filler):
    backend = implementation.use()
    for number, (text, expected) in enumerate(SENTENCE_CASES):
        for n in {number % 71, (number * 7 + 13) % 71, 63, 64}:
            pad = padding(filler, n)
            raw = (pad + text).encode()
            boundaries = sentence_boundaries(pad)[:-1] + [n + b for b in expected]
            assert backend.sentence_boundaries(raw, tailored=False).tolist() == boundaries, (n, ascii(text))


@on_every_implementation
def test_some_cases_at_all_offsets(implementation):
    """The cases that ASCII masks can get wrong, at all 71 offsets, and doubled so that both sides of a border are theirs."""
    backend = implementation.use()
    cases = [text for text, _ in WORD_CASES if len(text.encode()) == len(text) and len(text) > 2]
    cases += [
        "can't",
        "3.14,15",
        "a_b__c",
        "x:y",
        "e.g.",
        "1a2b",
        "'quoted'",
        "a.'b",
        "don''t",
        "_",
        "a:b:c",
        "Mr. O'Neil's 3,000.5",
    ]
    for text in cases:
        for n in PADDED_LENGTHS:
            raw = ("z" * n + text + " " + text).encode()
            expected = word_boundaries(raw.decode())
            assert backend.word_boundaries(raw).tolist() == expected, (n, text)
            assert backend.word_spans(raw).tolist() == spans_from_boundaries(raw, expected), (n, text)


def class_representatives() -> list[str]:
    """Of each (Word_Break, Sentence_Break, letter or number) a few code points: the first, the last and, where there is one, of each length."""
    by_class: dict[tuple, dict[int, str]] = {}
    for cp in range(0x110000):
        if 0xD800 <= cp <= 0xDFFF:
            continue
        ch = chr(cp)
        key = (word_break(ch), sentence_break(ch), category(ch)[0] in "LN", "Lower" if category(ch) == "Ll" else "")
        by_class.setdefault(key, {}).setdefault(len(ch.encode()), ch)
        by_class[key][0] = ch
    return sorted({ch for found in by_class.values() for ch in found.values()})


REPRESENTATIVES = class_representatives()
# ASCII twice: its masks are where the speed is, and where the mistakes would be.
CHARACTERS = st.sampled_from(REPRESENTATIVES) | st.sampled_from("abzAZ09_.,:;'\"!? \n\r\t-()")
LONG_TEXT = st.tuples(st.integers(0, 70), st.text(CHARACTERS, max_size=40)).map(lambda t: "q" * t[0] + t[1])


@on_every_implementation
def test_non_ascii_between_ascii_at_every_offset(implementation):
    """A word that goes on from ASCII into other characters or back, whatever of it lies before the border of a block."""
    backend = implementation.use()
    cases = [
        before + ch + after
        for ch in REPRESENTATIVES
        if len(ch.encode()) > 1
        for before, after in (("", "0"), ("a", "b"), (":", "0"), ("1.", "2"), ("_", ""), ("a'", "c d"), ("x", ", y"))
    ]
    assert len(cases) > 500
    expected = [(case.encode(), word_spans(case), tokens(case)) for case in cases]
    # The line feed keeps the case apart from what stands before it; few offsets for each case, all offsets for all cases together.
    for number, (raw, spans, words) in enumerate(expected):
        for n in {number % 62, *range(62 - len(raw), 66)}:
            padded = b"q" * n + b"\n" + raw
            wanted = ([[0, n]] if n else []) + [[n + 1 + a, n + 1 + b] for a, b in spans]
            assert backend.word_spans(padded).tolist() == wanted, (n, raw)
            assert backend.tokens(padded)[bool(n) :] == words, (n, raw)


@settings(max_examples=300, deadline=None)
@given(text=LONG_TEXT)
def test_random_strings(text):
    raw = text.encode()
    expected = (
        word_boundaries(text),
        [list(span) for span in word_spans(text)],
        sentence_boundaries(text),
        sentence_boundaries(text, tailored=True),
        sentence_lengths(text),
        tokens(text),
    )
    for implementation in IMPLEMENTATIONS:
        backend = implementation.use()
        found = (
            backend.word_boundaries(raw).tolist(),
            backend.word_spans(raw).tolist(),
            backend.sentence_boundaries(raw, tailored=False).tolist(),
            backend.sentence_boundaries(raw).tolist(),
            backend.sentence_lengths(raw).tolist(),
            backend.tokens(raw),
        )
        assert found == expected, str(implementation)


@settings(max_examples=200, deadline=None)
@given(text=st.text(CHARACTERS, max_size=12))
def test_naive_rules_against_uniseg(text):
    """A third opinion: uniseg's rules over the properties of 15.0. Its SB8 forgets characters of class Other, so without those."""

    def wb(ch):
        return uniseg.wordbreak.WordBreak(word_break(ch))

    def sb(ch):
        return uniseg.sentencebreak.SentenceBreak(sentence_break(ch))

    segments = list(uniseg.wordbreak.words(text, property=wb))
    assert [len("".join(segments[:i]).encode()) for i in range(1, len(segments) + 1)] == word_boundaries(text)[1:]
    text = "".join(ch for ch in text if sentence_break(ch) != "Other")
    segments = list(uniseg.sentencebreak.sentences(text, property=sb))
    assert [len("".join(segments[:i]).encode()) for i in range(1, len(segments) + 1)] == sentence_boundaries(text)[1:]


@on_every_implementation
def test_every_code_point_alone(implementation):
    """Folding and being a word, for all of Unicode: each code point as a line of one long text."""
    backend = implementation.use()
    for first in range(0, 0x110000, 0x4000):
        points = [cp for cp in range(first, first + 0x4000) if not 0xD800 <= cp <= 0xDFFF and chr(cp) not in "\r\n"]
        raw = "\n".join(map(chr, points)).encode()
        expected = [simple_fold(chr(cp)).encode() for cp in points if category(chr(cp))[0] in "LN"]
        assert backend.tokens(raw) == expected, hex(first)


@on_every_implementation
def test_folding_changes_lengths(implementation):
    """Simple folds whose UTF-8 is longer or shorter than what they replace, across block borders."""
    backend = implementation.use()
    uneven = [chr(cp) for cp, folded in simple_folds().items() if len(chr(cp).encode()) != len(folded.encode())]
    assert len(uneven) > 20
    for n in PADDED_LENGTHS:
        text = "A" * n + "".join(uneven) + " " + " ".join(uneven)
        assert backend.tokens(text.encode()) == tokens(text), n


@on_every_implementation
@pytest.mark.parametrize("kind", ["byte", "char", "bigram"])
def test_other_tokens(implementation, kind):
    backend = implementation.use()
    text = "Aé한😀\n" * 20
    assert backend.tokens(text.encode(), kind) == tokens(text, kind)
    assert backend.tokens(b"", kind) == []


TAILORING = {
    "soft": ("one line\nand more. Next", [0, 19, 23]),
    "soft over spaces": ("one line\n \t and more", [0, 20]),
    "soft CR": ("one\rtwo", [0, 7]),
    "soft CR LF": ("one\r\ntwo", [0, 8]),
    "soft after a stop": ("etc.\nand so on", [0, 14]),
    "before upper": ("one\nTwo", [0, 4, 7]),
    "before a digit": ("one\n2", [0, 4, 5]),
    "before a quote": ("one\n'two'", [0, 4, 9]),
    "blank line": ("one\n\ntwo", [0, 4, 5, 8]),
    "blank line of spaces": ("one\n \ntwo", [0, 4, 9]),
    "CR CR": ("one\r\rtwo", [0, 4, 5, 8]),
    "CR LF LF": ("one\r\n\ntwo", [0, 5, 6, 9]),
    "LF CR": ("one\n\rtwo", [0, 4, 5, 8]),
    "at the end": ("one\n", [0, 4]),
    "at the end, spaces": ("one\n  ", [0, 4, 6]),
    "at the start": ("\ntwo", [0, 4]),
    "other lower": ("one\nªtwo", [0, 9]),
    "no-break space before": ("one\n\xa0two", [0, 4, 9]),
    "line separator stays": ("one\u2028two", [0, 6, 9]),
    "next line stays": ("one\x85two", [0, 5, 8]),
}


@pytest.mark.parametrize(("text", "expected"), TAILORING.values(), ids=TAILORING)
@on_every_implementation
def test_tailoring(implementation, text, expected):
    backend = implementation.use()
    assert sentence_boundaries(text, tailored=True) == expected
    assert backend.sentence_boundaries(text.encode()).tolist() == expected
    for n in (57, 58, 59, 60, 61, 62, 63, 64):
        padded = "x" * n + " " + text
        raw = padded.encode()
        assert backend.sentence_boundaries(raw).tolist() == sentence_boundaries(padded, tailored=True), n
        assert backend.sentence_lengths(raw).tolist() == sentence_lengths(padded), n


@on_every_implementation
def test_boundary_inside_a_word(implementation):
    """ "a.가" is one word and two sentences, since the full stop is MidNumLet and ATerm: each piece is a word of its sentence."""
    backend = implementation.use()
    assert backend.sentence_lengths("a.가".encode()).tolist() == [1, 1]
    assert backend.word_spans("a.가".encode()).tolist() == [[0, 5]]
    for text in (
        ".\u202f0",
        "A.\uff9e\u0800",
        "a.가",
        "가.나",
        "한:글.글",
        "x1.一",
        "co.Uk",
        "a!b",
        "e.g.x",
        "A.一二",
        "3.一",
        "한.글 end",
        "a.ª",
    ):
        for n in (0, 40, 60, 61, 62, 63, 64):
            padded = "ab " * (n // 3) + text
            assert backend.sentence_lengths(padded.encode()).tolist() == sentence_lengths(padded), ascii(padded)


@on_every_implementation
@pytest.mark.parametrize("connector", ["_", "\u202f", "_\u0301"])
def test_long_runs_of_connectors(implementation, connector):
    """Whether they are words is decided by what stands behind them, and read once: a run of 4 MiB would take minutes otherwise."""
    module = implementation.use()
    for begin, end in (("", ""), ("", "a"), ("a ", "a"), ("a ", " a"), ("", "ひ"), ("カ ", "カ"), ("a", "")):
        text = begin + connector * 3000 + end + " b"
        assert module.tokens(text.encode()) == tokens(text)
    assert module.tokens((connector * (1 << 20)).encode()) == []


@on_every_implementation
def test_empty_and_tiny(implementation):
    backend = implementation.use()
    for text in ("", " ", "\n", "a", "é", "😀", "."):
        raw = text.encode()
        assert backend.word_boundaries(raw).tolist() == ([0, len(raw)] if text else [])
        assert backend.sentence_boundaries(raw).tolist() == ([0, len(raw)] if text else [])
        assert backend.word_spans(raw).shape == (len(tokens(text)), 2)
        assert backend.sentence_lengths(raw).tolist() == ([1] if text in ("a", "é") else [])


INVALID = {
    "lone continuation": b"\x80",
    "cut two bytes": b"\xc3",
    "cut three bytes": b"\xed\x95",
    "cut four bytes": b"\xf0\x9f\x98",
    "overlong slash": b"\xc0\xaf",
    "overlong three": b"\xe0\x80\xaf",
    "overlong four": b"\xf0\x80\x80\xaf",
    "surrogate": b"\xed\xa0\x80",
    "above the last": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "ff": b"\xff",
}


@pytest.mark.parametrize("bad", INVALID.values(), ids=INVALID)
@on_every_implementation
def test_invalid_utf8_is_refused(implementation, bad):
    backend = implementation.use()
    for before in (0, 1, 30, 61, 62, 63, 64, 65, 127, 128):
        for after in (b"", b"abc", b"x" * 64):
            raw = b"y" * before + bad + after
            for function in (backend.word_boundaries, backend.word_spans, backend.sentence_boundaries):
                with pytest.raises(ValueError, match="(?i)utf-?8"):
                    function(raw)
