"""Words, tokens and sentences of Unicode 15.0, rule by rule as UAX #29 prints them: no masks, no state tables, nothing of ours.

Why not a library: uniseg 0.8.1 has the data of Unicode 15.0 and the rules of an older version ("can't" is three words), uniseg
0.10.1 has newer data, and of SB8 it forgets the characters without a class ("etc. *and"). tests/test_unicode.py holds this file
to both published suites and, where uniseg 0.10.1 is right, to that.
"""

import re
from itertools import pairwise

from unicode_data import category, is_pictographic, sentence_break, simple_folds, word_break

AHLETTER = ("ALetter", "Hebrew_Letter")
MID_LETTER = ("MidLetter", "MidNumLet", "Single_Quote")
MID_NUM = ("MidNum", "MidNumLet", "Single_Quote")
LINE_BREAK = ("CR", "LF", "Newline")


def kept_apart(classes: list[str], skipped: tuple[str, ...], separators: tuple[str, ...]) -> list[int]:
    """WB4, SB5: positions that count. Characters of `skipped` belong to the one before, unless that is none or a separator."""
    kept = []
    for i, c in enumerate(classes):
        if c not in skipped or i == 0 or classes[i - 1] in separators:
            kept.append(i)
    return kept


def word_starts(text: str) -> list[int]:
    classes = [word_break(ch) for ch in text]
    kept = kept_apart(classes, ("Extend", "Format", "ZWJ"), LINE_BREAK)
    c = [classes[i] for i in kept] + [""]
    starts, flags = [], 0  # flags: Regional_Indicators directly before
    for k, i in enumerate(kept):
        before2, before, here, after = c[k - 2] if k > 1 else "", c[k - 1] if k else "", c[k], c[k + 1]
        if not (
            (before == "CR" and here == "LF")  # WB3
            or (k and before not in LINE_BREAK and here not in LINE_BREAK and (  # WB3a, WB3b
                (classes[i - 1] == "ZWJ" and is_pictographic(text[i]))  # WB3c
                or classes[i - 1] == here == "WSegSpace"  # WB3d
                or (before in AHLETTER and here in AHLETTER)  # WB5
                or (before in AHLETTER and here in MID_LETTER and after in AHLETTER)  # WB6
                or (before2 in AHLETTER and before in MID_LETTER and here in AHLETTER)  # WB7
                or (before == "Hebrew_Letter" and here == "Single_Quote")  # WB7a
                or (before == "Hebrew_Letter" and here == "Double_Quote" and after == "Hebrew_Letter")  # WB7b
                or (before2 == "Hebrew_Letter" and before == "Double_Quote" and here == "Hebrew_Letter")  # WB7c
                or (before == here == "Numeric")  # WB8
                or (before in AHLETTER and here == "Numeric")  # WB9
                or (before == "Numeric" and here in AHLETTER)  # WB10
                or (before2 == "Numeric" and before in MID_NUM and here == "Numeric")  # WB11
                or (before == "Numeric" and here in MID_NUM and after == "Numeric")  # WB12
                or (before == here == "Katakana")  # WB13
                or (before in (*AHLETTER, "Numeric", "Katakana", "ExtendNumLet") and here == "ExtendNumLet")  # WB13a
                or (before == "ExtendNumLet" and here in (*AHLETTER, "Numeric", "Katakana"))  # WB13b
                or (here == "Regional_Indicator" and flags % 2 == 1)  # WB15, WB16
            ))
        ):  # fmt: skip
            starts.append(i)
        flags = flags + 1 if here == "Regional_Indicator" else 0
    return starts


PARA_SEP = ("Sep", "CR", "LF")
SA_TERM = ("STerm", "ATerm")
ENDS_SB8 = ("OLetter", "Upper", "Lower", *PARA_SEP, *SA_TERM)


