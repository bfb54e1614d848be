"""The detector: how much a document resembles synthetic text, with the evidence. It never says what a text is.

A linear score over words, punctuation and their pairs (docs/detector-spec.md) goes with a few signals of the scan
into a calibrator of a handful of numbers. Weights and calibrator are a folder: `model.json` and a table of int8.
"""

import hashlib
import itertools
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from textassay import _backend
from textassay.atomic import replacing
from textassay.detector_items import BUCKETS, feature_buckets, item_key, item_keys, items
from textassay.errors import UsageError, reason_of
from textassay.lexicon import default_lexicon
from textassay.signals import bins_of
from textassay.texts import chunks_of
from textassay.untrusted import parse_json
from textassay.versions import unlike

if TYPE_CHECKING:
    from textassay.profile import Profile

DEFAULT = "en-1"
FORMAT = "textassay.detector/1"
FEATURES = 1
"""Version of the items, keys and buckets."""
MODEL_FILE, WEIGHTS_FILE = "model.json", "weights.bin.zst"
MODEL_LIMIT = 1 << 20

SYNTHETIC_SUSPECTED, HUMAN_UNVERIFIED, ABSTAIN = "synthetic_suspected", "human_unverified", "abstain"
WORDING = {
    SYNTHETIC_SUSPECTED: "resembles synthetic text",
    HUMAN_UNVERIFIED: "does not stand out from human text",
    ABSTAIN: "too short to tell",
}
FALSE_POSITIVE_RATES = (0.01, 0.05)

SUM, N_FEATURES = "detector_sum", "detector_features"
SIGNALS = ("n_tokens", "burstiness", "marker_rate")
"""The scan's signals that the calibrator reads beside the score."""

Columns = Mapping[str, NDArray[Any]]


def _ratio(columns: Columns) -> NDArray[np.float64]:
    return columns[SUM] / np.maximum(columns[N_FEATURES], 1)


def length_of(n_tokens: NDArray[Any]) -> NDArray[np.float64]:
    """log2, bent: straight between powers of two, so that every machine computes it exactly."""
    fraction, exponent = np.frexp(np.maximum(n_tokens, 1).astype(np.float64))
    return exponent - 2 + 2 * fraction


def _beyond_shortest(n_tokens: NDArray[Any]) -> NDArray[np.float64]:
    """Length in doublings, from just below 100 words on: not negative, so that a higher score never lowers a logit."""
    return np.maximum(length_of(n_tokens) - 6.5, 0.0)


TERMS: dict[str, Callable[[Columns], NDArray[np.float64]]] = {
    "score": _ratio,
    "score_by_length": lambda columns: _ratio(columns) * _beyond_shortest(columns["n_tokens"]),
    "length": lambda columns: length_of(columns["n_tokens"]),
    "marker_rate": lambda columns: columns["marker_rate"],
    "burstiness": lambda columns: columns["burstiness"],
}
"""What the calibrator may weigh, from the columns of a scan. Null weighs nothing."""


@dataclass(frozen=True)
class Term:
    """Contributes coefficient * (value - centre) to the logit, the value held between low and high."""

    name: str
    low: float
    high: float
    centre: float
    coefficient: float

    @property
    def largest(self) -> float:
        """What it contributes at most, in either direction."""
        return abs(self.coefficient) * max(self.centre - self.low, self.high - self.centre)

    def contribution(self, columns: Columns) -> NDArray[np.float64]:
        value = np.asarray(TERMS[self.name](columns), np.float64)
        held = np.minimum(np.maximum(value, self.low), self.high)
        return np.where(np.isnan(value), 0.0, self.coefficient * (held - self.centre))


@dataclass(frozen=True)
class Band:
    """Documents of at least so many words, and the logit above which a share of human ones lies."""

    from_words: int
    thresholds: tuple[float, ...]
    """In the order of the detector's `false_positive_rates`."""


