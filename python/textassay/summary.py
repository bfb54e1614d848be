"""summary.json: the figures of a scan or of a merge, as one JSON object."""

from collections.abc import Mapping, Sequence
from typing import Any

from textassay.anchor.anchor import Anchor
from textassay.detector import Detector
from textassay.profile import Profile
from textassay.share import synthetic_fraction
from textassay.tokenizer import Tokenizer

SCHEMA = "textassay.summary/1"
ACCOUNTS = ("bytes_parsed", "bytes_malformed", "bytes_blank", "bytes_too_long", "bytes_lost")
DAMAGED_SHOWN = 100


def summary_of(
    profile: Profile,
    inputs: Mapping[str, Any],
    batches: Mapping[str, Any],
    detector: Detector | None = None,
    anchor: Anchor | None = None,
    tokenizer: Tokenizer | None = None,
) -> dict[str, Any]:
    """Equal for equal input: `performance` is for the caller to add. `provenance` is there if something gave labels.

    `detector`, `anchor` and `tokenizer` are those that the profile was made with, if they are at hand: the synthetic share of the
    corpus is estimated with the first two, the last one names the ids.
    """
    summary = {
        "schema": SCHEMA,
        "configuration": _configuration(profile),
        "inputs": dict(inputs),
        "corpus": profile.summary(tokenizer),
        "documents": profile.distributions(),
        "batches": {
            "n_batches": profile.totals()["n_batches"],
            "batch_tokens": profile.configuration.batch_tokens,
            **batches,
            "distributions": profile.batch_distributions(),
        },
    }
    if anchor is not None and profile.configuration.anchor:
        summary["anchor"] = anchor.identity()
    provenance = profile.provenance()
    if provenance is not None:
        summary["provenance"] = provenance | {"synthetic_fraction": synthetic_fraction(profile, detector, anchor)}
    return summary


def _configuration(profile: Profile) -> dict[str, Any]:
    mine = profile.configuration
    return {
        "tokens": mine.tokens,
        "tokenizer": mine.tokenizer,
        "signals": list(mine.signals),
        "max_types": mine.max_types,
        "markers": mine.markers,
        "anchor": mine.anchor,
        "detector": mine.detector,
        "unicode": mine.unicode,
    }


def inputs_of(names: Sequence[str], outcomes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What became of every input byte. `outcomes` are a backend's FileOutcomes, one for each name.

    `accounted` holds uncompressed bytes, which add up to `bytes` (law 2); `bytes_lost` alone is compressed bytes
    behind a damage.
    """

    def total(key: str) -> int:
        return sum(int(outcome[key]) for outcome in outcomes)

    reasons: dict[str, int] = {}
    for outcome in outcomes:
        for reason, number in outcome["malformed_by_reason"].items():
            reasons[reason] = reasons.get(reason, 0) + int(number)
    accounted = {key: total(key) for key in ACCOUNTS}
    damaged = [
        damage(name, outcome) for name, outcome in zip(names, outcomes, strict=True) if outcome["status"] != "ok"
    ]
    return {
        "files": len(outcomes),
        "files_damaged": len(damaged),
        "bytes": total("bytes"),
        "bytes_compressed": total("bytes_compressed"),
        "lines": total("lines"),
        "documents": total("documents"),
        "malformed": total("malformed"),
        "malformed_by_reason": dict(sorted(reasons.items())),
        "frames": total("frames"),
        "frames_without_checksum": total("frames_without_checksum"),
        "accounted": accounted,
        "balanced": sum(accounted.values()) - accounted["bytes_lost"] == total("bytes"),
        "damaged": damaged[:DAMAGED_SHOWN],
    }


_COUNTS = (
    "bytes",
    "bytes_compressed",
    "lines",
    "documents",
    "malformed",
    "frames",
    "frames_without_checksum",
    *ACCOUNTS,
)
_DAMAGE = ("status", "reason", "byte_offset", "compressed_offset", "bytes_lost")


def check_outcome(found: Mapping[str, Any]) -> None:
    """Raises `ValueError` or `KeyError` on an outcome, out of a manifest, that `inputs_of` could not add up."""
    reasons, places = found["malformed_by_reason"], [found[key] for key in _DAMAGE[2:]]
    counts = [*(found[name] for name in _COUNTS), *places]
    if not isinstance(reasons, dict) or not all(type(one) is int and one >= 0 for one in (*counts, *reasons.values())):
        raise ValueError("wanted counts of what became of an input")
    if not all(isinstance(found[key], str) for key in _DAMAGE[:2]):
        raise ValueError("wanted the status of an input, and its reason")


def is_damaged(inputs: Mapping[str, Any], malformed_budget: float = 0) -> bool:
    """Of what `inputs_of` returned: was a file damaged, or were more records malformed than the budget allows?

    A budget below 1 is a share of all records, otherwise a number of them.
    """
    allowed = malformed_budget
    if 0 < malformed_budget < 1:
        allowed = malformed_budget * (inputs["malformed"] + inputs["documents"])
    return inputs["files_damaged"] > 0 or inputs["malformed"] > allowed


def damage(name: str, outcome: Mapping[str, Any]) -> dict[str, Any]:
    """Where and why a file ended early."""
    return {"file": name} | {key: outcome[key] for key in _DAMAGE}
