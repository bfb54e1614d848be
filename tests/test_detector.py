"""The detector: its score to the bit, its verdicts, and what it refuses to load."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

import naive_detector
from implementations import BACKENDS
from textassay import UsageError, _backend
from textassay.detector import (
    ABSTAIN,
    DEFAULT,
    HUMAN_UNVERIFIED,
    MODEL_FILE,
    SYNTHETIC_SUSPECTED,
    TERMS,
    WEIGHTS_FILE,
    WORDING,
    Detector,
    features_of,
    length_of,
    write_detector,
)
from textassay.detector_items import BUCKETS, feature_buckets, item_key, item_keys, items

SHIPPED = Path(__file__).parent.parent / "python" / "textassay" / "detectors" / DEFAULT

HUMAN = (
    """We got to Kezi's about ten past six, which was late, and the dog had already been sick in the car. Twice. Mum said
    nothing but you could see her doing the sums: petrol, vet, new mats. I hung about by the gate. Kezi came out in her
    wellies and shouted something at me that the wind took, so I just waved. She'd cut her own fringe again. It looked
    dreadful. "Don't," she said, when she got near. "I know. Dad's already had a go." So I didn't. We put the dog in the
    shed with some newspaper and a bowl, and he went straight to sleep on her brother's football kit, the good one, and
    neither of us felt like moving him. That was the start of it really. If we'd shifted him then, none of the rest
    would have happened, or not that week anyway.""",
    """Right, so I tried the pump thing again last night. No luck. Same hiss, then it just dies after maybe 20 secs. I
    pulled the filter (filthy, my fault, hadn't touched it since spring) and ran it dry like Pete told me to, and for
    a bit I thought that had done it, because it sounded ok and the light stayed green. Then off it went again. Rang the
    shop this morning. Bloke there reckons it's the seal, says they all go on that model after a couple of years, and
    he wants forty quid for a bit of rubber. I told him where to put it. Anyway has anyone here actually swapped one of
    these themselves? I've got the tools, more or less, I just don't want to get halfway in and find I need some daft
    three sided screwdriver. Cheers, and sorry for the ramble, it's been a long week.""",
)
SYNTHETIC = (
    """In conclusion, effective time management is a crucial skill that can significantly enhance both personal and
    professional success. By setting clear goals, prioritizing tasks, and maintaining a healthy work-life balance,
    individuals can navigate the complexities of modern life with greater confidence and resilience. It's important to
    note that developing these habits requires patience and consistent effort. Furthermore, embracing technology can
    provide valuable tools for staying organized, while regular reflection fosters a deeper understanding of one's
    strengths and areas for improvement. Ultimately, the journey toward better time management is not just about
    productivity; it is a testament to the power of intentional living. By cultivating these practices, we can create a
    more meaningful and fulfilling future, ensuring that every moment contributes to our overall growth and well-being.""",
    """As the sun dipped below the horizon, casting a warm golden glow over the quiet village, Elara felt a profound
    sense of wonder wash over her. The ancient lighthouse stood tall against the fading light, a silent guardian of
    countless untold stories. She took a deep breath, her heart pounding with a mixture of fear and determination. Every
    step along the winding path seemed to whisper of forgotten dreams, and the gentle rhythm of the waves echoed like a
    lullaby. Despite the challenges that lay ahead, she knew that she could not turn back. With newfound resolve, she
    reached for the weathered door, ready to uncover the secrets hidden within. In that moment, she realized that the
    true journey was not about the destination, but about the courage to embrace the unknown and the bonds that would
    guide her home.""",
)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector.default()


def columns_of(n_tokens, score, n_features=None, **signals):
    n_tokens = np.atleast_1d(np.asarray(n_tokens, np.float64))
    features = np.full(len(n_tokens), 10**6, np.int64) if n_features is None else n_features
    sums = np.rint(np.broadcast_to(score, n_tokens.shape) * features).astype(np.int64)
    nothing = np.full(len(n_tokens), np.nan)
    return {
        "n_tokens": n_tokens,
        "detector_sum": sums,
        "detector_features": features,
        "burstiness": nothing,
        "marker_rate": nothing,
    } | signals


