"""The audit in a training loop, and the chart that sees a drift."""

import json
import math
import random
import statistics
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textassay import BatchAuditor, UsageError, batch_entropy_audit
from textassay.drift import DownwardDrift, DriftSettings, _normal_score

VOCABULARY = 500


def batches(n, seed=0, exponent=1.3, size=(8, 256)):
    rng = np.random.default_rng(seed)
    shares = 1 / np.arange(1, VOCABULARY + 1) ** exponent
    return [rng.choice(VOCABULARY, size, p=shares / shares.sum()) for _ in range(n)]


class Tensor:
    """What torch shows of a tensor, no more."""

    def __init__(self, ids, device="cuda"):
        self._ids, self.device, self.requires_grad = ids, device, True

    def detach(self):
        return self._as(requires_grad=False)

    def cpu(self):
        return self._as(device="cpu")

    def _as(self, **values):
        other = Tensor(self._ids, self.device)
        other.requires_grad = self.requires_grad
        other.__dict__.update(values)
        return other

    def __array__(self, dtype=None, copy=None):
        if self.device != "cpu" or self.requires_grad:
            raise TypeError("can't convert")
        return self._ids


class OnlyDlpack:
    def __init__(self, ids, error=None):
        self._ids, self._error = ids, error

    def __dlpack__(self, **options):
        if self._error is not None:
            raise self._error
        return self._ids.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._ids.__dlpack_device__()


FORMS = {
    "numpy": lambda ids: ids,
    "int32": lambda ids: ids.astype(np.int32),
    "big-endian": lambda ids: ids.astype(">u2"),
    "strided": lambda ids: np.repeat(ids, 2, axis=1)[:, ::2],
    "list": lambda ids: ids.tolist(),
    "tensor": Tensor,
    "list of tensors": lambda ids: [Tensor(row, "cpu") for row in ids],
    "dlpack": OnlyDlpack,
}


@pytest.mark.parametrize("form", FORMS)
def test_as_batch_entropy_audit(backend, form):
    auditor = BatchAuditor(VOCABULARY, floor=5.0)
    for step, ids in enumerate(batches(3)):
        found = auditor.update(FORMS[form](ids))
        wanted = batch_entropy_audit(ids, VOCABULARY, floor=5.0)
        assert {name: found[name] for name in wanted} == wanted
        assert (found["step"], found["drift"], found["drift_since"]) == (step, False, None)
    json.dumps(found)


def test_torch_is_not_imported():
    BatchAuditor(VOCABULARY).update(Tensor(batches(1)[0]))
    assert "torch" not in sys.modules


def test_an_array_that_cannot_be_reached():
    with pytest.raises(TypeError, match="wanted an array in the CPU's memory: on a device"):
        BatchAuditor(VOCABULARY).update(OnlyDlpack(None, BufferError("on a device")))


def test_ignored_ids():
    ids = batches(1)[0]
    padded = np.concatenate([ids, np.full((8, 100), -100)], axis=1)
    found = BatchAuditor(VOCABULARY, ignore_id=-100).update(padded)
    assert found["entropy_bits"] == batch_entropy_audit(ids, VOCABULARY)["entropy_bits"]
    pad = BatchAuditor(VOCABULARY, ignore_id=0).update(ids)
    assert pad["entropy_bits"] == batch_entropy_audit(ids[ids != 0], VOCABULARY)["entropy_bits"]
    padded[2, 3] = VOCABULARY
    with pytest.raises(ValueError, match=r"token_ids\[2, 3\] is 500: wanted an id from 0 to 499"):
        BatchAuditor(VOCABULARY, ignore_id=-100).update(padded)
    with pytest.raises(ValueError, match="the batch is empty"):
        BatchAuditor(VOCABULARY, ignore_id=1).update([1, 1])


def test_a_refused_batch_is_not_counted():
    auditor = BatchAuditor(VOCABULARY)
    with pytest.raises(ValueError, match="is 500"):
        auditor.update([1, 500])
    assert auditor.update([1, 2])["step"] == 0
    assert len(auditor.history) == 1


def test_without_a_floor():
    found = BatchAuditor(VOCABULARY).update([1, 1])
    assert (found["below_floor"], found["synthetic_risk"], found["action"]) == (None, "LOW", "PROCEED")


