"""The published three-signal classifier: its keys, digits, votes and thresholds, as published."""

from pathlib import Path

import pytest

import textassay as ta
from textassay.errors import AnchorError, UsageError

SAMPLE = Path(__file__).parent.parent / "examples" / "sample.jsonl.zst"
FLAT = "The cat sat on the mat. The dog sat on the mat. The cat sat on the mat. The dog sat on the mat."
LIVELY = "Stop! When at last the weary travellers, soaked and hungry, came down from the pass, nobody met them. Why?"


@pytest.fixture(scope="module")
def anchor(tmp_path_factory):
    path = tmp_path_factory.mktemp("classifier") / "novels.anchor"
    ta.build_anchor([SAMPLE], path)
    return path


def test_keys_and_digits(backend, anchor):
    found = ta.ProvenanceClassifier(anchor).classify(FLAT)
    assert list(found) == ["perplexity", "burstiness", "type_token_ratio", "signals", "verdict", "confidence"]
    assert list(found["signals"]) == ["low_perplexity", "low_burstiness", "low_vocab_richness"]
    row = ta.measure([FLAT], anchor=anchor)
    assert found["perplexity"] == round(row["perplexity"][0], 1)
    assert found["burstiness"] == round(row["burstiness"][0], 3) == 0
    assert found["type_token_ratio"] == round(6 / 24, 3)


def test_votes(backend, anchor):
    """Flat text has two votes; with every threshold raised or lowered it has three or none."""
    flat = ta.ProvenanceClassifier(anchor).classify(FLAT)
    assert flat["signals"] == {"low_perplexity": False, "low_burstiness": True, "low_vocab_richness": True}
    assert (flat["verdict"], flat["confidence"]) == ("SYNTHETIC", "MEDIUM")
    raised = ta.ProvenanceClassifier(anchor, perplexity=1e9).classify(FLAT)
    assert (raised["verdict"], raised["confidence"]) == ("SYNTHETIC", "HIGH")
    one = ta.ProvenanceClassifier(anchor, type_token_ratio=0.1).classify(FLAT)
    assert (one["verdict"], one["confidence"]) == ("LIKELY_HUMAN", "LOW")
    none = ta.ProvenanceClassifier(anchor).classify(LIVELY)
    assert set(none["signals"].values()) == {False}
    assert (none["verdict"], none["confidence"]) == ("LIKELY_HUMAN", "LOW")


def test_thresholds_are_exclusive(anchor):
    """A value at the threshold is not below it."""
    ratio = ta.measure([FLAT], ["type_token_ratio"])["type_token_ratio"][0]
    at = ta.ProvenanceClassifier(anchor, type_token_ratio=ratio).classify(FLAT)
    assert not at["signals"]["low_vocab_richness"]


def test_many_texts_at_once(backend, anchor):
    classifier = ta.ProvenanceClassifier(anchor)
    texts = [FLAT, LIVELY, "", "One sentence only"] * 20
    assert classifier.classify_all(texts) == [classifier.classify(text) for text in texts]
    assert classifier.classify_all([]) == []


def test_what_a_text_is_too_short_for_is_none_and_has_no_vote(anchor):
    empty = ta.ProvenanceClassifier(anchor).classify("")
    assert (empty["perplexity"], empty["burstiness"], empty["type_token_ratio"]) == (None, None, None)
    assert empty["verdict"] == "LIKELY_HUMAN" and not any(empty["signals"].values())
    assert ta.ProvenanceClassifier(anchor).classify("One sentence only")["burstiness"] is None


def test_bad_arguments(anchor, tmp_path):
    with pytest.raises(UsageError, match="burstiness"):
        ta.ProvenanceClassifier(anchor, burstiness=0)
    with pytest.raises(AnchorError):
        ta.ProvenanceClassifier(tmp_path / "none.anchor")