@dataclass(frozen=True)
class Reference:
    """How the logits of human and of synthetic documents are distributed, in the bins of `synthetic_logit`."""

    human: NDArray[np.int64]
    synthetic: NDArray[np.int64]


NO_REFERENCE = Reference(np.zeros(0, np.int64), np.zeros(0, np.int64))


@dataclass(frozen=True)
class Detector:
    """Weights and calibrator, checked. `Detector.default()` or `Detector.load(folder)`."""

    name: str
    weights: NDArray[np.int8]
    terms: tuple[Term, ...]
    intercept: float
    logits: tuple[float, ...]
    probabilities: tuple[float, ...]
    """The probability at each of `logits`; between them on a straight line."""
    bands: tuple[Band, ...]
    """By length, ascending. Below the first the detector abstains."""
    digest: str
    """BLAKE2b-64 of the whole model, in hex."""
    reference: Reference = NO_REFERENCE
    """Of documents that the weights had not seen."""
    false_positive_rates: tuple[float, ...] = FALSE_POSITIVE_RATES
    """Ascending: shares of human documents that may be suspected; what the bands' thresholds are for."""
    fpr: float = FALSE_POSITIVE_RATES[0]
    """That of them by which verdicts are given."""
    is_calibrated: bool = False
    """Whether `reference` and thresholds are of the user's own kind of text."""

    @classmethod
    def default(cls) -> "Detector":
        return _shipped()

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "Detector":
        """Of a detector's folder, or of a file that `calibrate` wrote. Raises `UsageError` on anything that
        `tools/train_detector.py` or `calibrate` would not have written.
        """
        if Path(path).is_file():
            from textassay.calibration import load_calibration

            return load_calibration(path).detector
        return cls._read(Path(path), str(path))

    @classmethod
    def _read(cls, folder: Traversable, name: str) -> "Detector":
        def content(file_name: str, limit: int) -> bytes:
            try:
                with folder.joinpath(file_name).open("rb") as file:
                    return file.read(limit + 1)
            except OSError as error:
                raise UsageError(f"cannot read the detector {name}: {file_name}: {reason_of(error)}") from error

        return ModelReader(name).read(content(MODEL_FILE, MODEL_LIMIT), content(WEIGHTS_FILE, 2 * BUCKETS))

    def at(self, fpr: float) -> "Detector":
        """The same with verdicts at another of its rates. Raises `UsageError` where it has no thresholds for that."""
        if fpr not in self.false_positive_rates:
            known = " or ".join(map(str, self.false_positive_rates))
            raise UsageError(f"fpr={fpr}: the detector {self.name} has thresholds for {known}")
        return replace(self, fpr=fpr)

    @property
    def suspicion(self) -> str:
        """The reason of a document that it suspects."""
        return f"{WORDING[SYNTHETIC_SUSPECTED]} ({self.name})"

    def for_backend(self) -> Any:
        """As a scan takes it."""
        place = self.false_positive_rates.index(self.fpr)
        terms = [(term.name, term.low, term.high, term.centre, term.coefficient) for term in self.terms]
        return _backend.get().Detector(
            self.weights,
            terms=terms,
            intercept=self.intercept,
            logits=self.logits,
            probabilities=self.probabilities,
            bands=[(band.from_words, band.thresholds[place]) for band in self.bands],
        )

    def score(self, texts: Iterable[str | None]) -> dict[str, NDArray[np.int64]]:
        """`detector_sum` and `detector_features` of each text; 0 and 0 where it is None."""
        rows = []
        for chunk in chunks_of(texts):
            scores = np.zeros((chunk.n_rows, 2), np.int64)
            present = range(chunk.n_rows) if chunk.present is None else chunk.present.tolist()
            for row, begin, end in zip(present, chunk.offsets, chunk.offsets[1:], strict=False):
                scores[row] = self._score(chunk.data[begin:end].tobytes())
            rows.append(scores)
        table = np.concatenate(rows or [np.zeros((0, 2), np.int64)])
        return {SUM: table[:, 0], N_FEATURES: table[:, 1]}

    def _score(self, text: bytes) -> tuple[int, int]:
        buckets = np.concatenate(feature_buckets(item_keys(text)))
        return int(self.weights[buckets].sum(dtype=np.int64)), len(buckets)

    def columns(self, texts: Sequence[str | None]) -> dict[str, NDArray[Any]]:
        """All columns that the other methods read."""
        from textassay.measuring import measure

        table = measure(texts, SIGNALS, lexicon=default_lexicon(), detector=None, threads=1)
        return {name: table[name] for name in SIGNALS} | self.score(texts)

    def contributions(self, columns: Columns) -> dict[str, NDArray[np.float64]]:
        """What each term adds to the logit, beside the intercept."""
        return {term.name: term.contribution(columns) for term in self.terms}

    def logit(self, columns: Columns) -> NDArray[np.float64]:
        total = np.full(len(columns["n_tokens"]), self.intercept)
        for contribution in self.contributions(columns).values():
            total = total + contribution
        return total

    def probability(self, columns: Columns) -> NDArray[np.float64]:
        """That a text is synthetic, were half of all texts so; NaN where the detector abstains."""
        logit, knots = self.logit(columns), np.array(self.logits)
        levels = np.array(self.probabilities)
        at = np.clip(np.searchsorted(knots, logit, side="right") - 1, 0, len(knots) - 2)
        share = np.minimum(np.maximum((logit - knots[at]) / (knots[at + 1] - knots[at]), 0.0), 1.0)
        found = np.minimum(levels[at] + share * (levels[at + 1] - levels[at]), levels[at + 1])
        return np.where(self._abstains(columns), np.nan, found)

    def verdict(self, columns: Columns) -> NDArray[np.str_]:
        """One of `WORDING` for each document, from the columns that a scan with this detector gives (`n_tokens` and
        `synthetic_logit`), or else from those of `columns`.
        """
        verdicts = np.where(self.suspects(columns), SYNTHETIC_SUSPECTED, HUMAN_UNVERIFIED)
        return np.where(self._abstains(columns), ABSTAIN, verdicts)

    def suspects(self, columns: Columns) -> NDArray[np.bool_]:
        """Whether it suspects each document."""
        logit = columns["synthetic_logit"] if "synthetic_logit" in columns else self.logit(columns)
        suspected: NDArray[np.bool_] = (logit > self.thresholds(columns)) & ~self._abstains(columns)
        return suspected

    def thresholds(self, columns: Columns) -> NDArray[np.float64]:
        """The logit that each document is held against."""
        begins = [band.from_words for band in self.bands]
        of_band = np.array([band.thresholds[self.false_positive_rates.index(self.fpr)] for band in self.bands])
        return of_band[np.maximum(np.searchsorted(begins, columns["n_tokens"], side="right") - 1, 0)]

    def _abstains(self, columns: Columns) -> NDArray[np.bool_]:
        return ~(np.asarray(columns["n_tokens"]) >= self.bands[0].from_words)

    def explain(self, text: str, top: int = 10) -> dict[str, Any]:
        """The verdict on one text with its evidence.

        `contributions` are in logits and with `intercept` add up to `logit`. `features` are the words, punctuation
        marks and pairs that weigh most: the text, its occurrences, and what they add to the logit, most synthetic and
        most human first.
        """
        columns = self.columns([text])
        verdict, probability = str(self.verdict(columns)[0]), float(self.probability(columns)[0])
        return {
            "verdict": verdict,
            "wording": WORDING[verdict],
            "probability": None if math.isnan(probability) else probability,
            "logit": float(self.logit(columns)[0]),
            "threshold": float(self.thresholds(columns)[0]),
            "fpr": self.fpr,
            "n_tokens": int(columns["n_tokens"][0]),
            "intercept": self.intercept,
            "contributions": {name: float(value[0]) for name, value in self.contributions(columns).items()},
            "features": self._top_features(text, self._logits_a_point(columns), top),
            "detector": self.name,
        }

    def _logits_a_point(self, columns: Columns) -> float:
        """What one more point of the score adds to the logit of a document of this length."""
        coefficient = {term.name: term.coefficient for term in self.terms}
        length = float(_beyond_shortest(columns["n_tokens"])[0])
        return coefficient.get("score", 0.0) + coefficient.get("score_by_length", 0.0) * length

    def _top_features(self, text: str, logits_a_point: float, top: int) -> dict[str, list[dict[str, Any]]]:
        counts = Counter(features_of(text))
        total = max(1, sum(counts.values()))
        weighed = [
            {"text": name, "count": count, "logit": int(self.weights[bucket]) * count / total * logits_a_point}
            for (name, bucket), count in counts.items()
        ]
        weighed.sort(key=lambda feature: (-feature["logit"], feature["text"]))
        return {
            "synthetic": [feature for feature in weighed[:top] if feature["logit"] > 0],
            "human": [feature for feature in weighed[: -top - 1 : -1] if feature["logit"] < 0],
        }


