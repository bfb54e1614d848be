"""The Unicode 15.0 tables: one packed word per code point, so that one load answers everything.

    bit   31 ........... 14 13 ........ 9 8 ... 5 4 ... 0     flags are 8 bits wide: bits 9 to 16
          folds (bit 17)    flags         sentence word

The values are those of tools/generate_unicode_tables.py.
"""

from functools import cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np

CODE_POINTS = 0x110000

WORD_BITS = 31
SENTENCE_SHIFT = 5
SENTENCE_BITS = 15
FLAG_SHIFT = 9
FOLDS = 1 << 17

LETTER_OR_NUMBER = 1 << FLAG_SHIFT
LOWERCASE = 2 << FLAG_SHIFT
PICTOGRAPHIC = 4 << FLAG_SHIFT
EMOJI = 8 << FLAG_SHIFT
SYMBOL = 16 << FLAG_SHIFT
OTHER_LETTER = 32 << FLAG_SHIFT
INVISIBLE = 64 << FLAG_SHIFT
VARIATION_SELECTOR = 128 << FLAG_SHIFT

# Word_Break
(WB_OTHER, WB_CR, WB_LF, WB_NEWLINE, WB_EXTEND, WB_ZWJ, WB_REGIONAL, WB_FORMAT, WB_KATAKANA, WB_HEBREW) = range(10)
(WB_LETTER, WB_SINGLE_QUOTE, WB_DOUBLE_QUOTE, WB_MID_NUM_LET, WB_MID_LETTER, WB_MID_NUM) = range(10, 16)
(WB_NUMERIC, WB_CONNECTOR, WB_SPACE) = range(16, 19)

# Sentence_Break; a CR, an LF and both together are one SB_SEP here.
(SB_OTHER, SB_CR, SB_LF, SB_EXTEND, SB_SEP, SB_FORMAT, SB_SP, SB_LOWER) = range(8)
(SB_UPPER, SB_OLETTER, SB_NUMERIC, SB_ATERM, SB_SCONTINUE, SB_STERM, SB_CLOSE) = range(8, 15)


class Unicode(NamedTuple):
    """Handed to the kernels as an argument: numba would compile global arrays in."""

    properties: np.ndarray
    folded: np.ndarray


@cache
def load_tables() -> Unicode:
    """Spreads the two stages out: 8 MiB of which only the pages of the scripts in use are ever touched again."""
    with files(__package__).joinpath("unicode_tables.npz").open("rb") as stream:
        tables = dict(np.load(stream))
    pages = tables["stage1"].astype(np.int64)[:, None] << 7
    record = tables["stage2"][pages + np.arange(128)].ravel()
    packed = tables["word_break"].astype(np.uint32)
    packed |= tables["sentence_break"].astype(np.uint32) << SENTENCE_SHIFT
    packed |= tables["flags"].astype(np.uint32) << FLAG_SHIFT
    packed |= np.where(tables["fold_delta"] != 0, np.uint32(FOLDS), np.uint32(0))
    folded = np.arange(CODE_POINTS, dtype=np.int32) + tables["fold_delta"][record]
    return Unicode(packed[record], folded.astype(np.int32))
