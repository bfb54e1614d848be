"""Fits a detector to the user's own labelled documents."""

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from textassay.anchor.anchor import Anchor, as_anchor
from textassay.calibration.file import (
    MOST_NAME,
    MOST_RATES,
    REFERENCE_SIGNAL,
    Calibration,
    calibration_of,
    packed_weights,
    shipped_weights,
)
from textassay.calibration.floors import batch_entropies, floors_of, kept_floors
from textassay.calibration.folds import count_of_groups, folds_of, joined_groups
from textassay.calibration.labelled import Labelled, LabelledFields, read_labelled
from textassay.detector import DEFAULT, FALSE_POSITIVE_RATES, pairs_of
from textassay.errors import UsageError
from textassay.scanning import Progress
from textassay.signals import LinearBins, bins_of

if TYPE_CHECKING:
    from textassay.calibration.crossing import Judged, Settings

FOLDS = 5
SHORTEST = 100
LEAST_SHORTEST = 20
FLOOR_RATE = 0.05
TRAINED_FROM = 1000
"""Documents of each side from which new weights can be trained; of fewer they are worse than the shipped ones."""


def calibrate(
    inputs: str | PathLike[str] | Iterable[str | PathLike[str]],
    *,
    text_fields: str | Sequence[str] = "text",
    label_field: str = "label",
    human_labels: str | Sequence[str] = (),
    synthetic_labels: str | Sequence[str] = (),
    group_field: str | None = None,
    group_pattern: str | None = None,
    source_field: str | None = None,
    domain_field: str | None = None,
    fpr: float | Sequence[float] = FALSE_POSITIVE_RATES,
    floor_fpr: float = FLOOR_RATE,
    folds: int = FOLDS,
    shortest: int = SHORTEST,
    train: bool = False,
    anchor: Anchor | str | PathLike[str] | None = None,
    name: str | None = None,
    threads: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Calibration:
    """Fits the shipped detector's calibrator, or with `train` its weights too, to labelled JSONL, and says what it is worth.

    `inputs` are read as `scan` reads them, twice. A label of the `label_field` (a string, a number, true or false) means
    human or synthetic by `human_labels` (default: human, 0) and `synthetic_labels` (synthetic, 1). Documents with
    the same `group_field` (of it what `group_pattern` matches: its first group, or all) are never parted, nor are identical
    texts. `fpr` are the shares of human documents that may be suspected, `floor_fpr` that of human batches below an entropy
    floor. Documents of fewer than `shortest` words are not judged. Every figure in the report is of documents whose group the
    model had not seen. The same documents in any order, with any number of threads and on either backend give the same file.

    Raises `UsageError` on settings out of range, where a side is missing or has too few documents, and where scikit-learn
    is not installed.
    """
    if find_spec("sklearn") is None:
        raise UsageError("calibrate needs scikit-learn: pip install 'textassay[calibrate]'")
    rates = _checked_rates([fpr] if isinstance(fpr, (int, float)) else fpr)
    # Two are left out at once inside a fold, and training needs a third.
    _check_range("folds", folds, 3 if train else 2, 20)
    _check_range("shortest", shortest, LEAST_SHORTEST, 100_000)
    if not 0 < floor_fpr <= 0.5:
        raise UsageError(f"floor_fpr={floor_fpr}: wanted a share above 0, up to 0.5")
    if name is not None and not 0 < len(name) <= MOST_NAME:
        raise UsageError(f"name={name[:MOST_NAME]}...: wanted a name of 1 to {MOST_NAME} characters")
    fields = LabelledFields.parse(
        _listed(text_fields),
        label_field,
        _listed(human_labels),
        _listed(synthetic_labels),
        group_field,
        group_pattern,
        source_field,
        domain_field,
    )
    documents = read_labelled(inputs, fields, anchor=as_anchor(anchor), threads=threads, on_progress=on_progress)
    content = _fitted(documents, rates, floor_fpr, folds, shortest, train, name, threads)
    return calibration_of(content, errors=tuple(documents.left_out.errors), inputs=documents.inputs)


def _checked_rates(fpr: Sequence[float]) -> tuple[float, ...]:
    rates = tuple(sorted({float(rate) for rate in fpr}))
    if not 0 < len(rates) <= MOST_RATES or not all(0 < rate <= 0.5 for rate in rates):
        raise UsageError(f"fpr={', '.join(map(str, fpr))}: wanted 1 to {MOST_RATES} shares above 0, up to 0.5")
    return rates


def _check_range(name: str, value: int, lowest: int, highest: int) -> None:
    if not isinstance(value, int) or not lowest <= value <= highest:
        raise UsageError(f"{name}={value}: wanted a whole number from {lowest} to {highest}")


def _listed(values: str | Sequence[str]) -> list[str]:
    return [values] if isinstance(values, str) else list(values)


def _fitted(
    documents: Labelled,
    rates: tuple[float, ...],
    floor_fpr: float,
    n_folds: int,
    shortest: int,
    train: bool,
    name: str | None,
    threads: int | None,
) -> dict[str, Any]:
    from threadpoolctl import threadpool_limits

    from textassay.calibration.crossing import ShippedTable, TrainedTables, cross_fit
    from textassay.calibration.report import as_shipped, notes_of, report_of

    judged, settings = _judged(documents, rates, n_folds, shortest)
    sides = [int((judged.synthetic == side).sum()) for side in (False, True)]
    if train and min(sides) < TRAINED_FROM:
        found = f"{sides[0]:,} human and {sides[1]:,} synthetic"
        raise UsageError(f"training needs {TRAINED_FROM:,} documents of each side of {shortest} words or more: {found}")
    # One thread: several would add up floats in an order of their own.
    with threadpool_limits(1):
        fitted = cross_fit(judged, ShippedTable(judged), settings)
        others = {"shipped": as_shipped(judged, shortest)}
        if train:
            others["reweighted"] = fitted.out_of_fold
            fitted = cross_fit(judged, TrainedTables(judged, threads), settings)
    human, synthetic = (batch_entropies(documents, side, threads) for side in (False, True))
    floors = floors_of(human, synthetic, floor_fpr)
    report = {
        "mode": "trained" if train else "re-weighted",
        "documents": _counts(documents, judged, shortest),
        "folds": n_folds,
        "probability": "isotonic" if settings.is_isotonic else "platt",
        **report_of(judged, fitted.out_of_fold, shortest, others),
        "floor_fpr": floor_fpr,
        "floors": floors,
        "libraries": _libraries(),
    }
    report["notes"] = notes_of(report, sides[0], judged.weights)
    return {
        "name": name or (f"{DEFAULT} trained anew" if train else f"{DEFAULT} re-weighted"),
        "weights": packed_weights(fitted.table) if train else shipped_weights(),
        "false_positive_rates": list(rates),
        **fitted.model,
        "reference": _reference(fitted.out_of_fold.logit, judged.synthetic),
        "floors": kept_floors(floors),
        "report": report,
    }


def _judged(documents: Labelled, rates: tuple[float, ...], n_folds: int, shortest: int) -> "tuple[Judged, Settings]":
    from textassay.calibration.crossing import (
        ISOTONIC_FROM,
        Judged,
        Settings,
        bands_of,
        check_enough,
        matched_weights,
        needed_humans,
    )

    for side, name in ((False, "human"), (True, "synthetic")):
        if not (documents.synthetic == side).any():
            found = f"all {len(documents.synthetic):,} labelled documents are {'human' if side else 'synthetic'}"
            raise UsageError(f"{found}: wanted {name} ones, too")
    rows = np.flatnonzero(documents.columns["n_tokens"] >= shortest)
    synthetic = documents.synthetic[rows]
    check_enough(synthetic, rates, n_folds, shortest)
    columns = {key: column[rows] for key, column in documents.columns.items()}
    group = joined_groups(documents.group_key, documents.text_key)[rows]
    fold = folds_of(group, documents.group_key[rows], synthetic, n_folds)
    words = columns["n_tokens"]
    judged = Judged(documents, rows, synthetic, columns, group, fold, matched_weights(synthetic, words))
    bands = bands_of(words[~synthetic], shortest, needed_humans(min(rates), n_folds))
    is_isotonic = min(int(synthetic.sum()), int((~synthetic).sum())) >= ISOTONIC_FROM
    return judged, Settings(rates, bands, is_isotonic)


def _counts(documents: Labelled, judged: "Judged", shortest: int) -> dict[str, Any]:
    def sides(synthetic: NDArray[np.bool_]) -> dict[str, int]:
        return {"human": int((~synthetic).sum()), "synthetic": int(synthetic.sum())}

    return {
        "labelled": sides(documents.synthetic),
        "judged": sides(judged.synthetic),
        "shortest": shortest,
        "groups": count_of_groups(judged.group, np.ones(len(judged.group), np.bool_)),
        "left_out": dict(sorted(documents.left_out.reasons.items())),
        "digest": documents.digest(),
    }


def _reference(logit: NDArray[np.float64], synthetic: NDArray[np.bool_]) -> Mapping[str, Any]:
    """Counts in the bins that a profile has for this signal (docs/semantics.md, Signal histograms)."""
    bins = bins_of(REFERENCE_SIGNAL)
    assert isinstance(bins, LinearBins)
    place = np.clip(np.floor((logit - bins.low) * bins.scale), 0, bins.count - 1).astype(np.intp)
    return {
        name: pairs_of(np.bincount(place[synthetic == side], minlength=bins.count))
        for name, side in (("human", False), ("synthetic", True))
    }


def _libraries() -> dict[str, str]:
    """What the last digits of a fit depend on."""
    import scipy
    import sklearn

    versions = {"numpy": np.__version__, "scipy": scipy.__version__, "scikit-learn": sklearn.__version__}
    return versions | {"machine": platform.machine()}
