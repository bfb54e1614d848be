"""Regular expressions as automata over UTF-8 bytes: each byte of a value is looked at once, whatever the pattern.

The syntax is that of Python's `re` with its ASCII flag, as far as an automaton can follow it: no backreference, no
look-around, no word boundary. `$` is the very end, as `\\Z`. A pattern is searched for unless it is anchored.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_STATES = 65_535
"""Of all patterns of an `Automaton` together: numbers of states have 16 bits."""

MAX_NODES = 200_000
MAX_STEPS = 5_000_000
MAX_NESTING = 50
MAX_REPEATS = 3
"""Of a pattern that is not followed by an automaton."""
MAX_REPEAT = 65_534

REJECTS, ACCEPTS, FIRST_STATE = 0, 1, 2
"""States that no further byte changes, and the first of the others."""

Ranges = tuple[tuple[int, int], ...]
"""Code points from and to, both included, ascending."""


class PatternError(ValueError):
    """A pattern that is wrong, or that no automaton of a sensible size can follow."""


class Automaton(NamedTuple):
    """All patterns in one table. `transitions[state, classes[byte]]` is the next state."""

    classes: NDArray[np.uint8]
    transitions: NDArray[np.uint16]
    accepting: NDArray[np.uint8]
    """Whether a text may end in the state."""

    def accepts(self, start: int, text: str) -> bool:
        """Does the pattern that begins in state `start` match?"""
        state, rows = start, memoryview(self.transitions)
        for number in text.encode().translate(self.classes.tobytes()):
            state = rows[state, number]
        return bool(self.accepting[state])


class PatternTable(NamedTuple):
    """The automaton of one pattern: the rows of all states but the first two."""

    classes: NDArray[np.uint8]
    transitions: NDArray[np.uint16]
    accepting: list[bool]


def compile_pattern(pattern: str) -> PatternTable:
    """Raises `PatternError` on one that is wrong or too large."""
    return _Subsets(_Parser(pattern).whole()).table()


def join_tables(tables: Sequence[PatternTable]) -> tuple[Automaton, list[int]]:
    """One automaton of at least one pattern, and of each the state in which it begins. Raises `PatternError`."""
    sizes = [len(table.accepting) for table in tables]
    if FIRST_STATE + sum(sizes) > MAX_STATES:
        raise PatternError(f"all patterns together take {sum(sizes)} states; {MAX_STATES - FIRST_STATE} are allowed")
    # Bytes that no pattern tells apart share a column.
    told_apart = np.stack([table.classes for table in tables])
    _, examples, classes = np.unique(told_apart, axis=1, return_index=True, return_inverse=True)
    same = np.arange(FIRST_STATE, dtype=np.uint16).repeat(len(examples)).reshape(FIRST_STATE, -1)
    starts = np.cumsum([FIRST_STATE, *sizes[:-1]]).tolist()
    rows = [same]
    for table, start in zip(tables, starts, strict=True):
        moved = table.transitions + np.uint16(start - FIRST_STATE) * (table.transitions >= FIRST_STATE)
        rows.append(moved[:, table.classes[examples]])
    accepting = np.concatenate([[REJECTS, ACCEPTS], *(table.accepting for table in tables)])
    joined = classes.reshape(256).astype(np.uint8), np.concatenate(rows), accepting.astype(np.uint8)
    return Automaton(*joined), starts


def check_backtracking(pattern: str) -> None:
    """Raises `PatternError` on a pattern that Python's `re`, which tries one way after the other, might follow for longer than a
    polynomial of degree MAX_REPEATS: where what is repeated can itself be read in several ways, or more repeats follow one another.
    """
    varying = 0
    waiting = [(_Parser(pattern).whole(), False)]
    while waiting:
        node, is_repeated = waiting.pop()
        match node:
            case _Sequence(parts):
                waiting += [(part, is_repeated) for part in parts]
            case _Choice(parts):
                if is_repeated:
                    raise PatternError(f"a repeat of alternatives takes too long: {pattern[:200]!r}")
                varying += 1
                waiting += [(part, is_repeated) for part in parts]
            case _Repeat(part, least, most):
                if is_repeated and most != least:
                    raise PatternError(f"a repeat of a repeat takes too long: {pattern[:200]!r}")
                varying += most != least
                waiting.append((part, is_repeated or most is None or most > 1))
    if varying > MAX_REPEATS:
        raise PatternError(f"more than {MAX_REPEATS} repeats and alternatives: {pattern[:200]!r}")


# --- from text to a tree


@dataclass(frozen=True)
class _Characters:
    ranges: Ranges


@dataclass(frozen=True)
class _Sequence:
    parts: tuple["_Node", ...]


@dataclass(frozen=True)
class _Choice:
    parts: tuple["_Node", ...]


@dataclass(frozen=True)
class _Repeat:
    part: "_Node"
    least: int
    most: int | None


@dataclass(frozen=True)
class _Anchor:
    at_end: bool


_Node = _Characters | _Sequence | _Choice | _Repeat | _Anchor

_ALL: Ranges = ((0, 0xD7FF), (0xE000, 0x10FFFF))
_CLASSES: dict[str, Ranges] = {
    "d": ((48, 57),),
    "s": ((9, 13), (32, 32)),
    "w": ((48, 57), (65, 90), (95, 95), (97, 122)),
}
_CONTROLS = {"a": 7, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_HEX_DIGITS = {"x": 2, "u": 4, "U": 8}
_REPEATS = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_BOUNDS = re.compile(r"\{(\d*)(,?)(\d*)\}", re.ASCII)
_FLAGS = re.compile(r"\(\?([is]+)\)")
_NAMED = re.compile(r"\(\?P<[A-Za-z_]\w*>", re.ASCII)


class _Parser:
    """Recursive descent. `at` is the place of the next character."""

    def __init__(self, pattern: str) -> None:
        self.text = pattern
        flags = _FLAGS.match(pattern)
        self.at = flags.end() if flags else 0
        self.ignores_case = flags is not None and "i" in flags[1]
        self.dot = _ALL if flags is not None and "s" in flags[1] else _without(((10, 10),))

    def whole(self) -> _Node:
        node = self._choice(0)
        if self.at < len(self.text):
            raise self._wrong("a ) without its (")
        return node

    def _wrong(self, what: str) -> PatternError:
        return PatternError(f"{what} at character {self.at + 1} of {self.text[:200]!r}")

    def _peek(self, length: int = 1) -> str:
        return self.text[self.at : self.at + length]

    def _take(self) -> str:
        if self.at == len(self.text):
            raise self._wrong("the pattern ends too early:")
        self.at += 1
        return self.text[self.at - 1]

    def _choice(self, depth: int) -> _Node:
        if depth > MAX_NESTING:
            raise self._wrong(f"more than {MAX_NESTING} nested groups")
        parts = [self._sequence(depth)]
        while self._peek() == "|":
            self.at += 1
            parts.append(self._sequence(depth))
        return parts[0] if len(parts) == 1 else _Choice(tuple(parts))

    def _sequence(self, depth: int) -> _Node:
        parts: list[_Node] = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._repeated(self._atom(depth)))
        return _Sequence(tuple(parts))

    def _repeated(self, part: _Node) -> _Node:
        bounds = self._bounds()
        if bounds is None:
            return part
        if isinstance(part, _Anchor):
            raise self._wrong("an anchor cannot be repeated:")
        if self._peek() == "?":
            self.at += 1  # a lazy repeat finds the same texts
        elif self._peek() == "+":
            raise self._wrong("possessive repeats are not supported:")
        if self._bounds() is not None:
            raise self._wrong("a repeat of a repeat; put the inner one into (?:...)")
        return _Repeat(part, *bounds)

    def _bounds(self) -> tuple[int, int | None] | None:
        """What a repeat at this place asks for; None where there is none. `{` that begins no bounds is a character."""
        if self._peek() in _REPEATS:
            return _REPEATS[self._take()]
        found = _BOUNDS.match(self.text, self.at)
        if found is None or found[0] == "{}":
            return None
        self.at = found.end()
        if max(len(found[1]), len(found[3])) > len(str(MAX_REPEAT)):
            raise self._wrong(f"wanted a repeat of at most {MAX_REPEAT} times before")
        least = int(found[1] or 0)
        most = int(found[3]) if found[3] else None if found[2] else least
        if max(least, most or 0) > MAX_REPEAT or most is not None and most < least:
            raise self._wrong(f"wanted a repeat from fewer to more times, at most {MAX_REPEAT}, before")
        return least, most

    def _atom(self, depth: int) -> _Node:
        if self._bounds() is not None:
            raise self._wrong("nothing to repeat before")
        character = self._take()
        if character == "(":
            self.at -= 1
            return self._group(depth)
        if character == "[":
            return _Characters(self._set())
        if character == ".":
            return _Characters(self.dot)
        if character == "^" or character == "$":
            return _Anchor(at_end=character == "$")
        if character == "\\" and self._peek() and self._peek() in "AZ":
            return _Anchor(at_end=self._take() == "Z")
        ranges = self._escape() if character == "\\" else _one(character)
        return _Characters(self._folded(ranges))

    def _group(self, depth: int) -> _Node:
        named = _NAMED.match(self.text, self.at)
        if named is not None:
            self.at = named.end()
        elif self._peek(3) == "(?:":
            self.at += 3
        elif self._peek(2) == "(?":
            what = "look-around" if re.match(r"\(\?<?[=!]", self._peek(4)) else f"{self._peek(3)}...)"
            raise self._wrong(f"{what} is not supported")
        else:
            self.at += 1
        node = self._choice(depth + 1)
        if self._peek() != ")":
            raise self._wrong("a ( without its )")
        self.at += 1
        return node

    def _escape(self) -> Ranges:
        """The characters that the escape behind a backslash stands for."""
        letter = self._take()
        if letter.lower() in _CLASSES:
            ranges = _CLASSES[letter.lower()]
            return ranges if letter.islower() else _without(ranges)
        if letter in _CONTROLS:
            return _one(chr(_CONTROLS[letter]))
        if letter in _HEX_DIGITS:
            return _one(self._hex(_HEX_DIGITS[letter]))
        if letter.isascii() and letter.isalnum():
            self.at -= 1
            what = "a backreference or octal number" if letter.isdigit() else f"\\{letter}"
            raise self._wrong(f"{what} is not supported")
        return _one(letter)

    def _hex(self, length: int) -> str:
        digits = self._peek(length)
        if not re.fullmatch(f"[0-9A-Fa-f]{{{length}}}", digits) or not _is_scalar(int(digits, 16)):
            raise self._wrong(f"wanted {length} hexadecimal digits of a character")
        self.at += length
        return chr(int(digits, 16))

    def _set(self) -> Ranges:
        """The inside of [...]."""
        negated = self._peek() == "^"
        self.at += negated
        found: list[tuple[int, int]] = []
        is_first = True
        while is_first or self._peek() != "]":
            is_first = False
            first = self._member()
            if self._peek() != "-" or self._peek(2) in ("-", "-]"):
                found += first
                continue
            self.at += 1
            last = self._member()
            if len(first) != 1 or len(last) != 1 or not _is_one(first) or not _is_one(last) or last[0] < first[0]:
                raise self._wrong("wanted a range from one character to a later one before")
            found.append((first[0][0], last[0][0]))
        self.at += 1
        ranges = self._folded(_united(found))
        return _without(ranges) if negated else ranges

    def _member(self) -> Ranges:
        character = self._take()
        if character != "\\":
            return _one(character)
        if self._peek() == "b":
            self.at += 1
            return _one("\b")
        return self._escape()

    def _folded(self, ranges: Ranges) -> Ranges:
        """With the other case of ASCII letters, where the pattern asks for that."""
        if not self.ignores_case:
            return ranges
        others = []
        for first, last in ranges:
            for low, shift in ((65, 32), (97, -32)):
                begin, end = max(first, low), min(last, low + 25)
                if begin <= end:
                    others.append((begin + shift, end + shift))
        return _united([*ranges, *others])


def _one(character: str) -> Ranges:
    return ((ord(character), ord(character)),)


def _is_one(ranges: Ranges) -> bool:
    return ranges[0][0] == ranges[0][1]


def _is_scalar(code_point: int) -> bool:
    return any(first <= code_point <= last for first, last in _ALL)


def _united(ranges: Iterable[tuple[int, int]]) -> Ranges:
    united: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if united and first <= united[-1][1] + 1:
            united[-1] = united[-1][0], max(united[-1][1], last)
        else:
            united.append((first, last))
    return tuple(united)


def _without(ranges: Ranges) -> Ranges:
    """All characters but these. Surrogates are none."""
    left, begin = [], 0
    for first, last in (*_united([*ranges, (0xD800, 0xDFFF)]), (0x110000, 0x110000)):
        if begin < first:
            left.append((begin, first - 1))
        begin = last + 1
    return tuple(left)


# --- from a tree to states that bytes lead on from


def _byte_sequences(first: int, last: int) -> list[list[tuple[int, int]]]:
    """Code points from `first` to `last` as sequences of byte ranges, by the rules of UTF-8."""
    for limit in (0x7F, 0x7FF, 0xD7FF, 0xDFFF, 0xFFFF):
        if first <= limit < last:
            return _byte_sequences(first, limit) + _byte_sequences(limit + 1, last)
    if 0xD800 <= first <= 0xDFFF:
        return []
    if last <= 0x7F:
        return [[(first, last)]]
    # The code points of one sequence share all but a tail, which takes all its values.
    for bits in (6, 12, 18):
        tail = (1 << bits) - 1
        if first >> bits != last >> bits:
            if first & tail:
                return _byte_sequences(first, first | tail) + _byte_sequences((first | tail) + 1, last)
            if last & tail != tail:
                return _byte_sequences(first, (last & ~tail) - 1) + _byte_sequences(last & ~tail, last)
    return [list(zip(chr(first).encode(), chr(last).encode(), strict=True))]


class _Nodes:
    """A nondeterministic automaton. Node 0 is the end of the pattern: whoever gets there has found it."""

    def __init__(self, tree: _Node) -> None:
        self.edges: list[list[tuple[int, int, int]]] = []  # first byte, last byte, node
        self.jumps: list[list[int]] = []
        self.anchors: dict[int, bool] = {}  # nodes whose jump waits for the begin (False) or the end (True)
        self.start = self._build(tree, self._node())

    def _node(self, jumps: Sequence[int] = ()) -> int:
        if len(self.edges) == MAX_NODES:
            raise PatternError("the pattern is too large: fewer or shorter repeats, please")
        self.edges.append([])
        self.jumps.append(list(jumps))
        return len(self.edges) - 1

    def _build(self, tree: _Node, then: int) -> int:
        """The node from which `tree` is read and then `then`."""
        match tree:
            case _Characters(ranges):
                return self._characters(ranges, then)
            case _Sequence(parts):
                for part in reversed(parts):
                    then = self._build(part, then)
                return then
            case _Choice(parts):
                return self._node([self._build(part, then) for part in parts])
            case _Anchor(at_end):
                node = self._node([then])
                self.anchors[node] = at_end
                return node
            case _Repeat(part, least, most):
                return self._repeat(part, least, most, then)

    def _characters(self, ranges: Ranges, then: int) -> int:
        node = self._node()
        shared: dict[tuple[int, int, int], int] = {}  # nodes inside characters, by the edge they have
        for first, last in ranges:
            for (low, high), *tails in _byte_sequences(first, last):
                target = then
                for edge in reversed(tails):
                    key = (*edge, target)
                    if key not in shared:
                        shared[key] = self._node()
                        self.edges[shared[key]].append(key)
                    target = shared[key]
                self.edges[node].append((low, high, target))
        return node

    def _repeat(self, part: _Node, least: int, most: int | None, then: int) -> int:
        if most is None:
            loop = self._node([then])
            self.jumps[loop].append(self._build(part, loop))
            then = loop
        else:
            end = then
            for _ in range(most - least):
                then = self._node([self._build(part, then), end])
        for _ in range(least):
            then = self._build(part, then)
        return then

    def closure(self, nodes: Iterable[int], at_begin: bool = False, at_end: bool = False) -> frozenset[int]:
        """The nodes that can be reached without a byte, of which only those matter that lead on or wait for the end."""
        waiting, seen, kept = list(nodes), set(nodes), set()
        while waiting:
            node = waiting.pop()
            anchor = self.anchors.get(node)
            if self.edges[node] or node == 0 or anchor and not at_end:
                kept.add(node)
            if anchor is None or (at_end if anchor else at_begin):
                for jump in self.jumps[node]:
                    if jump not in seen:
                        seen.add(jump)
                        waiting.append(jump)
        return frozenset(kept)


# --- from sets of nodes to one state


def _byte_classes(nodes: _Nodes) -> tuple[NDArray[np.uint8], int]:
    begins = np.zeros(257, bool)
    for edges in nodes.edges:
        for low, high, _ in edges:
            begins[low] = begins[high + 1] = True
    begins[0] = False
    classes = np.cumsum(begins[:256]).astype(np.uint8)
    return classes, int(classes[-1]) + 1


class _Subsets:
    """The subset construction. A state stands for the nodes that may have been reached.

    A match may begin behind every byte, so all states but the first share the nodes of such a begin. Those are left
    out of the sets: with a long list of words they would be most of them.
    """

    def __init__(self, tree: _Node) -> None:
        self.nodes = _Nodes(tree)
        self.classes, self.n_classes = _byte_classes(self.nodes)
        class_of = self.classes.tolist()
        self.edges = [[(class_of[low], class_of[high], node) for low, high, node in one] for one in self.nodes.edges]
        self.steps = 0
        self.shared = self.nodes.closure([self.nodes.start])
        targets = self._targets(self.shared)
        self.behind_shared = [self.nodes.closure(targets.get(c, ())) for c in range(self.n_classes)]
        # The first state is not to be found by its nodes: no other is at the begin.
        self.members = [self.nodes.closure([self.nodes.start], at_begin=True)]
        self.numbers: dict[frozenset[int], int] = {}
        if not self.shared:
            self.numbers[self.shared] = REJECTS

    def table(self) -> PatternTable:
        usual = np.array([self._number(reached) for reached in self.behind_shared], np.uint16)
        shared_accepts = 0 in self.nodes.closure(self.shared, at_end=True)
        rows, accepting = [], []
        for place, members in enumerate(self.members):  # grows meanwhile
            row = usual.copy()
            for c, reached in self._targets(members).items():
                row[c] = self._number(self.nodes.closure(reached) | self.behind_shared[c])
            # Only the first state can hold the end: on the way to all others it was found.
            rows.append(np.full_like(row, ACCEPTS) if 0 in members else row)
            at_end = self.nodes.closure(members, at_begin=place == 0, at_end=True)
            accepting.append(shared_accepts or 0 in at_end)
        return PatternTable(self.classes, np.stack(rows), accepting)

    def _targets(self, members: Iterable[int]) -> dict[int, set[int]]:
        """Where the bytes of each class lead."""
        by_class: dict[int, set[int]] = {}
        for node in members:
            for low, high, target in self.edges[node]:
                self.steps += high - low + 1
                for number in range(low, high + 1):
                    by_class.setdefault(number, set()).add(target)
        if self.steps > MAX_STEPS:
            raise PatternError("the pattern is too hard: fewer repeats of what can match in many ways, please")
        return by_class

    def _number(self, reached: frozenset[int]) -> int:
        if 0 in reached:
            return ACCEPTS
        own = reached - self.shared
        if own not in self.numbers:
            if FIRST_STATE + len(self.members) == MAX_STATES:
                raise PatternError(
                    f"the pattern takes more than {MAX_STATES - FIRST_STATE} states: a simpler one, please"
                )
            self.numbers[own] = FIRST_STATE + len(self.members)
            self.members.append(own)
        return self.numbers[own]
