"""Numbers, names and text of a corpus, fit for people to read: on a terminal, in a report."""

from collections.abc import Mapping

_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def clean(text: str, longest: int = 60) -> str:
    """Text of a corpus, fit for a terminal and a page: no control or format characters, no line break, not too long."""
    # A token may be as long as a record: what lies behind `longest` characters is cut off anyway.
    start = text[: longest + 1]
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in start)
    shown = shown.replace("##[", "\\x23#[")  # which acts on the log of a workflow, wherever it stands
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def clean_path(path: str, longest: int = 36) -> str:
    """A file name fit for a terminal and a page; of a long one the end."""
    shown = clean(path[-longest - 1 :], 10 * longest + 10)
    return shown if len(shown) <= longest else f"…{shown[1 - longest :]}"


def number(value: float | None) -> str:
    """1,234 or 12.3 M; small numbers that are not whole get two digits."""
    if value is None:
        return "–"
    if abs(value) < 9_999.5:
        return f"{value:,.2f}" if value != round(value) and abs(value) < 99.5 else f"{value:,.0f}"
    factor, unit = next(pair for pair in _UNITS if abs(value) >= 0.9995 * pair[0])
    scaled = value / factor
    digits = 0 if scaled >= 99.95 else 1 if scaled >= 9.995 else 2
    return f"{scaled:.{digits}f} {unit}"


def two_digits(value: float) -> str:
    return f"{value:.2g}" if value < 100 else number(value)


def counted(value: float | None, noun: str, plural: str = "") -> str:
    """`1 file`, `2 files`; `plural` where that is no s."""
    return f"{number(value)} {noun if value == 1 else plural or f'{noun}s'}"


def size(value: float | None) -> str:
    return "–" if value is None else f"{number(value)}{'' if value >= 10_000 else ' '}B"


def entropy_range(quantiles: Mapping[str, float]) -> str:
    """Of batches, most of them: from the 5th to the 95th percentile; one figure where all have the same."""
    low, middle, high = (decimal(quantiles[key], 2) for key in ("0.05", "0.5", "0.95"))
    return f"entropy {middle} bits" if low == high else f"entropy {low} to {high} bits, median {middle}"


def decimal(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f} %"