def test_a_slow_drift_is_seen_long_before_a_floor():
    """The exponent of the frequencies creeps up; no batch is odd, and none comes near half the entropy."""
    auditor = BatchAuditor(VOCABULARY, floor=4.0, baseline_batches=100)
    good = [auditor.update(ids) for ids in batches(300)]
    assert not any(found["drift"] for found in good)
    flagged = None
    for step in range(300, 500):
        found = auditor.update(batches(1, step, 1.3 + 0.0005 * (step - 300))[0])
        assert not found["below_floor"]
        if found["drift"] and flagged is None:
            flagged = found
    assert flagged is not None and flagged["step"] < 420
    assert 290 <= flagged["drift_since"] <= 350
    assert (flagged["synthetic_risk"], flagged["action"]) == ("HIGH", "HOLD_FOR_REVIEW")


def test_a_rise_is_no_drift():
    auditor = BatchAuditor(VOCABULARY, baseline_batches=50)
    found = [auditor.update(ids) for ids in [*batches(100), *batches(100, 1, 1.1)]]
    assert not any(one["drift"] for one in found)


def test_one_odd_batch_is_no_drift_and_recovery_ends_one():
    auditor = BatchAuditor(VOCABULARY, baseline_batches=50)
    for ids in batches(80):
        auditor.update(ids)
    assert not auditor.update(np.zeros((8, 256), int))["drift"]
    for ids in batches(200, 3, 1.6):
        found = auditor.update(ids)
    assert found["drift"] and found["cusum"] == 20
    recovered = [auditor.update(ids)["drift"] for ids in batches(100, 4)]
    assert not recovered[-1]


def test_batches_of_another_size_say_nothing_of_drift():
    auditor = BatchAuditor(VOCABULARY, baseline_batches=50)
    for ids in batches(80):
        auditor.update(ids)
    for ids in batches(60, 5, size=(2, 256)):
        found = auditor.update(ids)
    assert found["entropy_bits"] < 5.6 and not found["drift"] and found["step"] == 139


def test_history_is_bounded():
    auditor = BatchAuditor(VOCABULARY, history=5)
    entropies = [auditor.update(ids)["entropy_bits"] for ids in batches(12)]
    assert auditor.history["step"].tolist() == list(range(7, 12))
    assert np.round(auditor.history["entropy_bits"], 3).tolist() == entropies[7:]
    none = BatchAuditor(VOCABULARY, history=0)
    none.update([1, 2])
    assert len(none.history) == 0


def test_state_goes_through_json():
    whole, first = BatchAuditor(VOCABULARY, baseline_batches=20), BatchAuditor(VOCABULARY, baseline_batches=20)
    ids = [*batches(30), *batches(30, 1, 1.36)]
    wanted = [whole.update(one) for one in ids]
    assert wanted[-1]["cusum"] > 0
    for cut in (0, 7, 40):
        first = BatchAuditor(VOCABULARY, baseline_batches=20)
        for one in ids[:cut]:
            first.update(one)
        second = BatchAuditor(VOCABULARY, floor=3.0, baseline_batches=20)
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        found = [second.update(one) for one in ids[cut:]]
        assert [one["cusum"] for one in found] == [one["cusum"] for one in wanted[cut:]]
        assert [one["step"] for one in found] == [one["step"] for one in wanted[cut:]]
        assert second.history["step"].tolist() == whole.history["step"].tolist()


@pytest.mark.parametrize(
    "change",
    [
        lambda state: {},
        lambda state: [],
        lambda state: state | {"more": 1},
        lambda state: state | {"version": 2},
        lambda state: state | {"vocab_size": 7},
        lambda state: state | {"step": "x"},
        lambda state: state | {"since": []},
        lambda state: state | {"history": [[1, 2]]},
        lambda state: state | {"drift": {}},
        lambda state: state | {"drift": state["drift"] | {"mean": None}},
        lambda state: state | {"drift": state["drift"] | {"settings": state["drift"]["settings"] | {"slack": 9.0}}},
        lambda state: state | {"drift": state["drift"] | {"settings": {"slack": 9.0}}},
    ],
)
def test_foreign_states_are_refused(change):
    auditor = BatchAuditor(VOCABULARY)
    for ids in batches(3):
        auditor.update(ids)
    before = auditor.state_dict()
    with pytest.raises(UsageError):
        auditor.load_state_dict(change(before))
    assert auditor.state_dict() == before


