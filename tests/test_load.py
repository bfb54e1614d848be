"""Many threads on few CPUs, many scans in one process, and counts beyond 32 bits."""

import os
import subprocess
import sys
import threading

import pytest
import zstandard

from implementations import BACKENDS
from textassay import Profile, ProfileError, Scanner, UsageError, _backend, scan
from textassay.tap_format import COUNT_LIMIT

THREADS = 64
TEXTS = ["One two, two three three three. Four!", "Five six seven? Eight; nine nine.", "語 語 naïve"]


def corpus(shard, n_files: int, n_texts: int) -> None:
    for number in range(n_files):
        records = [{"id": str(n), "text": f"{TEXTS[n % 3]} {number * n}"} for n in range(n_texts)]
        shard(f"in/{number:03}.jsonl{('.zst', '.gz', '')[number % 3]}", records)


@pytest.mark.parametrize("name", [one.backend for one in BACKENDS])
@pytest.mark.parametrize(("n_files", "n_texts"), [(1, 2000), (100, 10)])
def test_sixty_four_threads_find_what_one_does(shard, tmp_path, name, n_files, n_texts):
    """In a process of its own, so that a deadlock ends."""
    corpus(shard, n_files, n_texts)
    for threads in (1, THREADS):
        line = [sys.executable, "-m", "textassay", "scan", str(tmp_path / "in"), "-o", str(tmp_path / str(threads))]
        options = ["--threads", str(threads), "--batch-tokens", "500", "--no-report", "--documents", "jsonl", "--quiet"]
        environment = os.environ | {"TEXTASSAY_BACKEND": name, "TEXTASSAY_NUMBA_CACHE": "1"}
        subprocess.run([*line, *options], env=environment, timeout=300, check=True, capture_output=True)
    one, many = (
        {path.name: path.read_bytes() for path in (tmp_path / str(threads)).rglob("*.*") if path.name != "summary.json"}
        for threads in (1, THREADS)
    )
    assert many == one and len(one) == n_files + 4


def test_lines_of_several_units_leave_no_memory_behind(tmp_path):
    """Each has a buffer of its own, which nobody may keep."""
    line = b'{"text": "' + b"word and word. " * 110_000 + b'"}\n'
    frame = zstandard.ZstdCompressor(level=1).compress(40 * line)
    code = (
        "import resource, sys; from textassay import scan;"
        "scan(sys.argv[1], signals='n_tokens', detector=None, threads=1);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)"
    )
    peaks = []
    for times in (2, 12):
        (tmp_path / "a.jsonl.zst").write_bytes(times * frame)
        line = [sys.executable, "-c", code, str(tmp_path / "a.jsonl.zst")]
        peaks.append(int(subprocess.run(line, check=True, capture_output=True, timeout=300).stdout))
    assert peaks[1] - peaks[0] < 60, peaks


def test_scans_leave_no_file_open_and_no_thread(backend, shard, tmp_path):
    corpus(shard, 3, 50)
    left = []
    for number in range(12):
        scan(tmp_path / "in", tmp_path / "out" if number % 2 else None, threads=5, report=False)
        left.append((len(os.listdir("/proc/self/fd")), threading.active_count()))
    assert len(set(left[2:])) == 1


def doubled(profile: Profile, times: int) -> Profile:
    for _ in range(times):
        profile.merge(Profile.deserialize(profile.serialize()))
    return profile


def test_counts_beyond_32_bits(backend):
    scanner = Scanner(signals=["n_tokens", "entropy_bits", "burstiness_gb"])
    scanner.update(TEXTS)
    once, many = scanner.profile, doubled(scanner.profile, 40)
    factor = 1 << 40
    assert many.totals() == {name: factor * number for name, number in once.totals().items()}
    assert many.top(99) == [row | {name: factor * row[name] for name in ("count", "documents")} for row in once.top(99)]
    for signal in ("n_tokens", "entropy_bits"):
        assert many.histogram(signal).tolist() == (factor * once.histogram(signal)).tolist()
    assert many.distributions()["n_tokens"]["mean"] == once.distributions()["n_tokens"]["mean"]
    assert many.summary()["entropy_bits"] == pytest.approx(once.summary()["entropy_bits"], rel=1e-12)
    assert Profile.deserialize(many.serialize()).serialize() == many.serialize()


def test_both_backends_count_beyond_32_bits_alike():
    found = []
    for one in BACKENDS:
        with _backend.using(one.backend):
            scanner = Scanner(signals=["n_tokens", "entropy_bits", "burstiness_gb"])
            scanner.update(TEXTS)
            found.append(doubled(scanner.profile, 35).serialize())
    assert len(set(found)) == 1


def test_counts_that_no_profile_can_hold_are_refused(backend, tmp_path):
    scanner = Scanner(signals=["n_tokens"])
    scanner.update(TEXTS)
    profile = doubled(scanner.profile, 56)
    assert profile.totals()["n_bytes"] < COUNT_LIMIT < 2 * profile.totals()["n_bytes"]
    kept = profile.serialize()
    profile.save(tmp_path / "large.tap")
    with pytest.raises(UsageError, match="n_bytes"):
        profile.merge(Profile.deserialize(kept))
    with pytest.raises(ProfileError, match=r"large\.tap.*n_bytes"):
        profile.merge_file(tmp_path / "large.tap")
    assert profile.serialize() == kept