DetectorChoice = Detector | str | PathLike[str] | None
"""A detector, the folder of one, "default" for the one that comes with the package, or None for none."""


@cache
def _shipped() -> Detector:
    return Detector._read(files("textassay").joinpath("detectors", DEFAULT), DEFAULT)


def package_detector_of(profile: "Profile") -> Detector | None:
    """The detector that the profile was made with, if it is the package's own: others are not at hand."""
    own = Detector.default()
    return own if profile.configuration.detector == own.digest else None


def as_detector(choice: DetectorChoice, tokens: str, lexicon: Any) -> Detector | None:
    """The detector meant. "default" is none where it has nothing to say: of tokens other than words, and beside another
    marker lexicon than the package's, with which it is calibrated.
    """
    if choice != "default":
        return choice if choice is None or isinstance(choice, Detector) else Detector.load(choice)
    has_own_lexicon = lexicon is not None and lexicon.digest != default_lexicon().digest
    return None if tokens != "word" or has_own_lexicon else Detector.default()


def features_of(text: str) -> list[tuple[str, int]]:
    """Each feature of a text as one reads it, and its bucket."""
    found = list(items(next(chunks_of([text])).data.tobytes()))
    keys = np.array([item_key(item, is_word) for item, is_word in found], np.uint32)
    names = [item.decode("utf-8", "replace") for item, _ in found]
    pairs = [f"{first} {second}" for first, second in itertools.pairwise(names)]
    buckets = np.concatenate(feature_buckets(keys)).tolist()
    return list(zip(names + pairs, buckets, strict=True))


