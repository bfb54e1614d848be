"""Entropy floors of batches: where so few human batches lie below that a batch below is worth a look.

Batches of human and of synthetic text hardly differ in entropy, and the figures here say how little.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay.calibration.figures import LEAST_DOCUMENTS, auroc, share_of
from textassay.calibration.labelled import Labelled
from textassay.configuration import configure
from textassay.measuring import make_measurer

KINDS = ("word", "char")
"""What a token is. The published floor of 3.2 bits is on the scale of characters."""
SIZES = tuple(1 << power for power in range(10, 21, 2))
MAX_TYPES = 1 << 10
"""Of the histogram over all batches, which nobody looks at; a batch counts all of its types."""
PUBLISHED_FLOOR = 3.2

Entropies = dict[tuple[str, int], list[float]]


def batch_entropies(documents: Labelled, side: bool, threads: int | None = None) -> Entropies:
    """Plug-in entropy in bits, ascending, of every full batch of one side, by kind of token and size.

    A batch is of one source and one domain, as a shard mostly is, in the order of the documents' keys: the order that
    they came in does not matter.
    """
    found: Entropies = {(kind, size): [] for kind in KINDS for size in SIZES}
    stratum = documents.source * len(documents.domains) + documents.domain
    for place in np.unique(stratum):
        rows = np.flatnonzero((stratum == place) & (documents.synthetic == side))
        if len(rows):
            _add_batches(found, documents, rows, threads)
    return {key: sorted(values) for key, values in found.items()}


def _add_batches(found: Entropies, documents: Labelled, rows: NDArray[np.intp], threads: int | None) -> None:
    measurers = {}
    for kind, size in found:
        configuration, lexicon = configure(["n_tokens"], kind, size, MAX_TYPES, None)
        measurers[kind, size] = make_measurer(configuration, lexicon, threads=threads)
    for data, offsets in documents.texts.chunks(rows):
        for measurer in measurers.values():
            measurer.update(data, offsets)
    for key, measurer in measurers.items():
        found[key] += measurer.batches()["entropy_bits"].tolist()


def floors_of(human: Entropies, synthetic: Entropies, rate: float) -> list[dict[str, Any]]:
    """A row for each kind of token and size of batch: `tokens` (kind), `batch_tokens`, `floor_bits`, the shares of
    `human` and `synthetic` batches below it, `auroc` (how well low entropy tells synthetic batches; 0.5: not at all),
    and, for characters, the shares below the `published` floor.

    The floor is the k-th least entropy of n human batches, k = rate (n + 1) rounded down: of further batches of the
    kind at most `rate` lie below on average, whatever their distribution (split conformal prediction, Vovk et al. 2005).
    None where k is 0: there are too few batches.
    """
    rows = []
    for kind, size in human:
        ours, theirs = np.array(human[kind, size]), np.array(synthetic[kind, size])
        place = int(rate * (len(ours) + 1) + 1e-9)
        floor = float(ours[place - 1]) if place else None
        row: dict[str, Any] = {"tokens": kind, "batch_tokens": size, "floor_bits": floor}
        row |= _shares_below(ours, theirs, floor)
        row["auroc"] = _tells_apart(ours, theirs)
        if kind == "char":
            row["published"] = _shares_below(ours, theirs, PUBLISHED_FLOOR)
        rows.append(row)
    return rows


def _shares_below(human: NDArray[Any], synthetic: NDArray[Any], floor: float | None) -> dict[str, Any]:
    sides = (("human", human), ("synthetic", synthetic))
    if floor is None:
        return {name: share_of(0, 0) | {"n": len(values)} for name, values in sides}
    return {name: share_of(int((values < floor).sum()), len(values)) for name, values in sides}


def _tells_apart(human: NDArray[Any], synthetic: NDArray[Any]) -> float | None:
    if min(len(human), len(synthetic)) < LEAST_DOCUMENTS:
        return None
    is_synthetic = np.arange(len(human) + len(synthetic)) >= len(human)
    return auroc(is_synthetic, -np.concatenate([human, synthetic]))


def kept_floors(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the file keeps for use: the floors that there are."""
    kept = ("tokens", "batch_tokens", "floor_bits")
    return [{name: row[name] for name in kept} for row in rows if row["floor_bits"] is not None]
