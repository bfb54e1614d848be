"""The terminal view of a comparison: the answer first, then what it is made of, effects before p-values."""

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from textassay.cli.render import (
    BAD,
    FIGURE,
    GOOD,
    LABEL,
    NOTE,
    clean,
    clean_path,
    console,
    decimal,
    filled,
    number,
    share,
    table_of,
)
from textassay.comparison import Comparison, Timeline
from textassay.features import Feature
from textassay.movers import Mover
from textassay.signal_drift import SignalDrift
from textassay.signals import is_integer

ROWS = 10
NAMED = 4
NO_TAIL = "no tail: the rarest tokens of the reference are seen less than three times"
_NOTABLE = 0.15
"""Cliff's delta of a signal that the headline names; conventionally a small effect (Romano et al. 2006)."""


def print_timeline(timeline: Timeline) -> None:
    """Prints one comparison in full, several as a table."""
    if len(timeline.comparisons) == 1:
        parts = _comparison(timeline.comparisons[0])
    else:
        parts = [_headline(timeline.comparisons[-1]), _series(timeline), _changes(timeline)]
    console().print(Group(*(Padding(part, (0, 0, 1, 1)) for part in parts)))


def _comparison(comparison: Comparison) -> list[RenderableType]:
    parts = [_headline(comparison), _distances(comparison)]
    words = (("Rising", comparison.rising), ("Falling", comparison.falling))
    pairs = (("Rising 2-grams", comparison.rising_bigrams), ("Falling 2-grams", comparison.falling_bigrams))
    for title, movers in (*words, *pairs):
        if movers:
            parts.append(_words(title, movers))
    for title, movers in (("Vanished", comparison.vanished), ("New", comparison.new)):
        if movers:
            parts.append(_one_sided(title, movers))
    if comparison.signals:
        parts.append(_signals(comparison.signals))
    themes = [feature for feature in comparison.features if feature.kind == "theme"]
    if themes:
        parts.append(_themes(themes))
    parts += [
        Text(f"not compared, since {reason}: {', '.join(names)}", NOTE)
        for reason, names in _by_reason(comparison.signals_left_out).items()
    ]
    return parts