@pytest.mark.parametrize(
    "options",
    [
        {"vocab_size": 0},
        {"floor": -1},
        {"floor": math.nan},
        {"history": -1},
        {"baseline": (1.0,)},
        {"baseline": (math.nan, 1.0)},
        {"baseline": (9.0, -1.0)},
        {"baseline_batches": 2},
        {"slack": -0.1},
        {"threshold": 0},
        {"least_sd": 0},
    ],
)
def test_settings_out_of_range(options):
    with pytest.raises(UsageError, match="wanted"):
        BatchAuditor(**{"vocab_size": 10, **options})


def test_threads_wait_for_each_other(backend):
    auditor, ids = BatchAuditor(VOCABULARY, history=1000), batches(4, size=(64, 1024))
    alone = [batch_entropy_audit(one, VOCABULARY)["entropy_bits"] for one in ids]
    wrong = []

    def work(place):
        for _ in range(20):
            if auditor.update(ids[place])["entropy_bits"] != alone[place]:
                wrong.append(place)

    threads = [threading.Thread(target=work, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and auditor.history["step"].tolist() == list(range(80))


# The chart


def naive_statistics(values, mean, sd, slack, threshold):
    """Page's sums from their definition: the greatest sum of scores over any run that ends here, cut at twice the threshold."""
    scores = [min(max((mean - value) / sd, -4.0), 4.0) - slack for value in values]
    sums, last = [], 0.0
    for score in scores:
        last = min(max(0.0, last + score), 2 * threshold)
        sums.append(last)
    return sums


@given(st.lists(st.floats(5, 12), max_size=40))
def test_chart_with_a_known_baseline(values):
    chart = DownwardDrift(DriftSettings(baseline=(9.0, 0.5), threshold=4.0))
    for value, wanted in zip(values, naive_statistics(values, 9.0, 0.5, 0.5, 4.0), strict=True):
        assert chart.update(value) == (wanted > 4.0)
        assert chart.statistic == pytest.approx(wanted, abs=1e-12)


def test_what_is_learnt_is_mean_and_deviation_and_then_stays():
    values = [random.Random(1).gauss(9, 0.2) for _ in range(30)]
    chart = DownwardDrift(DriftSettings(baseline_size=30))
    for value in [*values, *[5.0] * 20]:
        chart.update(value)
    assert chart.mean == pytest.approx(statistics.mean(values))
    assert math.sqrt(chart.squares / 29) == pytest.approx(statistics.stdev(values))


@pytest.mark.parametrize("freedom", [5, 10, 50, 200])
def test_normal_scores(freedom):
    scipy_stats = pytest.importorskip("scipy.stats")
    for t in (-4.0, -1.0, -0.1, 0.0, 0.5, 2.0, 4.0):
        assert _normal_score(t, freedom) == pytest.approx(scipy_stats.norm.isf(scipy_stats.t.sf(t, freedom)), abs=0.02)


def test_false_alarms_are_rare_and_drops_are_found_soon():
    """Of 60 runs of 2,000 independent values hardly one raises an alarm; a drop by one deviation is found within 60 values."""
    numbers = random.Random(5)
    alarms, delays = 0, []
    for _ in range(60):
        chart = DownwardDrift(DriftSettings())
        alarms += any(chart.update(numbers.gauss(9, 0.2)) for _ in range(2000))
        delays.append(next(n for n in range(1, 1000) if chart.update(numbers.gauss(8.8, 0.2))))
    assert alarms <= 4
    assert statistics.mean(delays) < 40


def test_equal_values_are_no_drift_whatever_their_deviation():
    chart = DownwardDrift(DriftSettings(baseline_size=10))
    assert not any(chart.update(9.0) for _ in range(50))
    assert not any(chart.update(8.998) for _ in range(50)), "less than the least deviation"
    assert any(chart.update(8.9) for _ in range(50))