# The score


CASES = [
    "",
    " \n\t ",
    "word",
    "...",
    "One, two. Three",
    '"Well," she said. "No."',
    "a--b\u2014c \u2026 (d)",
    "tabs\tand\u00a0no-break\u3000wide\u2028lines\u0085next\u1680x\u200a\u205f\u202fy",
    "zero\u200bwidth \ufeff \u180e stay",
    "x " + "=" * 100 + " y",
    "x \u2014\u2014\u2014\u2014 y",
    "x \u2764\ufe0f\u2764\ufe0f\u2764\ufe0f y",
    "ça ÉTÉ ǅ ſ K 漢字 ひらがな ไทย 3.14 can't e\u0301",
    "\x00 a \x00 b",
    "“Curly,” ‘quotes’.",
]


@pytest.mark.parametrize("text", CASES)
def test_keys_and_buckets_are_the_naive_ones(backend, text):
    assert item_keys(text.encode()).tolist() == naive_detector.keys(text)
    assert np.concatenate(feature_buckets(item_keys(text.encode()))).tolist() == naive_detector.buckets(text)


@pytest.mark.parametrize("implementation", BACKENDS, ids=str)
@given(text=st.text(st.sampled_from(list("aBé.,;'\"- \n\t\u00a0\u2003\u2014\u0301漢3\U0001f600\x00")), max_size=60))
def test_any_text_has_the_naive_score(implementation, text):
    with _backend.using(implementation.backend):
        weights = (np.arange(BUCKETS) * 37 % 251 - 125).astype(np.int8)
        found = _with_weights(weights).score([text])
    assert (found["detector_sum"][0], found["detector_features"][0]) == naive_detector.score(text, weights)


def _with_weights(weights):
    shipped = Detector.default()
    return Detector(**{name: getattr(shipped, name) for name in shipped.__dataclass_fields__} | {"weights": weights})


def test_shipped_weights_on_real_text(backend, detector):
    for text in (*HUMAN, *SYNTHETIC):
        found = detector.score([text])
        assert (found["detector_sum"][0], found["detector_features"][0]) == naive_detector.score(text, detector.weights)


def test_the_sum_does_not_wrap(detector):
    """A document of nothing but the heaviest weight: far beyond 8, 16 and 32 bits."""
    weights = np.full(BUCKETS, -128, np.int8)
    found = _with_weights(weights).score(["a " * 200_000])
    assert found["detector_sum"][0] == -128 * found["detector_features"][0] == -128 * 399_999


def test_a_gap_is_eight_bytes_without_white_space(backend):
    assert list(items(b"x =\t= = = = = = = = = y.")) == [
        (b"x", True),
        (b"========", False),
        (b"y", True),
        (b".", False),
    ]
    assert list(items("x\u2014\u2014\u2014y".encode()))[1] == ("\u2014\u2014\u2014".encode()[:8], False)


def test_white_space_leaves_no_trace(backend, detector):
    for text in (*HUMAN, *SYNTHETIC):
        collapsed = " ".join(text.split())
        assert item_keys(text.encode()).tolist() == item_keys(collapsed.encode()).tolist()
        assert item_keys(re.sub(" ", "\n\n  ", collapsed).encode()).tolist() == item_keys(collapsed.encode()).tolist()


def test_words_keep_their_hash_and_gaps_are_not_words(backend):
    assert item_key(b"the", True) == _backend.get().token_hash(b"the") >> 32
    assert item_key(b"-", False) != item_key(b"-", True)


def test_features_read_as_text():
    names = [name for name, _ in features_of("It is. Is it?")]
    assert names == ["it", "is", ".", "is", "it", "?", "it is", "is .", ". is", "is it", "it ?"]
    assert [bucket for _, bucket in features_of("It is.")] == naive_detector.buckets("It is.")
    assert features_of("") == []