def _by_reason(left_out: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        found.setdefault(reason, []).append(name)
    return found


def _headline(comparison: Comparison) -> RenderableType:
    figures = comparison.figures
    line = Text("textassay  ", "bold cyan").append(_name(comparison), "bold").append(" has moved ")
    line.append(f"{decimal(figures['jsd_bits'])} bits", "bold").append(" from ")
    line.append(clean_path(comparison.reference.name, 48), "bold")
    line.append(f" (of 1 at most; {decimal(figures['jsd_by_chance_bits'])} would be chance)", NOTE)
    mostly = _mostly(comparison)
    lines = [line, Text("mostly: " + "; ".join(mostly)) if mostly else Text("nothing stands out", GOOD)]
    if comparison.is_estimate:
        error = comparison.standard_errors.get("jsd_bits")
        lines.append(Text(f"past the type limit: figures are estimates, ± {decimal(error)} bits", "yellow"))
    return Group(*lines)


def _name(comparison: Comparison) -> str:
    return clean(comparison.label, 48)


def _mostly(comparison: Comparison) -> list[str]:
    parts = []
    for word, movers in (("more", comparison.rising), ("fewer", comparison.falling)):
        significant = [mover for mover in movers if mover.q_value < 0.05][:NAMED]
        if significant:
            parts.append(f"{word} " + ", ".join(clean(mover.token, 20) for mover in significant))
    moved = [drift for drift in comparison.signals if abs(drift.cliffs_delta or 0) >= _NOTABLE]
    moved.sort(key=lambda drift: -abs(drift.cliffs_delta or 0))
    parts += [
        f"{drift.signal} {'up' if (drift.cliffs_delta or 0) > 0 else 'down'} ({_signed(drift.cliffs_delta, 2)})"
        for drift in moved[:NAMED]
    ]
    kept = comparison.figures["tail_retention"]
    if kept is not None and kept < 0.9:
        parts.append(f"{share(1 - kept)} of the rare words lost")
    return parts


def _distances(comparison: Comparison) -> RenderableType:
    table = table_of("Distance", ("", LABEL), ("", FIGURE, "right"), ("", NOTE))
    figures, errors = comparison.figures, comparison.standard_errors
    n = number(comparison.rarefied["n"])

    def row(name: str, value: str, note: str, figure: str) -> None:
        error = errors.get(figure)
        table.add_row(name, value, f"± {decimal(error)}; {note}" if error else note)

    row(
        "Jensen-Shannon",
        f"{decimal(figures['jsd_bits'])} bits",
        "0 where equal, 1 where no token is shared",
        "jsd_bits",
    )
    row(
        "Kullback-Leibler",
        f"{decimal(figures['kl_bits'])} bits",
        "of the current corpus against the reference",
        "kl_bits",
    )
    row("total variation", share(figures["total_variation"]), "of the tokens would have to change", "total_variation")
    low, high = (_signed(figures[f"delta_entropy_{end}_bits"]) for end in ("low", "high"))
    entropy = f"95 %: {low} to {high}; at equal size {_signed(figures['rarefied_delta_entropy_bits'])}"
    row("entropy", f"{_signed(figures['delta_entropy_bits'])} bits", entropy, "delta_entropy_bits")
    ratio = figures["rarefied_types_ratio"]
    here, there = (number(comparison.rarefied[side]["n_types"]) for side in ("reference", "current"))
    row("types", f"×{decimal(ratio, 2)}", f"at equal size: {here} → {there} in {n} tokens", "rarefied_types_ratio")
    by_decade = (
        f"{share(row['retention'])} of those seen {row['decade']}–{10 * row['decade'] - 1}×"
        for row in comparison.tail_retention
    )
    row("tail kept", share(figures["tail_retention"]), ", ".join(by_decade) or NO_TAIL, "tail_retention")
    return table


def _words(title: str, movers: Sequence[Mover]) -> RenderableType:
    columns = (("", LABEL), ("times", FIGURE, "right"), ("per million", "", "right"), ("z", NOTE, "right"))
    table = table_of(title, *columns, ("q", NOTE, "right"))
    for mover in movers[:ROWS]:
        rates = f"{_rate(mover.reference_per_million)} → {_rate(mover.current_per_million)}"
        table.add_row(clean(mover.token, 30), _times(mover), rates, decimal(mover.z, 1), _small(mover.q_value))
    return table


def _times(mover: Mover) -> str:
    times = 2**mover.log2_ratio
    return f"×{number(times)}" if times >= 0.1 else f"×{times:.2g}"


def _rate(value: float) -> str:
    return "0" if value == 0 else f"{value:.2g}" if value < 1 else number(value)


def _small(value: float | None) -> str:
    return "–" if value is None else "<1e-9" if value < 1e-9 else f"{value:.1g}"


def _signed(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:+.{digits}f}"


def _one_sided(title: str, movers: Sequence[Mover]) -> RenderableType:
    words = [
        Text(clean(mover.token, 20)).append(f" {number(mover.reference or mover.current)}×", NOTE)
        for mover in movers[:ROWS]
    ]
    return filled(Text(f"{title:<10}", "bold"), words)


def _signals(drifts: Sequence[SignalDrift]) -> RenderableType:
    columns = (("", LABEL), ("Cliff's δ", FIGURE, "right"), ("median", "", "right"), ("bits", "", "right"))
    table = table_of("Signals", *columns, ("chance", NOTE, "right"), ("KS", NOTE, "right"), ("q", NOTE, "right"))
    for drift in sorted(drifts, key=lambda drift: -abs(drift.cliffs_delta or 0)):
        show = number if is_integer(drift.signal) else decimal
        medians = f"{show(drift.reference['median'])} → {show(drift.current['median'])}"
        bits = decimal(drift.jsd_bits), decimal(drift.jsd_by_chance_bits)
        table.add_row(
            drift.signal,
            _signed(drift.cliffs_delta, 2),
            medians,
            *bits,
            decimal(drift.ks_statistic, 2),
            _small(drift.ks_q_value),
        )
    return table


def _themes(themes: Sequence[Feature]) -> RenderableType:
    table = table_of(
        "Themes", ("", LABEL), ("bits", FIGURE, "right"), ("of a document", "", "right"), ("for example", NOTE)
    )
    for theme in themes[:ROWS]:
        means = f"{share(theme.reference)} → {share(theme.current)}"
        example = clean(theme.examples[0], 34) if theme.examples else ""
        table.add_row(clean(theme.name, 34), decimal(theme.bits), means, example)
    return table


def _series(timeline: Timeline) -> RenderableType:
    columns = (("", LABEL), ("tokens", "", "right"), ("JSD bits", FIGURE, "right"), ("Δ entropy", "", "right"))
    columns += (("types", "", "right"), ("tail kept", "", "right"))
    table = table_of("Against the reference", *columns)
    for comparison in timeline.comparisons:
        figures = comparison.figures
        table.add_row(
            _name(comparison),
            number(comparison.current.n_tokens),
            decimal(figures["jsd_bits"]),
            _signed(figures["delta_entropy_bits"]),
            f"×{decimal(figures['rarefied_types_ratio'], 2)}",
            share(figures["tail_retention"]),
        )
    return table


def _changes(timeline: Timeline) -> RenderableType:
    lines = []
    for name, points in timeline.change_points.items():
        for point in points:
            place = clean(timeline.comparisons[point.index].label, 48)
            size = "" if point.size is None else f", {point.size:.1f} times the noise"
            lines.append(Text(f"{name} changes at {place}: {point.before:.3f} → {point.after:.3f}{size}", BAD))
    if lines:
        return Group(*lines)
    return Text("No change of level is found in the series.", GOOD)
