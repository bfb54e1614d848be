"""Scans that are killed at a random step or moment, again and again, and begun again until one ends."""

import gzip
import json
import os
import random
import re
import signal
import time
from pathlib import Path

import zstandard

from textassay import checkpoint, documents, dolma_attributes, folder, scanning, spool

WORDS = ["the", "of", "and", "corpus", "shard", "a", "profile", "İstanbul", "naïve", "語", "entropy", "is", "it"]
OWN = ("performance",)


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


def write_corpus(place, lines=6000):
    """Of every format; some files are damaged, one has a line that is too long. Returns their paths."""
    place.mkdir()
    members = [gzip.compress(b"".join(lines_of(seed, lines // 5)), 1) for seed in (3, 4)]
    plain = [*lines_of(5, 300), b'{"text": "' + b"long " * 60_000 + b'"}\n', *lines_of(6, lines // 2)]
    stream = zstandard.ZstdCompressor(level=1).compressobj()  # a frame of unknown size
    many = frames_of(lines_of(1, lines), 100)
    files = {
        "a-many.jsonl.zst": many,
        "b-single.jsonl.zst": stream.compress(b"".join(lines_of(2, lines))) + stream.flush(),
        "c.jsonl.gz": b"".join(members),
        "d-plain.jsonl": b"\xef\xbb\xbf" + b"".join(plain),
        "e-damaged.jsonl.zst": many[: len(many) * 2 // 3],
        "f-empty.jsonl": b"",
        "g-unended.jsonl": b"".join(lines_of(7, lines // 20))[:-1],
        "h-noise.jsonl.gz": gzip.compress(b"".join(lines_of(8, lines // 6)), 1)[:-2000] + bytes(2000),
    }
    for name, content in files.items():
        (place / name).write_bytes(content)
    return [os.fsencode(place / name) for name in sorted(files)]


def results_of(out):
    """The content of all files by name, but for the speed in summary and report."""
    assert not (out / folder.PARTIAL).exists()
    found = {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
    summary = json.loads(found["summary.json"])
    found["summary.json"] = json.dumps({key: value for key, value in summary.items() if key not in OWN}).encode()
    if "report.html" in found:
        found["report.html"] = re.sub(
            b"<!-- performance: .*?<!-- end of performance -->", b"", found["report.html"], flags=re.DOTALL
        )
    return found


def _counted(call, countdown):
    """Kills the process before or behind the call that is its turn."""

    def counted(*arguments, **named):
        countdown[0] -= 1
        if countdown[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        result = call(*arguments, **named)
        if countdown[0] == 1:
            countdown[0] = 0
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return counted


STEPS = (
    (os, "fsync"),
    (Path, "replace"),
    (Path, "rename"),
    (Path, "unlink"),
    (os, "fdopen"),
    (spool.Spool, "append"),
    (spool.Spool, "sync"),
    (documents.ParquetRows, "add"),
    (documents.ParquetRows, "close"),
    (documents.JsonRows, "add"),
    (dolma_attributes.DolmaRows, "add"),
    (scanning._Job, "_take"),
    (folder, "_remove"),
)
"""Where a scan leaves something behind that another one finds."""


def killed(arguments, options, steps=None, seconds=None):
    """Scans in a process of its own, that dies after so many of STEPS, or seconds. Whether it did."""
    child = os.fork()
    if child == 0:
        try:
            checkpoint.LARGEST_SHARE = 1.0
            countdown = [steps or 1 << 60]
            for place, name in STEPS:
                setattr(place, name, _counted(getattr(place, name), countdown))
            scanning.scan(*arguments, **options)
            os._exit(0)
        except BaseException as error:  # noqa: BLE001 (a child never returns)
            print(f"{type(error).__name__}: {error}", flush=True)
            os._exit(1)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0, "a scan failed"
    return os.WIFSIGNALED(status)


def scan_through_kills(arguments, options, random_, kills, n_steps, seconds):
    """At most so many kills, each at random within so many steps or seconds of a scan, then a scan to the end. Returns kills."""
    done = 0
    while done < kills:
        by_step = random_.random() < 0.7
        moment = {"steps": random_.randrange(1, n_steps)} if by_step else {"seconds": random_.random() * seconds}
        if not killed(arguments, options, **moment):
            return done
        done += 1
    assert not killed(arguments, options)
    return done
