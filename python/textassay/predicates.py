"""Predicates over documents: `perplexity > 1000 and provenance != human_verified`.

    predicate   = conjunction { "or" conjunction }
    conjunction = term { "and" term }
    term        = "(" predicate ")" | column operator value | column "is" [ "not" ] "null"
    operator    = "<" | "<=" | ">" | ">=" | "==" | "!="
    value       = number | word | quoted text

A comparison with null does not hold, whatever the operator; `is null` asks for it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from textassay.errors import UsageError

LONGEST = 1 << 16
DEEPEST = 100

_COMPARE = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}
_SYMBOL = re.compile(
    r"""\s*(?:
    (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))
  | (?P<word>[A-Za-z_][\w.:/-]*)
  | (?P<quoted>"[^"]*"|'[^']*')
  | (?P<operator><=|>=|==|!=|<|>)
  | (?P<bracket>[()])
    )""",
    re.VERBOSE | re.ASCII,
)
_KEYWORDS = ("and", "or", "is", "not", "null")

Columns = Mapping[str, NDArray[Any]]
Mask = NDArray[np.bool_]


class Predicate(Protocol):
    """Holds for some documents."""

    def columns(self) -> dict[str, str]:
        """The columns it looks at, each with its kind: "number", "text", or "any" where only null is asked for."""

    def holds(self, columns: Columns) -> Mask:
        """Shape (documents,): for which of them. Numbers are integers or floats with NaN for null, texts objects with None."""


@dataclass(frozen=True)
class Comparison:
    column: str
    operator: str
    value: float | str

    def columns(self) -> dict[str, str]:
        return {self.column: "text" if isinstance(self.value, str) else "number"}

    def holds(self, columns: Columns) -> Mask:
        values = columns[self.column]
        found: Mask = np.asarray(_COMPARE[self.operator](values, self.value), np.bool_)
        return found & ~is_null(values) if self.operator == "!=" else found


@dataclass(frozen=True)
class NullTest:
    column: str
    wanted: bool

    def columns(self) -> dict[str, str]:
        return {self.column: "any"}

    def holds(self, columns: Columns) -> Mask:
        return is_null(columns[self.column]) == self.wanted


@dataclass(frozen=True)
class Junction:
    """All of its parts hold (`and`), or any of them."""

    parts: tuple[Predicate, ...]
    is_and: bool

    def columns(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for part in self.parts:
            for column, kind in part.columns().items():
                before = found.get(column, "any")
                if "any" not in (before, kind) and before != kind:
                    raise UsageError(f"{column} is compared with a number and with a text")
                found[column] = before if kind == "any" else kind
        return found

    def holds(self, columns: Columns) -> Mask:
        combine = np.logical_and if self.is_and else np.logical_or
        found = self.parts[0].holds(columns)
        for part in self.parts[1:]:
            found = combine(found, part.holds(columns))
        return found


def is_null(values: NDArray[Any]) -> Mask:
    """NaN among floats, None among objects."""
    if values.dtype.kind == "f":
        return np.isnan(values)
    if values.dtype == object:
        return np.asarray(np.equal(values, None), np.bool_)
    return np.zeros(len(values), np.bool_)


def parse_predicate(text: str) -> Predicate:
    """Reads a predicate. Raises `UsageError` that shows the place of what is wrong."""
    return _Parser(text).whole()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        if len(text) > LONGEST:
            raise UsageError(f"a predicate of {len(text)} characters: wanted at most {LONGEST}")
        self._symbols = self._split()
        self._next = 0
        self._depth = 0

    def whole(self) -> Predicate:
        found = self._predicate()
        if self._kind() != "end":
            self._fail("and, or, or the end")
        found.columns()  # a column is compared with one kind of value
        return found

    def _split(self) -> list[tuple[str, str, int]]:
        """Kind, text and place of each symbol."""
        symbols, place = [], 0
        while match := _SYMBOL.match(self._text, place):
            kind = match.lastgroup or ""
            symbols.append((kind, match[kind], match.start(kind)))
            place = match.end()
        rest = self._text[place:].lstrip()
        symbols.append(("unknown" if rest else "end", rest[:1], len(self._text) - len(rest)))
        return symbols

    def _predicate(self) -> Predicate:
        return self._joined("or", lambda: self._joined("and", self._term))

    def _joined(self, word: str, part: Any) -> Predicate:
        parts = [part()]
        while self._take(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Junction(tuple(parts), word == "and")

    def _term(self) -> Predicate:
        if self._take("("):
            return self._bracketed()
        if self._kind() != "word" or self._symbol() in _KEYWORDS:
            self._fail("the name of a column, or (")
        column = self._advance()
        if self._take("is"):
            wanted = not self._take("not")
            if not self._take("null"):
                self._fail("null" if not wanted else "null or not null")
            return NullTest(column, wanted)
        if self._kind() != "operator":
            self._fail(f"one of {' '.join(_COMPARE)}, or is null")
        operator = self._advance()
        return Comparison(column, operator, self._value(operator))

    def _bracketed(self) -> Predicate:
        self._depth += 1
        if self._depth > DEEPEST:
            raise UsageError(f"{self._shown()}: brackets in brackets, {self._depth} deep")
        found = self._predicate()
        if not self._take(")"):
            self._fail("and, or, or )")
        self._depth -= 1
        return found

    def _value(self, operator: str) -> float | str:
        kind = self._kind()
        if kind == "number":
            return float(self._advance())
        if kind not in ("word", "quoted") or self._symbol() in _KEYWORDS:
            self._fail("a number, a word or a quoted text")
        if operator not in ("==", "!="):
            self._fail(f"a number behind {operator}")
        symbol = self._advance()
        return symbol[1:-1] if kind == "quoted" else symbol

    def _kind(self) -> str:
        return self._symbols[self._next][0]

    def _symbol(self) -> str:
        return self._symbols[self._next][1]

    def _advance(self) -> str:
        self._next += 1
        return self._symbols[self._next - 1][1]

    def _take(self, symbol: str) -> bool:
        """Goes on if this is the next symbol; a quoted one is not."""
        is_next = self._symbol() == symbol and self._kind() in ("word", "bracket")
        self._next += is_next
        return is_next

    def _fail(self, wanted: str) -> None:
        kind, symbol, place = self._symbols[self._next]
        found = "the end" if kind == "end" else repr(symbol)
        raise UsageError(f"{self._shown()}: character {place + 1}: wanted {wanted}, found {found}")

    def _shown(self) -> str:
        return repr(self._text if len(self._text) <= 200 else f"{self._text[:200]}…")
