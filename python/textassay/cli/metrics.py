"""`--metrics-textfile` and `--metrics-label`, which several commands have."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

from textassay.cli.options import option
from textassay.errors import UsageError

MetricsTextfile = Annotated[
    Path | None,
    option(
        "metrics-textfile",
        "Also write the figures for Prometheus: a file for node_exporter's textfile collector, *.prom.",
        show_default=False,
    ),
]
MetricsLabels = Annotated[
    list[str],
    option("metrics-label", "NAME=VALUE, a label of all samples; may be given several times.", show_default=False),
]


def metrics_writer(path: Path | None, labels: list[str]) -> Callable[[Mapping[str, Any]], None]:
    """What writes a summary's figures to `path`, or does nothing without one. What can be wrong is found here, before the work."""
    from textassay.metrics import check_place, checked_labels, write_metrics

    found = dict(checked_labels(dict(map(_pair, labels))))
    if path is None:
        return lambda summary: None
    check_place(path)
    return lambda summary: write_metrics(path, summary, found)


def _pair(label: str) -> tuple[str, str]:
    name, equals, value = label.partition("=")
    if not equals:
        raise UsageError(f"--metrics-label {label}: wanted NAME=VALUE")
    return name, value