def test_surrogates_and_nulls(detector):
    found = detector.score([None, "a\ud800b", "a\ufffdb", ""])
    assert found["detector_features"].tolist() == [0, 5, 5, 0]
    assert found["detector_sum"][1] == found["detector_sum"][2]
    assert detector.score([])["detector_sum"].tolist() == []


# Verdicts


def test_samples_fall_on_the_right_side(backend, detector):
    human, synthetic = detector.columns(HUMAN), detector.columns(SYNTHETIC)
    assert detector.at(0.05).verdict(human).tolist() == [HUMAN_UNVERIFIED] * 2
    assert detector.at(0.05).verdict(synthetic).tolist() == [SYNTHETIC_SUSPECTED] * 2
    assert detector.probability(human).max() < 0.4
    assert detector.probability(synthetic).min() > 0.7


def test_below_a_hundred_words_it_abstains(detector):
    columns = columns_of([0, 1, 99, 100, np.nan], 100.0)
    assert detector.verdict(columns).tolist() == [ABSTAIN] * 3 + [SYNTHETIC_SUSPECTED, ABSTAIN]
    assert np.isnan(detector.probability(columns)).tolist() == [True, True, True, False, True]


def test_a_text_without_features_is_no_division_by_zero(detector):
    columns = columns_of([0], 0.0, np.zeros(1, np.int64))
    assert np.isfinite(detector.logit(columns)).all()


def test_probability_never_falls_with_the_score(detector):
    for n_tokens in (100, 150, 250, 1000, 10**6):
        scores = np.linspace(-128, 127, 2000)
        probability = detector.probability(columns_of(np.full(2000, n_tokens), scores))
        assert (np.diff(probability) >= 0).all()
        assert 0 <= probability[0] < 0.5 < probability[-1] <= 1


def test_probability_is_the_table(detector):
    """At its knots, between them, and beyond both ends."""
    scores = np.linspace(-128, 127, 500)
    columns = columns_of(np.full(500, 300), scores)
    wanted = np.interp(detector.logit(columns), detector.logits, detector.probabilities)
    assert detector.probability(columns) == pytest.approx(wanted, rel=1e-12)


def test_a_lower_rate_suspects_no_more(detector):
    columns = columns_of(np.full(2000, 300), np.linspace(-60, 60, 2000))
    strict, lax = (detector.at(fpr).verdict(columns) == SYNTHETIC_SUSPECTED for fpr in (0.01, 0.05))
    assert (strict <= lax).all() and strict.sum() < lax.sum()
    with pytest.raises(UsageError, match=r"fpr=0\.02.*0\.01 or 0\.05"):
        detector.at(0.02)


def test_each_length_has_its_threshold(detector):
    columns = columns_of([100, 199, 200, 399, 400, 10**6], 0.0)
    bands = [band.thresholds[1] for band in detector.bands]
    assert detector.at(0.05).thresholds(columns).tolist() == [b for b in bands for _ in range(2)]


def test_null_signals_weigh_nothing(detector):
    assert detector.contributions(columns_of([300], 1.0))["burstiness"].tolist() == [0.0]


def test_length_is_exact_at_powers_of_two_and_rises():
    assert length_of(np.array([1, 2, 3, 4, 128, 192, 1 << 40])).tolist() == [0, 1, 1.5, 2, 7, 7.5, 40]
    assert (np.diff(length_of(np.arange(1, 5000))) > 0).all()


def test_explanation_adds_up(backend, detector):
    for text in (*HUMAN, *SYNTHETIC):
        found = detector.at(0.05).explain(text)
        assert found["logit"] == pytest.approx(found["intercept"] + sum(found["contributions"].values()), rel=1e-12)
        assert found["verdict"] == (SYNTHETIC_SUSPECTED if found["logit"] > found["threshold"] else HUMAN_UNVERIFIED)
        assert set(found["contributions"]) == set(TERMS)
        for side, sign in (("synthetic", 1), ("human", -1)):
            logits = [sign * feature["logit"] for feature in found["features"][side]]
            assert len(logits) == 10 and logits == sorted(logits, reverse=True) and logits[-1] > 0
        json.dumps(found, allow_nan=False)


