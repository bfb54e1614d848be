"""Regular expressions as automata: whatever they accept, `re` finds, and nothing else."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from textassay import patterns
from textassay.patterns import PatternError, compile_pattern, join_tables

LETTERS = "abAB1_-. /\n\0é\u0800日\ud7ff\ue000\uffff😀\U0010ffff"
TEXTS = st.text(st.sampled_from(LETTERS), max_size=8)

CHARACTERS = st.sampled_from([re.escape(letter) for letter in LETTERS])
CLASSES = st.sampled_from(
    [
        *(".", r"\d", r"\D", r"\w", r"\W", r"\s", r"\S", r"\x41", r"\u65e5", r"\U0001f600"),
        *("[ab]", "[^ab]", "[a-c1-3]", "[^A-Za-z]", r"[\d_]", r"[^\s\w]", r"[\D]", "[]a]", "[^]a]", "[a-]", "[-b]"),
        *(
            "[é-日]",
            "[^é]",
            "[\x80-\uffff]",
            "[日-😀]",
            "[\ud7ff-\ue000]",
            "[\U00010000-\U0010ffff]",
            r"[\b.^$|\\]",
            "[Z-a]",
        ),
    ]
)
ANCHORS = st.sampled_from(["^", r"\A", r"\Z"])
REPEATS = st.sampled_from(["*", "+", "?", "*?", "+?", "??", "{0}", "{2}", "{,2}", "{1,}", "{1,3}", "{2,}?", "{,}"])


def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    group = inner.map(lambda p: f"(?:{p})")
    return st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        st.builds("{}{}".format, group, REPEATS),
        inner.map(lambda p: f"({p})"),
    )


ATOMS = CHARACTERS | CLASSES | st.builds("{}{}".format, CHARACTERS | CLASSES, REPEATS)
PATTERNS = st.builds(
    "{}{}".format,
    st.sampled_from(["", "", "(?i)", "(?s)", "(?is)"]),
    st.recursive(ATOMS | ANCHORS, grown, max_leaves=8),
)


def accepts(pattern: str, text: str) -> bool:
    automaton, (start,) = join_tables([compile_pattern(pattern)])
    return automaton.accepts(start, text)


@settings(max_examples=1500)
@given(pattern=PATTERNS, texts=st.lists(TEXTS, min_size=1, max_size=6))
@example(pattern="", texts=["", "a"])
@example(pattern=r"^\Z", texts=["", "a", "\n"])
@example(pattern="(?:a*)*b", texts=["aaab", "aaaa"])
@example(pattern="(?P<name>ab){2}", texts=["ab", "abab"])
@example(pattern="(?i)[^a]", texts=["A", "a", "b"])
@example(pattern="a^b|(?:^|/)b", texts=["ab", "b", "a/b", "a\nb"])
def test_accepts_what_re_finds(pattern, texts):
    wanted = re.compile(pattern, re.ASCII)
    for text in texts:
        assert accepts(pattern, text) == (wanted.search(text) is not None), text


@settings(max_examples=200)
@given(parts=st.lists(PATTERNS, min_size=1, max_size=5), text=TEXTS)
def test_joined_tables_answer_as_each_alone(parts, text):
    automaton, starts = join_tables([compile_pattern(part) for part in parts])
    assert [automaton.accepts(start, text) for start in starts] == [accepts(part, text) for part in parts]


def test_dollar_is_the_very_end():
    """Unlike in re, where a line break may follow."""
    assert accepts("a$", "a") and not accepts("a$", "a\n")
    assert not accepts("a$b", "ab")


def test_every_character_of_a_class():
    """All of Unicode, by the borders of UTF-8's lengths and of the ranges."""
    borders = [0, 0x7F, 0x80, 0x7FF, 0x800, 0xFFF, 0x1000, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x3FFFF, 0x40000, 0x10FFFF]
    for first in borders:
        for last in borders:
            if first > last:
                continue
            pattern = rf"^[\U{first:08x}-\U{last:08x}]$"
            for code in {b + d for b in borders for d in (-1, 0, 1)}:
                if 0 <= code < 0x110000 and not 0xD800 <= code < 0xE000:
                    assert accepts(pattern, chr(code)) == (first <= code <= last), (pattern, hex(code))


REFUSED = {
    "(": "without its",
    "a)": "without its",
    "[a": "ends too early",
    "[]": "ends too early",
    "\\": "ends too early",
    "*a": "nothing to repeat",
    "a|{2}": "nothing to repeat",
    "a**": "repeat of a repeat",
    "a{2}{3}": "repeat of a repeat",
    "a*+": "possessive",
    "a{3,2}": "fewer to more",
    "a{99999}": "at most",
    "^*": "anchor",
    "(?=a)": "look-around",
    "(?!a)": "look-around",
    "(?<=a)b": "look-around",
    "(?<!a)b": "look-around",
    "(?>a)": "not supported",
    "(?i:a)": "not supported",
    "a(?i)": "not supported",
    "(?m)^a": "not supported",
    "(a)(?P=a)": "not supported",
    "(?(1)a|b)": "not supported",
    r"(a)\1": "backreference",
    r"\bword": r"\\b is not",
    r"\B": r"\\B is not",
    r"\q": "not supported",
    r"\ud800": "hexadecimal",
    r"\x4": "hexadecimal",
    "[z-a]": "range",
    r"[a-\d]": "range",
    "(" * 60 + ")" * 60: "nested",
}


@pytest.mark.parametrize("pattern", REFUSED)
def test_what_no_automaton_can_follow_is_refused(pattern):
    with pytest.raises(PatternError, match=REFUSED[pattern]):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    "pattern", ["(?:a{1000}){1000}", "(a|b)*a(a|b){20}", ".{1,5000}x", "|".join(f"{n:07}" for n in range(40_000))]
)
def test_what_would_be_too_large_is_refused(pattern):
    with pytest.raises(PatternError, match="pattern"):
        compile_pattern(pattern)


def test_all_together_may_be_too_large(monkeypatch):
    table = compile_pattern("^abcdef")
    monkeypatch.setattr(patterns, "MAX_STATES", 3 * len(table.accepting))
    assert join_tables([table, table])
    with pytest.raises(PatternError, match="together"):
        join_tables([table, table, table])


def test_a_long_list_of_words():
    words = [f"site-{number}.example.org" for number in range(1500)]
    automaton, (start,) = join_tables([compile_pattern(f"^(?:{'|'.join(map(re.escape, words))})$")])
    assert all(automaton.accepts(start, word) for word in words)
    assert not any(automaton.accepts(start, word + "x") or automaton.accepts(start, word[1:]) for word in words)
