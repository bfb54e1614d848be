"""Scans that are stopped anywhere and gone on with end as if nothing had been."""

import gzip
import json
import os
import random
import time

import numpy as np
import pytest
import zstandard
from textassay import _backend

WORDS = ["the", "of", "and", "corpus", "shard", "a", "profile", "İstanbul", "naïve", "語", "entropy", "is", "it"]
SIGNALS = ["n_tokens", "n_types", "mattr", "char_entropy_bits", "marker_rate"]


def lines_of(seed, count):
    random_ = random.Random(seed)
    vocabulary = [*WORDS, *(f"word{number}" for number in range(3000))] + 100 * WORDS
    lines = []
    for number in range(count):
        text = " ".join(random_.choices(vocabulary, k=random_.randrange(1, 200)))
        line = json.dumps({"id": f"{seed}-{number}", "text": text}, ensure_ascii=False).encode()
        malformed = {0: b"{no json", 1: b"", 2: b'{"text": "\xff"}', 3: b" "}
        lines.append(malformed.get(random_.randrange(50), line) + b"\n")
    return lines


def frames_of(lines, size):
    compress = zstandard.ZstdCompressor(level=1, write_checksum=True).compress
    return b"".join(compress(b"".join(lines[at : at + size])) for at in range(0, len(lines), size))


def write_corpus(folder, scale=1):
    """Of every format; some are damaged, one has lines that are too long."""
    folder.mkdir()
    members = [gzip.compress(b"".join(lines_of(3, 1500 * scale))), gzip.compress(b"".join(lines_of(4, 900 * scale)))]
    long = [*lines_of(5, 300), b'{"text": "' + b"long " * 60_000 + b'"}\n', *lines_of(6, 4000 * scale)]
    stream = zstandard.ZstdCompressor(level=1).compressobj()  # a frame of unknown size
    single = stream.compress(b"".join(lines_of(2, 5000 * scale))) + stream.flush()
    many = frames_of(lines_of(1, 6000 * scale), 100)
    files = {
        "a-many.jsonl.zst": many,
        "b-single.jsonl.zst": single,
        "c.jsonl.gz": b"".join(members),
        "d-plain.jsonl": b"\xef\xbb\xbf" + b"".join(long),
        "e-damaged.jsonl.zst": many[: len(many) * 2 // 3],
        "f-empty.jsonl": b"",
        "g-unended.jsonl": b"".join(lines_of(7, 300 * scale))[:-1],
        "h-noise.jsonl.gz": gzip.compress(b"".join(lines_of(8, 800 * scale)))[:-2000] + bytes(2000),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return [os.fsencode(folder / name) for name in sorted(files)]


OPTIONS = {"signals": SIGNALS, "markers": [[b"corpus"]], "batch_tokens": 20_000, "max_record_bytes": 200_000, "max_types": 1 << 20}


class Rows:
    """A file of rows: a `RowReader`."""

    format = "parquet"

    def __init__(self, seed, n_rows, step):
        random_ = random.Random(seed)
        self.texts = [" ".join(random_.choice(WORDS) for _ in range(random_.randrange(30))) for _ in range(n_rows)]
        self.size = sum(map(len, self.texts)) + 1
        self.position = self.at = 0
        self.step = step

    def open(self):
        return None

    def skip(self, rows):
        self.at = rows

    def read(self):
        texts = [text.encode() for text in self.texts[self.at : self.at + self.step]]
        if not texts:
            return None
        self.at += len(texts)
        column = (np.frombuffer(b"".join(texts) + b"\0", np.uint8), np.cumsum([0, *map(len, texts)]).astype(np.int64), None)
        return [column, None]


class Gathered:
    """What the events of a scan, or of several that went on with each other, say of each file."""

    def __init__(self):
        self.rows, self.errors, self.batches, self.outcomes = {}, {}, {}, {}

    def take(self, event):
        file = event["file"]
        if "documents" in event:
            columns = {name: values for name, values in event["documents"].items() if not name.startswith("id_")}
            self.rows.setdefault(file, []).extend(zip(*(columns[name].tolist() for name in sorted(columns)), strict=True))
        self.errors.setdefault(file, []).extend(event.get("errors", []))
        if "batches" in event:
            columns = event["batches"]
            self.batches.setdefault(file, []).extend(zip(*(columns[name].tolist() for name in sorted(columns)), strict=True))
        if "outcome" in event:
            self.outcomes[file] = event["outcome"]


def run(paths, threads=2, pauses=None, **options):
    """Scans; with `pauses`, a random number generator, in many scans that go on with each other, each paused a few times: what they
    found, their profile, and how many batches were open at a pause."""
    gathered, begun, profile = Gathered(), {}, None
    n_within = 0
    while True:
        scan = _backend.get().Scan(paths() if callable(paths) else paths, threads=threads, begun=begun, profile=profile, **options)
        left = 0 if pauses is None else pauses.randrange(1, 4)
        countdown = 0
        while True:
            if left and countdown == 0:
                scan.pause()
            countdown -= 1
            try:
                event = scan.next(10)
            except TimeoutError:
                if not scan.is_paused():
                    continue  # its kernels are being compiled
                left -= 1
                countdown = pauses.randrange(4)
                states = scan.states()
                n_within += sum(0 < state["begin"] < state["end"] for state in states.values())
                profile = scan.profile()
                if left == 0:
                    break
                scan.resume()
                continue
            if event is None:
                return gathered, scan.profile(), n_within
            gathered.take(event)
        begun = json.loads(json.dumps(states), object_hook=lambda d: {int(k) if k.isdigit() else k: v for k, v in d.items()})
        begun |= dict.fromkeys(gathered.outcomes)
        scan.cancel()
        del scan


def same(one, other):
    np.testing.assert_equal(one.rows, other.rows)
    np.testing.assert_equal(one.batches, other.batches)
    assert {file: errors for file, errors in one.errors.items() if errors} == {
        file: errors for file, errors in other.errors.items() if errors
    }
    assert one.outcomes == other.outcomes


def profile_bytes(state):
    from textassay.profile import Profile

    configuration = Profile(SIGNALS, batch_tokens=20_000, max_types=1 << 20, detector=None).configuration
    return Profile.from_state(configuration, state).serialize()


@pytest.mark.parametrize("seed", range(3))
def test_a_scan_goes_on_from_any_pause(backend, tmp_path, seed):
    paths = write_corpus(tmp_path / "corpus", 1)
    whole, profile, _ = run(paths, **OPTIONS)
    paused, also, n_within = run(paths, pauses=random.Random(seed), **OPTIONS)
    same(paused, whole)
    assert profile_bytes(also) == profile_bytes(profile)
    assert n_within > 3


def test_a_file_of_rows_goes_on(backend):
    def sources():
        return [Rows(1, 3000, 70), Rows(2, 500, 1), Rows(3, 2000, 600)]

    whole, profile, _ = run(sources, **OPTIONS)
    paused, also, n_within = run(sources, pauses=random.Random(1), **OPTIONS)
    same(paused, whole)
    assert profile_bytes(also) == profile_bytes(profile)
    assert n_within > 5