def test_top_features_are_in_the_text(detector):
    found = detector.explain(SYNTHETIC[0], top=5)["features"]["synthetic"]
    names = [name for name, _ in features_of(SYNTHETIC[0])]
    assert len(found) == 5 and all(names.count(feature["text"]) == feature["count"] for feature in found)


def test_explaining_hardly_anything(detector):
    for text in ("", "...", "One word"):
        found = detector.explain(text)
        assert (found["verdict"], found["probability"]) == (ABSTAIN, None)


def test_the_words_are_resembles():
    assert WORDING[SYNTHETIC_SUSPECTED] == "resembles synthetic text"
    assert not any(re.search(r"\bis\b", wording) for wording in WORDING.values())


# The shipped files, and hostile ones


def test_shipped_files_are_small():
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 300_000
    assert {path.name for path in SHIPPED.iterdir()} == {MODEL_FILE, WEIGHTS_FILE}


def test_written_again_the_files_are_the_same(tmp_path, detector):
    model = json.loads((SHIPPED / MODEL_FILE).read_text())
    for folder in ("a", "b"):
        write_detector(tmp_path / folder, model, detector.weights)
    for name in (MODEL_FILE, WEIGHTS_FILE):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert Detector.load(tmp_path / "a").digest == detector.digest


@pytest.fixture
def copied(tmp_path):
    return Path(shutil.copytree(SHIPPED, tmp_path / "copied"))


def edit(folder: Path, change) -> None:
    model = json.loads((folder / MODEL_FILE).read_text())
    change(model)
    (folder / MODEL_FILE).write_text(json.dumps(model))


HOSTILE_MODELS = {
    "unknown key": lambda m: m.update(more=1),
    "missing key": lambda m: m.pop("bands"),
    "unknown key in a term": lambda m: m["calibrator"]["terms"][0].update(more=1),
    "unknown key in weights": lambda m: m["weights"].update(path="/etc/passwd"),
    "unknown term": lambda m: m["calibrator"]["terms"][0].update(name="__class__"),
    "term no string": lambda m: m["calibrator"]["terms"][0].update(name=["score"]),
    "term twice": lambda m: m["calibrator"]["terms"].append(m["calibrator"]["terms"][0]),
    "no term": lambda m: m["calibrator"].update(terms=[]),
    "terms no list": lambda m: m["calibrator"].update(terms={}),
    "calibrator no object": lambda m: m.update(calibrator=[1]),
    "other format": lambda m: m.update(format="textassay.detector/2"),
    "other features": lambda m: m.update(features=2),
    "name no string": lambda m: m.update(name=7),
    "endless name": lambda m: m.update(name="x" * 1000),
    "other markers": lambda m: m.update(markers="0" * 16),
    "training no object": lambda m: m.update(training=None),
    "number as text": lambda m: m["calibrator"].update(intercept="0"),
    "truth as number": lambda m: m["calibrator"].update(intercept=True),
    "huge number": lambda m: m["calibrator"].update(intercept=1e300),
    "huge integer": lambda m: m["calibrator"].update(intercept=10**400),
    "logits beyond all bounds": lambda m: m["calibrator"]["terms"][0].update(high=1e6, coefficient=1e6),
    "centre outside": lambda m: m["calibrator"]["terms"][0].update(centre=1e5),
    "logits fall": lambda m: m["calibrator"]["logits"].reverse(),
    "logits twice": lambda m: m["calibrator"]["logits"].__setitem__(1, m["calibrator"]["logits"][0]),
    "one logit": lambda m: m["calibrator"].update(logits=[0.0], probabilities=[0.5]),
    "too many logits": lambda m: m["calibrator"].update(logits=list(range(1000)), probabilities=[0.5] * 1000),
    "probabilities fall": lambda m: m["calibrator"]["probabilities"].reverse(),
    "probability above 1": lambda m: m["calibrator"]["probabilities"].__setitem__(-1, 1.1),
    "probability below 0": lambda m: m["calibrator"]["probabilities"].__setitem__(0, -0.1),
    "a probability too few": lambda m: m["calibrator"]["probabilities"].pop(),
    "no band": lambda m: m.update(bands=[]),
    "bands fall": lambda m: m["bands"].reverse(),
    "band of no length": lambda m: m["bands"][0].update(from_words=0),
    "band of half a word": lambda m: m["bands"][0].update(from_words=100.5),
    "thresholds the wrong way": lambda m: m["bands"][0]["thresholds"].reverse(),
    "a threshold too many": lambda m: m["bands"][0]["thresholds"].append(0.0),
    "digest of the weights": lambda m: m["weights"].update(blake2b="0" * 16),
    "digest no string": lambda m: m["weights"].update(blake2b=None),
}


