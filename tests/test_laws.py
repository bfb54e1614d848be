"""Law 1: cut anywhere, scanned apart on any implementation with any number of threads, merged in any order: the same bytes."""

import itertools
import json
import os
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from implementations import (
    BACKENDS,
    IMPLEMENTATIONS,
    Implementation,
    all_types,
    on_every_backend,
    packed,
    profile_of,
    scan,
)
from textassay import Profile
from textassay.configuration import Configuration

WORDS = [f"w{n}" for n in range(60)] + [
    "the",
    "The",
    "It's",
    "3.14",
    "naïve",
    "Straße",
    "한글",
    "日本",
    "ещё",
    "😀",
    "delve",
    "into",
]
ENDINGS = [" ", " ", " ", ", ", ". ", "! ", "\n", "\n\n", "\u200b "]

SENTENCES = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(ENDINGS)), max_size=60)
DOCUMENTS = SENTENCES.map(lambda pieces: "".join(word + ending for word, ending in pieces))
CORPORA = st.lists(DOCUMENTS, min_size=1, max_size=12)


def profile_from(state: Any) -> Profile:
    """The configuration goes into the bytes; it is the same for all that is compared here."""
    return Profile.from_state(Configuration(tuple(state.signals), "word", 1, state.max_types, ""), state)


def tap_bytes(state: Any) -> bytes:
    return profile_from(state).serialize()


