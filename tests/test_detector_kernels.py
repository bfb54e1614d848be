"""The detector inside a scan: the same bits as its Python form, in every implementation, cut, merged, or asked for otherwise."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

import textassay as ta
from implementations import BACKENDS, on_every_implementation
from test_detector import HUMAN, SYNTHETIC
from textassay.detector import ABSTAIN, Detector
from textassay.errors import UsageError
from textassay.lexicon import Lexicon, default_lexicon

SHARDS = Path(__file__).parent.parent / "examples" / "shards"
SIGNALS = ("synthetic_logit", "synthetic_probability")
ODD = (
    "",
    "...",
    " \n\t ",
    "a\u00a0 b\u2028\u3000c! \u201cd\u201d\u2003e\u205ff\u1680g",
    "\u0085\u200b\ufeff",
    "\u65e5\u672c\u8a9e\u306e\u6587\u7ae0\u3002 caf\u00e9 na\u00efve \U0001f600\U0001f469\u200d\U0001f467 don't 3.14",
    "((((((((((nine marks and more)))))))))) " * 60,
    "word " * 99,
    "word " * 100,
    "x\u0301y" * 300,
)


def real_texts():
    texts = []
    for path in sorted(SHARDS.glob("*.zst")):
        with path.open("rb") as stream:
            lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(stream), encoding="utf-8")
            texts += [json.loads(line)["text"] for _, line in zip(range(15), lines, strict=False)]
    return texts


TEXTS = (*ODD, *HUMAN, *SYNTHETIC, *real_texts(), " ".join(HUMAN) * 60)


def measured(module, texts, signals=SIGNALS, **options):
    data = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, data)])
    measurer = module.Measurer(list(signals), markers=default_lexicon().phrases, **options)
    return measurer.measure(np.frombuffer(b"".join(data), np.uint8), offsets)


@pytest.fixture(scope="module")
def expected():
    """As detector.py computes it, text by text, from the items."""
    detector = Detector.default()
    columns = detector.columns(TEXTS)
    abstains = detector.verdict(columns) == ABSTAIN
    return np.where(abstains, np.nan, detector.logit(columns)), detector.probability(columns)


@on_every_implementation
def test_scan_and_specification_agree_to_the_bit(implementation, expected):
    module = implementation.use()
    found = measured(module, TEXTS, detector=backend_detector(module))
    assert np.array_equal(found["synthetic_logit"], expected[0], equal_nan=True)
    assert np.array_equal(found["synthetic_probability"], expected[1], equal_nan=True)


def backend_detector(module):
    detector = Detector.default()
    terms = [(t.name, t.low, t.high, t.centre, t.coefficient) for t in detector.terms]
    numbers = {name: getattr(detector, name) for name in ("intercept", "logits", "probabilities")}
    bands = [(band.from_words, band.thresholds[0]) for band in detector.bands]
    return module.Detector(detector.weights, terms=terms, bands=bands, **numbers)


_PIECES = st.sampled_from(["word", "the", "\u201cso", "it's", " ", "  ", "\n", ", ", ". ", "\u2014", "\u3000", "\u00a0", "!?", "...", "\u65e5\u672c", "e\u0301"])  # fmt: skip


@given(st.lists(_PIECES, min_size=80, max_size=400).map("".join))
def test_any_text_scores_the_same(text):
    detector = Detector.default()
    columns = detector.columns([text])
    wanted = np.where(detector.verdict(columns) == ABSTAIN, np.nan, detector.logit(columns))
    for implementation in BACKENDS:
        module = implementation.use()
        found = measured(module, [text], detector=backend_detector(module))["synthetic_logit"]
        assert np.array_equal(found, wanted, equal_nan=True)


def test_it_tells_the_examples_apart(backend):
    found = ta.measure([*HUMAN, *SYNTHETIC], SIGNALS, detector=Detector.default())["synthetic_probability"]
    assert found[: len(HUMAN)].max() < 0.5 < found[len(HUMAN) :].min()


def test_white_space_leaves_no_trace(backend):
    detector = Detector.default()
    plain, wrapped = " ".join(SYNTHETIC[0].split()), "\n\n  ".join(SYNTHETIC[0].split())
    logits = ta.measure([plain, wrapped], ["synthetic_logit"], detector=detector)["synthetic_logit"]
    scores = detector.score([plain, wrapped])
    assert len(set(scores["detector_sum"].tolist())) == 1
    assert abs(logits[0] - logits[1]) < 0.2  # burstiness may see other sentences


def test_other_signals_do_not_matter(backend):
    """The marker rate and burstiness that it needs are measured whether asked for or not, and not shown then."""
    detector = Detector.default()
    alone = ta.measure(TEXTS[-5:], ["synthetic_logit"], detector=detector)
    among = ta.measure(TEXTS[-5:], "all", detector=detector)
    assert np.array_equal(alone["synthetic_logit"], among["synthetic_logit"], equal_nan=True)
    assert set(alone.columns) == {"synthetic_logit", "n_replaced"}


def test_default_signals_and_nulls(backend):
    assert not {*SIGNALS, "provenance"} & set(ta.measure(["x"], detector=None).columns)
    assert {*SIGNALS, "provenance"} <= set(ta.measure(["x"]).columns)
    assert np.isnan(ta.measure([SYNTHETIC[0]], SIGNALS, detector=None)["synthetic_logit"]).all()
    assert not set(SIGNALS) & set(ta.measure(["x"], tokens="char").columns)
    assert not set(SIGNALS) & set(ta.measure(["x"], lexicon=Lexicon(((b"own",),))).columns)


def test_scan_with_a_detector_obeys_the_laws(backend):
    detector = Detector.default()
    whole = ta.scan([SHARDS], detector=detector, threads=2)
    assert whole.profile.configuration.detector == detector.digest
    parts = [ta.scan([path], detector=detector, threads=1).profile for path in sorted(SHARDS.glob("*.zst"))]
    merged = parts[-1]
    for part in parts[:-1]:
        merged = merged | part
    assert merged.serialize() == whole.profile.serialize()
    found = whole.summary["documents"]["synthetic_probability"]
    assert found["n"] > 100 and found["n"] + found["null"] == whole.summary["corpus"]["n_documents"]
    without = ta.scan([SHARDS], signals=whole.profile.configuration.signals, detector=None).profile
    with pytest.raises(UsageError, match="detector is"):
        _ = whole.profile | without


def test_what_makes_no_sense_is_refused(backend):
    detector = Detector.default()
    with pytest.raises(UsageError, match="reads words"):
        ta.measure(["a"], tokens="char", detector=detector)
    with pytest.raises(UsageError, match="marker lexicon"):
        ta.measure(["a"], detector=detector, lexicon=Lexicon(((b"own",),)))
    weights = np.zeros(1 << 18, np.int8)
    fitting = {"terms": [], "intercept": 0.0, "logits": [0.0, 1.0], "probabilities": [0.0, 1.0], "bands": [(1, 0.0)]}
    for wrong in ({"terms": [("no_such", 0, 1, 0, 1)]}, {"logits": [1.0, 0.0]}, {"logits": [0.0]}, {"probabilities": [1.0]}, {"bands": []}):  # fmt: skip
        with pytest.raises(ValueError, match="term|logits|bands"):
            backend.Detector(weights, **fitting | wrong)
    with pytest.raises(ValueError, match="weights"):
        backend.Detector(weights[:-1], **fitting)