# Reading and writing


def write_detector(folder: Path, model: Mapping[str, Any], weights: NDArray[np.int8]) -> None:
    """`model` without its `weights` part, which is made here. What is written can be read back."""
    raw = weights.astype(np.int8).tobytes()
    packed = zstandard.ZstdCompressor(level=19, write_checksum=True).compress(raw)
    whole = dict(model) | {"format": FORMAT, "features": FEATURES, "weights": {"blake2b": _digest(raw)}}
    text = json.dumps(whole, indent=1, sort_keys=True, allow_nan=False) + "\n"
    ModelReader(str(folder)).read(text.encode(), packed)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in ((WEIGHTS_FILE, packed), (MODEL_FILE, text.encode())):
        with replacing(folder / name) as stream:
            stream.write(content)


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def pairs_of(histogram: NDArray[np.integer]) -> list[list[int]]:
    """`[bin, count]` of each bin of `synthetic_logit` that holds something."""
    return [[int(at), int(histogram[at])] for at in np.flatnonzero(histogram)]


def histogram_of(pairs: Any) -> NDArray[np.int64]:
    """From what `pairs_of` gave. Raises `ValueError` on anything else."""
    size = bins_of("synthetic_logit").count
    whole = np.zeros(size, np.int64)
    if not isinstance(pairs, list) or len(pairs) > size:
        raise ValueError(f"wanted at most {size} pairs of a bin and its count")
    for pair in pairs:
        is_pair = isinstance(pair, list) and len(pair) == 2 and all(type(number) is int for number in pair)
        if not is_pair or not 0 <= pair[0] < size or not 0 < pair[1] <= _MOST_DOCUMENTS or whole[pair[0]]:
            raise ValueError(f"wanted a bin below {size}, once, and its count, found {str(pair)[:40]}")
        whole[pair[0]] = pair[1]
    return whole


