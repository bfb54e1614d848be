"""Mutations that know a format's outside: of bytes, and of JSON. What a file's checksums cover is changed before they are made."""

import copy
import random
from collections.abc import Sequence
from typing import Any

NUMBERS = (0, 1, 2, 3, 7, 64, 255, 256, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 53) + 1)
NUMBERS += ((1 << 63) - 1, 1 << 63, (1 << 64) - 1, 1 << 64, 1 << 126, 1 << 127, 10**40, -1, -(1 << 63))
VALUES = (None, True, False, "", "a", "word", [], {}, [[]], [0], 0.5, -0.0, 1e6, 1e300, 1e-300, *NUMBERS)


def mutated_bytes(data: bytes, rng: random.Random, alphabet: Sequence[bytes] = ()) -> bytes:
    """A few bytes flipped, set, doubled, left out or put in; `alphabet`: what may be put in as a whole."""
    changed = bytearray(data)
    for _ in range(1 + rng.randrange(4)):
        at, size = rng.randint(0, len(changed)), min(1 << rng.randrange(8), len(changed))
        kind = rng.randrange(7)
        if kind == 0 and at < len(changed):
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            changed[at : at + size] = b""
        elif kind == 2:
            changed[at:at] = changed[at : at + size]
        elif kind == 3:
            number = rng.choice(NUMBERS) & (1 << 64) - 1
            width = rng.choice((1, 2, 4, 8))
            changed[at : at + width] = number.to_bytes(8, "little")[:width]
        elif kind == 4:
            changed[at : at + size] = rng.randbytes(size)
        elif alphabet:
            changed[at : at + rng.randrange(2)] = rng.choice(alphabet)
        else:
            changed[at:at] = rng.randbytes(1)
    return bytes(changed)


def mutated_json(value: Any, rng: random.Random) -> Any:
    """The same tree but for one place: another value, a number nearby, a key or an element more or less."""
    root = [copy.deepcopy(value)]
    parent: Any = root
    key: Any = 0
    while isinstance(parent[key], (dict, list)) and parent[key] and rng.randrange(8):
        parent = parent[key]
        key = rng.choice(list(parent)) if isinstance(parent, dict) else rng.randrange(len(parent))
    found, kind = parent[key], rng.randrange(6)
    if kind == 0 and parent is not root:
        del parent[key]
    elif kind == 1 and isinstance(found, (int, float)):
        parent[key] = found + rng.choice((-1, 1, 2, -found, found, 0.5))
    elif kind == 2 and isinstance(found, list) and found:
        found.insert(rng.randint(0, len(found)), copy.deepcopy(rng.choice(found)))
    elif kind == 2 and isinstance(found, dict):
        found[rng.choice(("", "a", "provenance", "name"))] = rng.choice(VALUES)
    elif kind == 3 and isinstance(found, list):
        rng.shuffle(found)
    else:
        parent[key] = copy.deepcopy(rng.choice(VALUES))
    return root[0]
