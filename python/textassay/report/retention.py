"""Tail retention as a picture, which several pages have."""

from collections.abc import Mapping, Sequence
from typing import Any

from textassay.report.answer import percent
from textassay.report.chart import tick
from textassay.report.figures import Bars, bars
from textassay.report.page import Picture
from textassay.tail_retention import LEAST_RARE


def retention_picture(decades: Sequence[Mapping[str, Any]], whose: str) -> list[Picture]:
    """Of each decade of frequency the share of rare words that are left; nothing where there is no tail."""
    if not decades:
        return []
    rows = []
    for row in decades:
        error = row["standard_error"]
        words = f"{percent(row['retention'])}{'' if error is None else f' ± {percent(error)}'}"
        rows.append(
            Bars(f"{max(LEAST_RARE, row['decade'])} to {tick(10 * row['decade'] - 1)}", (row["retention"],), (words,))
        )
    description = "; ".join(f"seen {row.label} times in {whose}: {row.words[0]}" for row in rows)
    caption = (
        f"Of the rare words of {whose}, by how often it holds them: how many are here, of those to be expected in a sample of this size. "
        "Other topics and authors lower it, too."
    )
    highest = max(1.0, *(row["retention"] for row in decades))
    return [
        Picture(
            "Tail retention", caption, bars("retention", description, rows, [("kept", "corpus")], highest, whole=1.0)
        )
    ]