_MODEL_KEYS = ("format", "name", "features", "weights", "markers", "calibrator", "bands", "reference", "training")
_MOST_DOCUMENTS = 1 << 40
_LARGEST = 1e6


class ModelReader:
    """Checks a model, hostile ones too: sizes first, then every key and number."""

    file = MODEL_FILE
    """How messages call the JSON."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rates = FALSE_POSITIVE_RATES

    def _fail(self, reason: str) -> UsageError:
        return UsageError(f"the detector {self.name}: {reason}")

    def read(self, text: bytes, packed: bytes) -> Detector:
        model = self._json(text)
        if isinstance(model, dict) and model.get("format") != FORMAT:
            raise self._fail(unlike(model.get("format"), FORMAT))
        self._keys(model, _MODEL_KEYS, "the model")
        if model["features"] != FEATURES:
            raise self._fail(f"wanted features {FEATURES}, found {str(model['features'])[:40]}")
        if not isinstance(model["name"], str) or not 0 < len(model["name"]) <= 40:
            raise self._fail("wanted a name of 1 to 40 characters")
        if model["markers"] != default_lexicon().digest:
            raise self._fail("it was calibrated with another marker lexicon than this textassay has")
        if not isinstance(model["training"], dict):
            raise self._fail("wanted an object as training")
        weights = self._weights(model["weights"], packed)
        calibrator = self._calibrator(model["calibrator"])
        return Detector(
            name=model["name"],
            weights=weights,
            bands=self._bands(model["bands"]),
            reference=self._reference(model["reference"]),
            digest=_digest(text),
            **calibrator,
        )

    def _json(self, text: bytes) -> Any:
        if len(text) > MODEL_LIMIT:
            raise self._fail(f"wanted a {self.file} of at most {MODEL_LIMIT} bytes")
        try:
            return parse_json(text)
        except ValueError as error:
            raise self._fail(f"{self.file} is no JSON: {error}") from error

    def _keys(self, found: Any, wanted: Sequence[str], where: str) -> None:
        if not isinstance(found, dict) or set(found) != set(wanted):
            keys = ", ".join(sorted(found)) if isinstance(found, dict) else type(found).__name__
            raise self._fail(f"wanted {', '.join(wanted)} in {where}, found {keys[:200]}")

    def _number(self, found: Any, where: str) -> float:
        if isinstance(found, bool) or not isinstance(found, (int, float)) or not -_LARGEST <= found <= _LARGEST:
            raise self._fail(f"wanted a number within {_LARGEST:.0f} as {where}, found {str(found)[:40]}")
        return float(found)

    def _numbers(self, found: Any, size: range, where: str) -> tuple[float, ...]:
        if not isinstance(found, list) or len(found) not in size:
            raise self._fail(f"wanted {size.start} to {size.stop - 1} numbers as {where}")
        return tuple(self._number(value, where) for value in found)

    def _weights(self, found: Any, packed: bytes) -> NDArray[np.int8]:
        self._keys(found, ("blake2b",), "weights")
        try:
            size = zstandard.frame_content_size(packed)
            if len(packed) > 2 * BUCKETS or size != BUCKETS:
                raise self._fail(f"wanted {BUCKETS} weights in one frame, found {size}")
            raw = zstandard.ZstdDecompressor().decompress(packed, BUCKETS, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise self._fail(f"{WEIGHTS_FILE} is damaged: {error}") from error
        if _digest(raw) != found["blake2b"]:
            raise self._fail(f"digest of the weights: wanted {str(found['blake2b'])[:40]}, found {_digest(raw)}")
        return np.frombuffer(raw, np.int8)

    def _calibrator(self, found: Any) -> dict[str, Any]:
        self._keys(found, ("terms", "intercept", "logits", "probabilities"), "the calibrator")
        if not isinstance(found["terms"], list) or not 0 < len(found["terms"]) <= len(TERMS):
            raise self._fail(f"wanted 1 to {len(TERMS)} terms")
        terms = tuple(self._term(term) for term in found["terms"])
        if len({term.name for term in terms}) != len(terms):
            raise self._fail("a term is there twice")
        logits = self._numbers(found["logits"], range(2, 257), "logits")
        probabilities = self._numbers(found["probabilities"], range(len(logits), len(logits) + 1), "probabilities")
        if any(b <= a for a, b in itertools.pairwise(logits)):
            raise self._fail("wanted ascending logits")
        ascending = all(b >= a for a, b in itertools.pairwise(probabilities))
        if not ascending or probabilities[0] < 0 or probabilities[-1] > 1:
            raise self._fail("wanted probabilities from 0 to 1 that never fall")
        intercept = self._number(found["intercept"], "the intercept")
        if abs(intercept) + sum(term.largest for term in terms) > _LARGEST:
            raise self._fail(f"wanted terms that give logits within {_LARGEST:.0f}")
        return {"terms": terms, "intercept": intercept, "logits": logits, "probabilities": probabilities}

    def _term(self, found: Any) -> Term:
        self._keys(found, ("name", "low", "high", "centre", "coefficient"), "a term")
        if not isinstance(found["name"], str) or found["name"] not in TERMS:
            raise self._fail(f"wanted one of {', '.join(TERMS)} as a term, found {str(found['name'])[:40]!r}")
        numbers = {key: self._number(found[key], key) for key in ("low", "high", "centre", "coefficient")}
        if not numbers["low"] <= numbers["centre"] <= numbers["high"]:
            raise self._fail(f"wanted the centre of {found['name']} between low and high")
        return Term(found["name"], **numbers)

    def _reference(self, found: Any) -> Reference:
        self._keys(found, ("human", "synthetic"), "the reference")
        return Reference(self._histogram(found["human"]), self._histogram(found["synthetic"]))

    def _histogram(self, found: Any) -> NDArray[np.int64]:
        try:
            return histogram_of(found)
        except ValueError as error:
            raise self._fail(f"reference: {error}") from error

    def _bands(self, found: Any) -> tuple[Band, ...]:
        if not isinstance(found, list) or not 0 < len(found) <= 16:
            raise self._fail("wanted 1 to 16 bands")
        bands = tuple(self._band(band) for band in found)
        if any(b.from_words <= a.from_words for a, b in itertools.pairwise(bands)):
            raise self._fail("wanted bands of ascending length")
        return bands

    def _band(self, found: Any) -> Band:
        self._keys(found, ("from_words", "thresholds"), "a band")
        count = len(self.rates)
        thresholds = self._numbers(found["thresholds"], range(count, count + 1), "thresholds")
        if any(b > a for a, b in itertools.pairwise(thresholds)):
            raise self._fail("wanted a higher threshold for a lower rate of false positives")
        words = found["from_words"]
        if not isinstance(words, int) or isinstance(words, bool) or not 1 <= words <= _LARGEST:
            raise self._fail(f"wanted a number of words from 1 on as from_words, found {str(words)[:40]}")
        return Band(words, thresholds)
