"""Processes and threads around a scan: forked children, several scans at once, other threads that must go on."""

import json
import multiprocessing
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import zstandard

from implementations import BACKENDS, backend_module, on_every_backend, packed, profile_of, scan

LINES = [
    json.dumps({"id": n, "text": f"Document {n} says: it's {n % 7} o'clock. And more!"}).encode() for n in range(3000)
]


@pytest.fixture(scope="module")
def shard(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("fork") / "shard.jsonl.zst"
    path.write_bytes(zstandard.ZstdCompressor(write_checksum=True).compress(b"\n".join(LINES)))
    return path


def totals_of(backend: str, path: Path, threads: int) -> dict:
    return scan(backend_module(backend), [path], threads=threads, documents=False).profile.totals()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_scan_in_a_child_process(shard, method):
    """The parent has scanned with threads before it forks: the child must not wait for threads that it does not have."""
    expected = totals_of("native", shard, 4)
    with multiprocessing.get_context(method).Pool(2) as pool:
        answers = [pool.apply_async(totals_of, ("native", shard, threads)) for threads in (1, 2, 4)]
        assert [a.get(timeout=120) for a in answers] == [expected] * 3


@on_every_backend
def test_scans_at_once(implementation, shard):
    backend = implementation.use()
    expected = profile_of(scan(backend, [shard]).profile)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: scan(backend, [shard], threads=2), range(8)):
            assert profile_of(found.profile) == expected


@on_every_backend
def test_measuring_in_threads(implementation):
    """One Measurer for each thread; they share nothing that changes."""
    backend = implementation.use()
    texts = [json.loads(line)["text"].encode() for line in LINES]

    def measure(_) -> list:
        columns = backend.Measurer(backend.SIGNALS).measure(*packed(texts))
        return [columns[name].tobytes() for name in ("n_tokens", "n_types", "entropy_bits", "mattr")]

    expected = measure(0)
    with ThreadPoolExecutor(4) as pool:
        assert all(found == expected for found in pool.map(measure, range(12)))


def test_other_python_threads_go_on(tmp_path):
    """The GIL is released: a counter in another thread moves while a kernel computes. No clock: it counts, however slowly."""
    native = BACKENDS[0].use()
    text = b"some words that take a while. " * 400_000
    measurer = native.Measurer(native.SIGNALS)
    ticks, stop = [0], threading.Event()

    def tick() -> None:
        while not stop.is_set():
            ticks[0] += 1
            time.sleep(0)

    ticker = threading.Thread(target=tick)
    ticker.start()
    while ticks[0] == 0:
        time.sleep(0.001)
    before = ticks[0]
    measurer.measure(*packed([text]))
    moved = ticks[0] - before
    stop.set()
    ticker.join()
    assert moved > 10


@on_every_backend
def test_dropped_scan_ends(implementation, shard):
    """A scan that nobody reads to its end neither hangs nor leaks its threads into the next."""
    backend = implementation.use()
    for _ in range(5):
        running = backend.Scan([str(shard).encode()] * 8, signals=backend.SIGNALS, threads=4)
        running.next()
        del running
    assert totals_of(implementation.backend, shard, 2)["n_documents"] == len(LINES)


@on_every_backend
def test_cancel(implementation, shard):
    backend = implementation.use()
    running = backend.Scan([str(shard).encode()] * 50, signals=backend.SIGNALS, threads=2)
    running.next()
    running.cancel()
    while running.next() is not None:
        pass
    assert running.profile().totals()["n_documents"] <= 50 * len(LINES)


@on_every_backend
def test_profile_is_refused_before_the_end(implementation, shard):
    backend = implementation.use()
    running = backend.Scan([str(shard).encode()], signals=backend.SIGNALS)
    with pytest.raises(RuntimeError):
        running.profile()
    while running.next() is not None:
        pass
    assert running.profile().totals()["n_documents"] == len(LINES)
    assert running.next() is None
    progress = running.progress()
    assert progress["documents"] == len(LINES) and progress["files"] == 1
    assert progress["bytes_compressed"] == shard.stat().st_size


@on_every_backend
def test_timeout(implementation):
    import os

    backend = implementation.use()
    reading, writing = os.pipe()
    running = backend.Scan([reading], signals=())
    with pytest.raises(TimeoutError):
        running.next(timeout=0.05)
    os.close(writing)
    while running.next() is not None:
        pass


@on_every_backend
def test_options_are_checked(implementation, shard):
    backend = implementation.use()
    path = str(shard).encode()
    for options in (
        {"threads": 0},
        {"batch_tokens": 0},
        {"max_types": 0},
        {"tokens": "words"},
        {"stage": "none"},
        {"signals": ("nope",)},
        {"text_fields": ()},
    ):
        with pytest.raises(ValueError, match=r"\S"):
            backend.Scan([path], **{"signals": (), **options})
