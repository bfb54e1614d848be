"""The bit-mask kernels against the code-point rules, on texts dense with what the masks decide: stops, breaks, indentation, marks.

The rules (`word_boundaries`, `sentence_boundaries`) pass Unicode's suites; the masks only make them fast, so the two must agree on
anything, over every border of a 64-byte block and of a 4,096-byte chunk.
"""

import random
from itertools import pairwise

import pytest

from implementations import on_every_implementation
from unicode_data import category

ALPHABETS = (
    ".!?\"'() \r\n\taAbZ1,;:_-",
    ". !?\"'\n aB1,日क।あ’“”é",
    ".\r\n aA",
    "\n.    aA",
    '.?\r\n"a Á ß\u00ad\u0301א"\'ア_',
    "a.b'c’d:e_1,2;3 \n\u0301\u200d❤Ⓐﾞ\u202f",
)
PIECES = (
    ". ",
    ".\n",
    ".\r\n",
    "\r\n",
    '." ',
    '?"\n',
    "\n    ",
    "\n" + 15 * " ",
    "\n" + 17 * " ",
    "word",
    " ",
    "x",
    "___",
)


def dense_text(rng: random.Random) -> str:
    alphabet = rng.choice(ALPHABETS)
    length = rng.choice((5, 20, 70, 130, 300))
    text = "".join(rng.choice(alphabet) if rng.random() < 0.8 else rng.choice(PIECES) for _ in range(length))
    text = rng.choice(("", "x" * rng.randrange(66), " " * rng.randrange(66))) + text
    if rng.random() < 0.25:  # across the border of a chunk
        text = "ab " * rng.choice((1300, 1350, 1364, 1365)) + text + "cd " * 20
    return text


def is_word(piece: bytes) -> bool:
    return any(category(ch)[0] in "LN" for ch in piece.decode())


def spans_and_lengths(backend, text: bytes) -> tuple[list[list[int]], list[int]]:
    """Of words and of sentences, by the rules: a sentence border inside a word cuts it."""
    words = [[a, b] for a, b in pairwise(backend.word_boundaries(text).tolist()) if is_word(text[a:b])]
    lengths = []
    first = 0
    for begin, end in pairwise(backend.sentence_boundaries(text).tolist()):
        while first < len(words) and words[first][1] <= begin:
            first += 1
        length = 0
        for a, b in words[first:]:
            if a >= end:
                break
            length += is_word(text[max(a, begin) : min(b, end)])
        if length > 0:
            lengths.append(length)
    return words, lengths


@on_every_implementation
@pytest.mark.parametrize("seed", range(4))
def test_masks_agree_with_the_rules(implementation, seed):
    backend = implementation.use()
    rng = random.Random(seed)
    for _ in range(150):
        text = dense_text(rng).encode()
        words, lengths = spans_and_lengths(backend, text)
        assert backend.word_spans(text).tolist() == words, text
        assert backend.sentence_lengths(text).tolist() == lengths, text