@pytest.mark.parametrize("change", HOSTILE_MODELS.values(), ids=HOSTILE_MODELS)
def test_hostile_models(copied, change):
    edit(copied, change)
    with pytest.raises(UsageError, match="detector .*copied"):
        Detector.load(copied)


HOSTILE_TEXTS = {
    "no JSON": b"{",
    "empty": b"",
    "no UTF-8": b"\xff",
    "a list": b"[]",
    "deeply nested": b"[" * 100_000,
    "too long": b" " * (2 << 20),
    "a key twice": b'{"name": "a", "name": "b"}',
    "NaN": b'{"name": NaN}',
    "endless digits": b'{"name": ' + b"9" * 10_000 + b"}",
}


@pytest.mark.parametrize("text", HOSTILE_TEXTS.values(), ids=HOSTILE_TEXTS)
def test_hostile_texts(copied, text):
    (copied / MODEL_FILE).write_bytes(text)
    with pytest.raises(UsageError, match="detector .*copied"):
        Detector.load(copied)


def test_nan_in_place_of_a_number(copied):
    text = re.sub(r'"intercept": [^,]+', '"intercept": NaN', (copied / MODEL_FILE).read_text())
    (copied / MODEL_FILE).write_text(text)
    with pytest.raises(UsageError, match="NaN is no finite number"):
        Detector.load(copied)


def frame(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


HOSTILE_WEIGHTS = {
    "empty": lambda packed: b"",
    "no frame": lambda packed: bytes(100),
    "cut": lambda packed: packed[:-1000],
    "cut to a header": lambda packed: packed[:12],
    "flipped": lambda packed: packed[:5000] + bytes([packed[5000] ^ 1]) + packed[5001:],
    "more behind it": lambda packed: packed + b"x",
    "two frames": lambda packed: packed + packed,
    "too few": lambda packed: frame(bytes(BUCKETS - 1)),
    "too many": lambda packed: frame(bytes(BUCKETS + 1)),
    "a bomb": lambda packed: frame(bytes(1 << 28)),
    "size unsaid": lambda packed: zstandard.ZstdCompressor(write_content_size=False).compress(bytes(BUCKETS)),
    "other weights": lambda packed: frame(bytes(BUCKETS)),
    "a long file": lambda packed: bytes(1 << 22),
}


@pytest.mark.parametrize("change", HOSTILE_WEIGHTS.values(), ids=HOSTILE_WEIGHTS)
def test_hostile_weights(copied, change):
    packed = (copied / WEIGHTS_FILE).read_bytes()
    (copied / WEIGHTS_FILE).write_bytes(change(packed))
    with pytest.raises(UsageError, match="detector .*copied"):
        Detector.load(copied)


@pytest.mark.parametrize("name", [MODEL_FILE, WEIGHTS_FILE])
def test_files_that_are_not_there(copied, name):
    (copied / name).unlink()
    with pytest.raises(UsageError, match=f"(?s)cannot read the detector.*{re.escape(name)}"):
        Detector.load(copied)


def test_weights_cannot_be_changed(detector):
    with pytest.raises(ValueError, match="read-only"):
        detector.weights[0] = 1