def write_file(folder: Path, texts: Sequence[str], name: str, frames: int = 1) -> Path:
    lines = [
        json.dumps({"id": str(n), "text": t}, ensure_ascii=n % 2 == 0).encode() + b"\n" for n, t in enumerate(texts)
    ]
    size = max(1, -(-len(lines) // frames))
    compressor = zstandard.ZstdCompressor(level=1, write_checksum=True)
    pieces = [b"".join(lines[i : i + size]) for i in range(0, len(lines), size)] or [b""]
    path = folder / f"{name}.jsonl.zst"
    path.write_bytes(b"".join(compressor.compress(p) for p in pieces))
    return path


def scanned_state(implementation: Implementation, paths: list[Path], **options: Any) -> Any:
    return scan(implementation.use(), paths, documents=False, **options).profile


def merged(states: list[Any], rng: random.Random) -> Any:
    """A random tree: any two are merged until one is left. What is merged into another is unchanged by it."""
    states = list(states)
    while len(states) > 1:
        one = states.pop(rng.randrange(len(states)))
        other = states.pop(rng.randrange(len(states)))
        before = other.totals()
        one.merge(other)
        assert other.totals() == before
        states.append(one)
    return states[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("laws")


def cut(texts: list[str], places: list[int]) -> list[list[str]]:
    borders = sorted({0, len(texts), *(p % (len(texts) + 1) for p in places)})
    return [texts[a:b] for a, b in itertools.pairwise(borders)]


@settings(max_examples=60, deadline=None)
@given(
    texts=CORPORA,
    places=st.lists(st.integers(0, 100), max_size=4),
    batch_tokens=st.sampled_from([1, 5, 30, 100, 1 << 18]),
    frames=st.integers(1, 4),
    seed=st.integers(0, 1000),
)
def test_files_scanned_apart(folder, texts, places, batch_tokens, frames, seed):
    """Cuts between files: everything is equal, batch figures included, on every implementation with 1 to 8 threads."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        files = [write_file(Path(scratch), part, f"{n}", frames) for n, part in enumerate(cut(texts, places))]
        at_once = {}
        for implementation in IMPLEMENTATIONS:
            threads = rng.randint(1, 8)
            state = scanned_state(implementation, files, batch_tokens=batch_tokens, threads=threads)
            at_once[f"{implementation}, {threads} threads"] = tap_bytes(state)
            shuffled = rng.sample(files, len(files))
            state = scanned_state(implementation, shuffled, batch_tokens=batch_tokens, threads=rng.randint(1, 8))
            at_once[f"{implementation}, other order"] = tap_bytes(state)
            apart = [
                scanned_state(implementation, [file], batch_tokens=batch_tokens, threads=rng.randint(1, 3))
                for file in files
            ]
            at_once[f"{implementation}, merged"] = tap_bytes(merged(apart, rng))
    assert len(set(at_once.values())) == 1, at_once.keys()


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(DOCUMENTS.map(lambda t: "x " + t), min_size=1, max_size=12),
    places=st.lists(st.integers(0, 100), max_size=5),
    seed=st.integers(0, 1000),
)
def test_cut_between_any_two_documents(folder, texts, places, seed):
    """Where each document is a batch, no cut can part one: the bytes are equal for cuts anywhere."""
    rng = random.Random(seed)
    parts = cut(texts, places)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        whole = write_file(Path(scratch), texts, "whole")
        files = [write_file(Path(scratch), part, f"{n}") for n, part in enumerate(parts)]
        for implementation in BACKENDS:
            expected = tap_bytes(scanned_state(implementation, [whole], batch_tokens=1))
            found = merged([scanned_state(implementation, [f], batch_tokens=1) for f in files], rng)
            assert tap_bytes(found) == expected


@settings(max_examples=40, deadline=None)
@given(
    texts=CORPORA,
    places=st.lists(st.integers(0, 100), min_size=1, max_size=4),
    batch_tokens=st.sampled_from([20, 100, 1 << 18]),
    seed=st.integers(0, 1000),
)
def test_cut_inside_batches(folder, texts, places, batch_tokens, seed):
    """A cut inside a file may part a batch; everything that is not said of batches is equal all the same."""

    def without_batches(state: Any) -> dict:
        plain = profile_of(state)
        plain["totals"].pop("n_batches")
        plain["signals"] = {n: s for n, s in plain["signals"].items() if not n.startswith("batch_")}
        plain["types"] = {t: (count, frequency) for t, (count, frequency, _) in plain["types"].items()}
        return plain

    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        whole = write_file(Path(scratch), texts, "whole")
        files = [write_file(Path(scratch), part, f"{n}") for n, part in enumerate(cut(texts, places))]
        for implementation in BACKENDS:
            expected = scanned_state(implementation, [whole], batch_tokens=batch_tokens)
            found = merged([scanned_state(implementation, [f], batch_tokens=batch_tokens) for f in files], rng)
            assert without_batches(found) == without_batches(expected)


@settings(max_examples=40, deadline=None)
@given(
    texts=CORPORA,
    calls=st.lists(st.integers(0, 100), max_size=4),
    batch_tokens=st.sampled_from([1, 20, 1 << 18]),
    threads=st.integers(1, 4),
)
def test_measurer_is_a_scan(folder, texts, calls, batch_tokens, threads):
    """Texts handed over in any number of calls count as one file holding them."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        whole = write_file(Path(scratch), texts, "whole")
        for implementation in BACKENDS:
            backend = implementation.use()
            measurer = backend.Measurer(backend.SIGNALS, batch_tokens=batch_tokens, threads=threads)
            for part in cut(texts, calls):
                measurer.update(*packed([t.encode() for t in part]))
            expected = scanned_state(implementation, [whole], batch_tokens=batch_tokens)
            assert tap_bytes(measurer.profile()) == tap_bytes(expected)


# Past the type limit


def wide_texts(seed: int, types: int, documents: int) -> list[str]:
    rng = random.Random(seed)
    texts = []
    for _ in range(documents):
        common = [f"common{int(rng.paretovariate(1.0)) % 200}" for _ in range(rng.randint(1, 150))]
        texts.append(" ".join(common + [f"k{rng.randrange(types)}" for _ in range(rng.randint(0, 250))]))
    return texts


@pytest.mark.parametrize("types", [500, 1100, 2500, 20_000])
def test_past_the_type_limit(tmp_path, types):
    """Which types are kept must not depend on who met them first: cuts between files, any order, any tree, each implementation."""
    corpora = [wide_texts(seed, types, 25) for seed in range(7)]
    files = [write_file(tmp_path, texts, f"{n}", frames=3) for n, texts in enumerate(corpora)]
    options: dict[str, Any] = {"max_types": 1024, "batch_tokens": 700}
    found = {}
    for number, implementation in enumerate(IMPLEMENTATIONS):
        for threads in (1, 2, 5, 8):
            found[f"{implementation}, {threads} threads"] = tap_bytes(
                scanned_state(implementation, files, threads=threads, **options)
            )
        found[f"{implementation}, reversed"] = tap_bytes(
            scanned_state(implementation, files[::-1], threads=3, **options)
        )
        for seed in range(4):
            apart = [scanned_state(implementation, [f], threads=2, **options) for f in files]
            found[f"{implementation}, merged {seed}"] = tap_bytes(merged(apart, random.Random(seed + number)))
            pairs = [scanned_state(implementation, files[a : a + 2], threads=2, **options) for a in (0, 2, 4, 6)]
            found[f"{implementation}, pairs {seed}"] = tap_bytes(merged(pairs, random.Random(seed + number)))
    assert len(set(found.values())) == 1, {name: hash(value) for name, value in found.items()}
    level = scanned_state(IMPLEMENTATIONS[0], files, **options).level
    distinct = {token for texts in corpora for text in texts for token in text.split()}
    assert (level > 0) == (len(distinct) > 1024) == (types > 500)


@on_every_backend
def test_exact_and_bounded_merge(implementation, tmp_path):
    """An exact profile into a bounded one and the other way round, an empty one into either."""
    small = write_file(tmp_path, wide_texts(1, 300, 10), "small")
    large = write_file(tmp_path, wide_texts(2, 9000, 30), "large")
    empty = write_file(tmp_path, [], "empty")
    options: dict[str, Any] = {"max_types": 1024, "batch_tokens": 500}
    expected = tap_bytes(scanned_state(implementation, [small, large, empty], **options))
    for order in ((0, 1, 2), (1, 0, 2), (2, 1, 0), (2, 0, 1)):
        states = [scanned_state(implementation, [(small, large, empty)[i]], **options) for i in order]
        for state in states[1:]:
            states[0].merge(state)
        assert tap_bytes(states[0]) == expected


@on_every_backend
def test_merge_refuses_what_differs(implementation, tmp_path):
    backend = implementation.use()
    one = backend.ProfileState(("n_tokens",), 1024)
    for other in (
        backend.ProfileState(("n_tokens", "mattr"), 1024),
        backend.ProfileState(("n_tokens",), 2048),
        backend.ProfileState((), 1024),
    ):
        with pytest.raises(ValueError, match=r"\S"):
            one.merge(other)
    assert one.totals()["n_documents"] == 0


@on_every_backend
def test_copy_is_apart(implementation, tmp_path):
    file = write_file(tmp_path, wide_texts(3, 100, 5), "one")
    state = scanned_state(implementation, [file])
    copy = state.copy()
    before = tap_bytes(state)
    copy.merge(state)
    assert tap_bytes(state) == before != tap_bytes(copy)
    assert copy.totals()["n_tokens"] == 2 * state.totals()["n_tokens"]


# Serialized states


@pytest.mark.parametrize("types", [500, 5000])
def test_bytes_come_back(tmp_path, types):
    """serialize, deserialize, serialize: the same, whichever backend reads what the other wrote."""
    from textassay import _backend

    files = [write_file(tmp_path, wide_texts(seed, types, 20), f"{seed}") for seed in range(3)]
    for writer in BACKENDS:
        written = tap_bytes(scanned_state(writer, files, max_types=1024, batch_tokens=900))
        for reader in BACKENDS:
            with _backend.using(reader.backend):
                assert Profile.deserialize(written).serialize() == written


def test_commit_and_go_on(tmp_path):
    """What is merged after a round trip is what would have been merged before it."""
    from textassay import _backend

    files = [write_file(tmp_path, wide_texts(seed, 3000, 20), f"{seed}") for seed in range(4)]
    options: dict[str, Any] = {"max_types": 1024, "batch_tokens": 900}
    for implementation in BACKENDS:
        with _backend.using(implementation.backend):
            expected = tap_bytes(scanned_state(implementation, files, **options))
            so_far = profile_from(scanned_state(implementation, files[:1], **options))
            for file in files[1:]:
                so_far = Profile.deserialize(so_far.serialize())
                so_far = so_far | profile_from(scanned_state(implementation, [file], **options))
            assert so_far.serialize() == expected


def test_same_file_twice_is_twice_the_counts(tmp_path):
    file = write_file(tmp_path, wide_texts(5, 400, 20), "one")
    for implementation in BACKENDS:
        once, twice = (all_types(scanned_state(implementation, [file] * n)) for n in (1, 2))
        assert {t: (2 * c, 2 * d, p) for t, (c, d, p) in once.items()} == twice


def test_hash_seed_and_locale_play_no_part(tmp_path):
    """PYTHONHASHSEED, locale and umask of the process leave no trace in a profile."""
    import subprocess
    import sys

    file = write_file(tmp_path, wide_texts(6, 400, 10), "one")
    code = (
        "import sys, textassay; sys.stdout.buffer.write(textassay.scan([sys.argv[1]], threads=2).profile.serialize())"
    )
    found = set()
    for seed, locale in (("0", "C"), ("1", "C.UTF-8"), ("12345", "de_DE.UTF-8")):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "LC_ALL": locale, "TEXTASSAY_BACKEND": "native"}
        found.add(
            subprocess.run([sys.executable, "-c", code, file], capture_output=True, env=environment, check=True).stdout
        )
    assert len(found) == 1