def sentence_starts(text: str) -> list[int]:
    classes = [sentence_break(ch) for ch in text]
    kept = kept_apart(classes, ("Extend", "Format"), PARA_SEP)
    c = [classes[i] for i in kept]
    starts = []
    for k, i in enumerate(kept):
        before = c[k - 1] if k else ""
        if k == 0 or (before in PARA_SEP and not (before == "CR" and c[k] == "LF")):  # SB1, SB3, SB4
            starts.append(i)
            continue
        j = k - 1
        while j >= 0 and c[j] == "Sp":
            j -= 1
        spaces = j < k - 1
        while j >= 0 and c[j] == "Close":
            j -= 1
        term = c[j] if j >= 0 else ""  # what stands before Close* Sp*
        if term not in SA_TERM:
            continue  # SB998
        if before == "ATerm" and c[k] == "Numeric":  # SB6
            continue
        if k > 1 and c[k - 2] in ("Upper", "Lower") and before == "ATerm" and c[k] == "Upper":  # SB7
            continue
        if term == "ATerm" and next((x for x in c[k:] if x in ENDS_SB8), "") == "Lower":  # SB8
            continue
        if c[k] in ("SContinue", *SA_TERM):  # SB8a
            continue
        if (c[k] == "Close" and not spaces) or c[k] in ("Sp", *PARA_SEP):  # SB9, SB10
            continue
        starts.append(i)  # SB11
    return starts


def segments(text: str, starts: list[int]) -> list[str]:
    return [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True)] if text else []


def byte_boundaries(text: str, starts: list[int]) -> list[int]:
    boundaries = [0]
    for segment in segments(text, starts):
        boundaries.append(boundaries[-1] + len(segment.encode()))
    return boundaries if text else []


def word_boundaries(text: str) -> list[int]:
    return byte_boundaries(text, word_starts(text))


def sentence_boundaries(text: str, tailored: bool = False) -> list[int]:
    """Tailored: CR LF becomes two spaces here, not one, so that offsets stay; spaces in a row change no boundary."""
    if tailored:
        softened = LONE_BREAK.sub(lambda m: " " * len(m[0]) if is_lowercase(m[1]) else m[0], text)
        return byte_boundaries(text, sentence_starts(softened))
    return byte_boundaries(text, sentence_starts(text))


def is_word(segment: str) -> bool:
    return any(category(ch)[0] in "LN" for ch in segment)


def words(text: str) -> list[str]:
    return [segment for segment in segments(text, word_starts(text)) if is_word(segment)]


def word_spans(text: str) -> list[tuple[int, int]]:
    spans, at = [], 0
    for segment in segments(text, word_starts(text)):
        end = at + len(segment.encode())
        if is_word(segment):
            spans.append((at, end))
        at = end
    return spans


def simple_fold(word: str) -> str:
    return word.translate(simple_folds())


def tokens(text: str, kind: str = "word") -> list[bytes]:
    if kind == "byte":
        return [bytes([b]) for b in text.encode()]
    if kind == "char":
        return [ch.encode() for ch in text]
    found = [simple_fold(word).encode() for word in words(text)]
    return [b" ".join(pair) for pair in pairwise(found)] if kind == "bigram" else found


def is_lowercase(ch: str) -> bool:
    """Lowercase = Ll + Other_Lowercase; Sentence_Break=Lower is that without Georgian (all Ll) and the combining iota."""
    return category(ch) == "Ll" or sentence_break(ch) == "Lower" or ch == "\u0345"


LONE_BREAK = re.compile(r"(?<![\r\n])(?:\r\n|[\r\n])(?![\r\n])(?=[ \t]*([^ \t]))")


def soften_wraps(text: str) -> str:
    """The tailoring: a lone line break whose next character other than space and tab is Lowercase counts as a space."""
    return LONE_BREAK.sub(lambda m: " " if is_lowercase(m[1]) else m[0], text)


def sentences(text: str) -> list[str]:
    return segments(text, sentence_starts(text))


def sentence_lengths(text: str) -> list[int]:
    """A word that a sentence boundary cuts is a word of each of its sentences that gets a letter or number of it."""
    raw, lengths = text.encode(), []
    boundaries, spans = sentence_boundaries(text, tailored=True), word_spans(text)
    first = 0  # span that may still reach into the sentence
    for start, end in pairwise(boundaries):
        while first < len(spans) and spans[first][1] <= start:
            first += 1
        k, length = first, 0
        while k < len(spans) and spans[k][0] < end:
            a, b = spans[k]
            length += is_word(raw[max(a, start) : min(b, end)].decode())
            k += 1
        if length:
            lengths.append(length)
    return lengths
