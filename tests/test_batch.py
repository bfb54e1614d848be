"""The published batch audit."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textassay import batch_entropy_audit

FORMS = {
    "list": lambda ids: ids,
    "tuple": tuple,
    "nested": lambda ids: [ids[:2], ids[2:], []],
    "deep": lambda ids: [[ids[:1], [ids[1:3]]], ids[3:]],
    "mixed": lambda ids: [ids[0], ids[1:]] if ids else [],
    "numpy in a list": lambda ids: [np.array(ids[:2], np.int32), np.array(ids[2:], np.uint64)],
    "numpy scalars": lambda ids: [np.int16(i) for i in ids],
    **{
        kind: lambda ids, kind=kind: np.array(ids, kind)
        for kind in ("i1", "u1", "<i2", ">i2", "u2", "i4", "u4", "i8", ">u8")
    },
    "matrix": lambda ids: np.array(ids * 2, np.int32).reshape(2, -1),
    "strided": lambda ids: np.repeat(np.array(ids, np.int64), 2)[::2],
    "Fortran order": lambda ids: np.asfortranarray(np.array(ids * 4, np.int64).reshape(4, -1)),
}

IDS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9]


def audit_by_hand(ids, floor):
    n = len(ids)
    entropy = -math.fsum(c / n * math.log2(c / n) for c in Counter(ids).values())
    below = entropy < floor
    return {
        "entropy_bits": round(entropy, 3),
        "type_token_ratio": round(len(set(ids)) / n, 4),
        "below_floor": below,
        "synthetic_risk": "HIGH" if below else "LOW",
        "action": "HOLD_FOR_REVIEW" if below else "PROCEED",
    }


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_ids(backend, form):
    found = batch_entropy_audit(FORMS[form](IDS), 10, floor=3.0)
    wanted = audit_by_hand(IDS, 3.0)
    if form in ("matrix", "Fortran order"):  # the same ids several times: the same shares, fewer types a token
        wanted["type_token_ratio"] = found["type_token_ratio"]
    assert found == wanted
    assert list(found) == ["entropy_bits", "type_token_ratio", "below_floor", "synthetic_risk", "action"]
    assert type(found["below_floor"]) is bool and type(found["entropy_bits"]) is float


@given(st.lists(st.lists(st.integers(0, 50), max_size=30), min_size=1, max_size=5).filter(any))
def test_any_batch(sequences):
    flat = [one for sequence in sequences for one in sequence]
    assert batch_entropy_audit(sequences, 51) == audit_by_hand(flat, 3.2)


def test_the_floor_of_the_article(backend):
    low = batch_entropy_audit([[1, 1, 1, 2], [1, 2, 3]], 100)
    assert (low["below_floor"], low["synthetic_risk"], low["action"]) == (True, "HIGH", "HOLD_FOR_REVIEW")
    high = batch_entropy_audit(list(range(100)), 100)
    assert high == {
        "entropy_bits": 6.644,
        "type_token_ratio": 1.0,
        "below_floor": False,
        "synthetic_risk": "LOW",
        "action": "PROCEED",
    }


def test_one_id_has_no_entropy(backend):
    assert batch_entropy_audit([7], 8)["entropy_bits"] == 0


def test_a_vocabulary_larger_than_memory(backend):
    assert batch_entropy_audit([0, (1 << 62) - 1], 1 << 62)["type_token_ratio"] == 1


@pytest.mark.parametrize(
    "empty", [[], [[]], [[], [[]]], (), np.zeros(0, np.int32), np.zeros((3, 0), np.uint16), np.zeros(0)]
)
def test_empty_batches(backend, empty):
    with pytest.raises(ValueError, match="the batch is empty"):
        batch_entropy_audit(empty, 10)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([1, -2], r"token_ids\[1\] is -2: wanted an id from 0 to 9"),
        ([[1], [2, 3, 10]], r"token_ids\[1\]\[2\] is 10: wanted an id from 0 to 9"),
        ([0, 1 << 70], r"token_ids\[1\] is 1180591620717411303424: wanted"),
        ([[0], [-(1 << 70)]], r"token_ids\[1\]\[0\] is -1180591620717411303424: wanted"),
        (np.array([[1, 2], [3, 99]], np.int8), r"token_ids\[1, 1\] is 99: wanted"),
        ([np.array([1, 2]), np.array([[4], [-4]])], r"token_ids\[1\]\[1, 0\] is -4: wanted"),
        (np.array([1, 2**64 - 1], np.uint64), r"token_ids\[1\] is 18446744073709551615: wanted"),
    ],
)
def test_ids_out_of_range(backend, ids, message):
    with pytest.raises(ValueError, match=message):
        batch_entropy_audit(ids, 10)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([1, 2.0], r"token_ids\[1\]: wanted an integer, found 2.0"),
        ([[1], [2, "3"]], r"token_ids\[1\]\[1\]: wanted an integer, found '3'"),
        ([1, True], r"token_ids\[1\]: wanted an integer, found True"),
        ([1, None], r"token_ids\[1\]: wanted an integer, found None"),
        ([np.bool_(True)], r"token_ids\[0\]: wanted an integer"),
        (np.array([1.0]), "token_ids: wanted integers, found an array of float64"),
        (np.array([True]), "token_ids: wanted integers, found an array of bool"),
        ([np.array([0.5])], r"token_ids\[0\]: wanted integers, found an array of float64"),
        ("12", "token_ids: wanted a list"),
        (b"12", "token_ids: wanted a list"),
        (12, "token_ids: wanted a list"),
        ({1, 2}, "token_ids: wanted a list"),
        (iter([1]), "token_ids: wanted a list"),
    ],
)
def test_what_is_no_id(backend, ids, message):
    with pytest.raises(TypeError, match=message):
        batch_entropy_audit(ids, 10)


@pytest.mark.parametrize("size", [0, -1, (1 << 62) + 1])
def test_vocabulary_sizes(backend, size):
    with pytest.raises(ValueError, match="vocab_size"):
        batch_entropy_audit([1], size)


def test_vocabulary_size_is_an_integer(backend):
    with pytest.raises(TypeError):
        batch_entropy_audit([1], 10.0)
    assert batch_entropy_audit([1], np.int64(10))["type_token_ratio"] == 1
