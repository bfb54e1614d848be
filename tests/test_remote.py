"""Files in object stores and behind URLs: found, streamed, and accounted for when the way breaks down. The stores are a server of
this file, which knows as much of S3 and HTTP as clients ask for, and fsspec's own in memory.
"""

import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

import pytest

from textassay import InputError, UsageError, merge_profiles, remote, scan, scan_shard
from textassay.errors import InputWarning
from textassay.inputs import resolve_inputs
from textassay.remote import Feed

fsspec = pytest.importorskip("fsspec")
pytestmark = pytest.mark.filterwarnings("default::ResourceWarning", "default::pytest.PytestUnraisableExceptionWarning")


class Store:
    """Objects of one bucket, and what goes wrong with them: of `cuts[key]` each number is how many bytes of an answer arrive
    before the connection breaks, one request after the other.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.cuts: dict[str, list[int]] = {}
        self.asked: Counter[str] = Counter()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: Store

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        where = urlsplit(self.path)
        bucket, _, key = where.path.lstrip("/").partition("/")
        if bucket == "bucket" and not key:
            return self._send(200, listing(self.store, parse_qs(where.query)), {"Content-Type": "application/xml"})
        data = self.store.objects.get(key)
        if data is None:
            return self._send(404, b"", {})
        headers = {"ETag": '"x"', "Last-Modified": "Sat, 21 Nov 2026 10:00:00 GMT"}
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if bucket == "plain" or match is None:  # a web server that knows no ranges
            return self._send(200, data, headers, key, with_body)
        start, stop = int(match[1]), min(int(match[2] or len(data)) + 1, len(data))
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        return self._send(206, data[start:stop], headers, key, with_body)

    def _send(self, code: int, body: bytes, headers: dict[str, str], key: str = "", with_body: bool = True) -> None:
        self.send_response(code)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.store.asked[key] += 1
            cuts = self.store.cuts.get(key, [])
            self.wfile.write(body[: cuts[0]] if cuts else body)
            if cuts:
                cuts.pop(0)
                self.close_connection = True

    def log_message(self, *_: object) -> None: ...


def listing(store: Store, query: dict[str, list[str]]) -> bytes:
    prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
    contents, folders = [], set()
    for key, data in sorted(store.objects.items()):
        rest = key.removeprefix(prefix)
        if not key.startswith(prefix):
            continue
        if delimiter and delimiter in rest:
            folders.add(prefix + rest.partition(delimiter)[0] + delimiter)
        else:
            contents.append(
                f"<Contents><Key>{escape(key)}</Key><Size>{len(data)}</Size><ETag>x</ETag>"
                "<LastModified>2026-11-21T10:00:00.000Z</LastModified></Contents>"
            )
    common = [f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>" for folder in sorted(folders)]
    body = "".join([f"<KeyCount>{len(contents)}</KeyCount><IsTruncated>false</IsTruncated>", *contents, *common])
    return f"<?xml version='1.0'?><ListBucketResult>{body}</ListBucketResult>".encode()


@contextmanager
def serving(store: Store) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"store": store}))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def store(monkeypatch) -> Iterator[Store]:
    """A store that `s3://bucket/` and `store.url` lead to."""
    found = Store()
    monkeypatch.setattr(remote, "FIRST_PAUSE_SECONDS", 0.01)
    with serving(found) as found.url:
        for name, value in (
            ("AWS_ENDPOINT_URL", found.url),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_MAX_ATTEMPTS", "1"),
        ):
            monkeypatch.setenv(name, value)
        yield found
        for kind in ("s3", "http"):
            if fsspec.available_protocols() and kind in fsspec.registry:
                fsspec.get_filesystem_class(kind).clear_instance_cache()


@pytest.fixture
def s3(store) -> Store:
    pytest.importorskip("s3fs")
    return store


def upload(store: Store, folder: Path, prefix: str = "corpus/") -> None:
    store.objects |= {prefix + path.name: path.read_bytes() for path in folder.iterdir()}


# What is found


def test_a_prefix_a_pattern_and_an_object(s3, corpus):
    upload(s3, corpus)
    upload(s3, corpus, "corpus/deep/.hidden/")
    s3.objects |= {"corpus/notes.txt": b"?", "corpus/deep/h.jsonl.gz": b"", "other/i.jsonl": b""}

    def names(*items: str) -> list[str]:
        return [entry.name.removeprefix("s3://bucket/") for entry in resolve_inputs(items, allow_remote=True)]

    shards = sorted(f"corpus/{path.name}" for path in corpus.iterdir())
    with pytest.warns(InputWarning, match="^s3://bucket/corpus/?: files left out: 1 .txt; what ends in"):
        assert (
            names("s3://bucket/corpus") == names("s3://bucket/corpus/") == sorted([*shards, "corpus/deep/h.jsonl.gz"])
        )
    assert names("s3://bucket/corpus/*.zst") == shards[1::2]
    assert names("s3://bucket/corpus/b*", "s3://bucket/corpus/notes.txt") == [shards[1], "corpus/notes.txt"]
    assert names("s3://bucket/corpus/b*", "s3://bucket/corpus/[ab].*") == shards[:2], "each once"
    (entry,) = resolve_inputs("s3://bucket/corpus/g.jsonl", allow_remote=True)
    assert entry.size == (corpus / "g.jsonl").stat().st_size and entry.is_remote
    assert entry.mtime_ns == 1795255200 * 10**9


def test_a_list_of_urls(store, corpus, tmp_path):
    upload(store, corpus)
    (tmp_path / "list").write_text(f"{store.url}/web/corpus/a.jsonl?session=1\n{corpus}/b.jsonl.zst\n")
    found = resolve_inputs(f"@{tmp_path}/list", allow_remote=True)
    assert [entry.is_remote for entry in found] == [False, True]
    assert scan(f"@{tmp_path}/list").profile.serialize() == scan(sorted(corpus.iterdir())[:2]).profile.serialize()


def test_what_is_not_there(s3):
    for url in ("s3://bucket/nothing", "s3://bucket/nothing/*.zst", f"{s3.url}/web/nothing"):
        with pytest.raises(InputError, match=re.escape(url)):
            scan(url)
    with pytest.raises(InputError, match=r"nosuchthing://x: ValueError: Protocol not known"):
        scan("nosuchthing://x")
    s3.objects["corpus/notes.txt"] = b""
    with (
        pytest.raises(InputError, match="s3://bucket/corpus: nothing there that ends in .jsonl"),
        pytest.warns(InputWarning),
    ):
        scan("s3://bucket/corpus")


def test_only_a_scan_reads_from_stores(store, corpus, tmp_path):
    from textassay import build_anchor

    upload(store, corpus)
    with pytest.raises(InputError, match="only a scan reads from object stores"):
        build_anchor(f"{store.url}/web/corpus/a.jsonl", tmp_path / "a.anchor")


def test_packages_that_are_missing_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(UsageError, match=r"need fsspec: pip install 'textassay\[remote\]'"):
        scan("s3://bucket/a")


# What is read


def local_and_remote(corpus: Path, items: list[str], out: Path, **options: object) -> None:
    """The same profile, and the same files but for names and times."""
    here = scan(corpus, out / "here", **options)
    there = scan(items, out / "there", **options)
    assert (out / "there/profile.tap").read_bytes() == (out / "here/profile.tap").read_bytes()
    names = [path.name for path in (out / "here/documents").iterdir()]
    assert sorted(names) == sorted(path.name for path in (out / "there/documents").iterdir())
    for name in names:
        assert (out / "here/documents" / name).read_bytes() == (out / "there/documents" / name).read_bytes()
    unlike = ("damaged",)
    for name, value in here.summary["inputs"].items():
        assert name in unlike or there.summary["inputs"][name] == value, name


@pytest.mark.parametrize("threads", [1, 3])
def test_s3(backend, s3, corpus, tmp_path, threads, monkeypatch):
    monkeypatch.setattr(remote, "CHUNK", 100)
    upload(s3, corpus)
    local_and_remote(corpus, ["s3://bucket/corpus/*.jsonl*"], tmp_path, threads=threads)
    assert s3.asked["corpus/g.jsonl"] > 10, "piece by piece"


def test_http_with_ranges_and_without(store, corpus, tmp_path):
    upload(store, corpus)
    for kind in ("web", "plain"):
        urls = [f"{store.url}/{kind}/corpus/{path.name}" for path in corpus.iterdir()]
        local_and_remote(corpus, urls, tmp_path / kind)


def test_stores_in_memory_and_local_ones(corpus, tmp_path):
    memory = fsspec.filesystem("memory")
    for path in corpus.iterdir():
        memory.pipe(f"/remote-tests/{path.name}", path.read_bytes())
    local_and_remote(corpus, ["memory://remote-tests/*.jsonl*"], tmp_path / "memory")
    local_and_remote(corpus, [f"file://{corpus}"], tmp_path / "file")


def test_many_files_and_few_threads(tmp_path):
    """More files than threads on either side, some empty, some far larger than a pipe: each in its turn, none waits for ever."""
    memory = fsspec.filesystem("memory")
    (tmp_path / "in").mkdir()
    for number in range(60):
        line = f'{{"text": "file {number} {"word " * (number * 37 % 11)}"}}\n'.encode()
        data = line * (40_000 if number in (3, 31) else number % 4)
        memory.pipe(f"/many/{number:02}.jsonl", data)
        (tmp_path / f"in/{number:02}.jsonl").write_bytes(data)
    here = scan(tmp_path / "in", threads=2)
    for threads in (1, 2, 5):
        assert scan("memory://many", threads=threads).profile.serialize() == here.profile.serialize()


def test_shards_of_a_bucket(s3, corpus, tmp_path):
    upload(s3, corpus)
    parts = [scan_shard("s3://bucket/corpus", tmp_path / "out", (n, 3), documents="none") for n in range(3)]
    sizes = [part.summary["inputs"]["bytes_compressed"] for part in parts]
    assert max(sizes) <= sum(sizes) / 3 + max(path.stat().st_size for path in corpus.iterdir()), "sizes are known"
    assert merge_profiles([tmp_path / "out"])[0].serialize() == scan(corpus, documents="none").profile.serialize()
    assert scan_shard("s3://bucket/corpus", tmp_path / "out", (1, 3), documents="none").was_there


def test_progress_knows_the_sizes(s3, corpus):
    upload(s3, corpus)
    seen = []
    scan("s3://bucket/corpus", on_progress=seen.append)
    total = sum(path.stat().st_size for path in corpus.iterdir())
    assert (seen[-1].bytes_total, seen[-1].bytes_compressed) == (total, total)


# What goes wrong


def test_a_break_that_passes(backend, s3, corpus):
    """Read on from where it stopped."""
    upload(s3, corpus)
    s3.cuts = {"corpus/g.jsonl": [0, 1000, 17], "corpus/f.jsonl.zst": [5]}
    result = scan("s3://bucket/corpus")
    assert result.profile.serialize() == scan(corpus).profile.serialize()
    assert not result.is_damaged() and s3.cuts == {"corpus/g.jsonl": [], "corpus/f.jsonl.zst": []}


def test_a_break_that_stays(backend, store, corpus, tmp_path):
    """A plain file that ends early would look whole: the way says that it is not. The rest of the scan is as ever."""
    upload(store, corpus)
    size, line = (corpus / "g.jsonl").stat().st_size, len((corpus / "g.jsonl").read_bytes().splitlines(True)[0])
    store.cuts = {"corpus/g.jsonl": [line] * 9, "corpus/b.jsonl.zst": [20] * 9}
    urls = [f"{store.url}/plain/corpus/{path.name}" for path in corpus.iterdir()]
    result = scan(urls, tmp_path / "out")
    assert result.is_damaged() and result.summary["inputs"]["files_damaged"] == 2
    for entry in result.summary["inputs"]["damaged"]:
        assert entry["status"] in ("damaged", "unreadable") and "reading failed: " in entry["reason"], entry
    by_name = dict(zip((file.name[-len("g.jsonl") :] for file in result.inputs), result.outcomes, strict=True))
    outcome = by_name["g.jsonl"]
    assert outcome["bytes_compressed"] == size or outcome["status"] == "unreadable"
    assert outcome["bytes"] + outcome["bytes_lost"] == size or outcome["status"] == "unreadable"
    assert result.summary["inputs"]["balanced"]
    assert {error["file"][-7:] for error in result.errors} == {"g.jsonl", "onl.zst"}


def test_a_file_that_shrinks(backend, corpus):
    """It was found with more bytes than come."""
    memory = fsspec.filesystem("memory")
    data = (corpus / "g.jsonl").read_bytes()
    memory.pipe("/shrinking/g.jsonl", data)
    files = resolve_inputs("memory://shrinking", allow_remote=True)
    rest = data[: len(data) // 2].rpartition(b"\n")[0] + b"\n"
    memory.pipe("/shrinking/g.jsonl", rest)
    feed = Feed(files, 1, [file.source for file in files])
    with open(feed.sources[0], "rb") as pipe:
        assert pipe.read() == rest
    before = {
        "status": "ok",
        "reason": "",
        "compressed_offset": len(rest),
        "bytes_compressed": len(rest),
        "bytes_lost": 0,
    }
    assert feed.outcome(0, before) == {
        "status": "damaged",
        "reason": f"wanted {len(data)} bytes, found {len(rest)}",
        "compressed_offset": len(rest),
        "bytes_compressed": len(data),
        "bytes_lost": len(data) - len(rest),
    }
    feed.close()


def test_an_object_that_vanishes(backend, corpus):
    memory = fsspec.filesystem("memory")
    memory.pipe("/vanishing/a.jsonl", b'{"text": "a"}\n')
    memory.pipe("/vanishing/b.jsonl", b'{"text": "b"}\n')
    files = resolve_inputs("memory://vanishing", allow_remote=True)
    memory.rm("/vanishing/a.jsonl")
    from textassay.scan_settings import check_settings
    from textassay.scanning import scan_files

    result = scan_files(files, check_settings(threads=1))
    assert [outcome["status"] for outcome in result.outcomes] == ["unreadable", "ok"]
    assert "FileNotFoundError" in result.outcomes[0]["reason"] and result.summary["corpus"]["n_documents"] == 1


def test_damage_inside_is_told_as_ever(backend, corpus, tmp_path):
    """Many damaged objects, each longer than a pipe: those who feed them are let go."""
    memory = fsspec.filesystem("memory")
    data = bytearray((corpus / "f.jsonl.zst").read_bytes())
    data[8] ^= 0xFF
    for number in range(12):
        memory.pipe(f"/damaged/{number:02}.jsonl.zst", bytes(data) + bytes(3 << 20))
    memory.pipe("/damaged/zz.jsonl", b'{"text": "whole"}\n')
    result = scan("memory://damaged", threads=2)
    assert [outcome["status"] for outcome in result.outcomes] == ["damaged"] * 12 + ["ok"]
    for outcome in result.outcomes[:12]:
        assert outcome["bytes_compressed"] == len(data) + (3 << 20)
        assert outcome["bytes_lost"] == outcome["bytes_compressed"] - outcome["compressed_offset"]


def test_nothing_is_left(corpus, tmp_path, monkeypatch):
    """No thread, no pipe: after a scan, and after one that was interrupted."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    memory = fsspec.filesystem("memory")
    for number in range(9):
        memory.pipe(f"/left/{number}.jsonl", b'{"text": "a b c"}\n' * 100_000)

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    scan("memory://left", threads=2)
    with pytest.raises(KeyboardInterrupt):
        scan("memory://left", threads=2, on_progress=interrupt)
    deadline = time.monotonic() + 30
    while any(thread.name == "textassay-feed" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert list((tmp_path / "scratch").iterdir()) == []


def test_an_interrupt_while_the_store_says_nothing(tmp_path):
    """The scan waits for a store that does not answer: Ctrl-C ends it, and leaves no results."""
    code = """
import fsspec, time, textassay
class Silent(fsspec.AbstractFileSystem):
    protocol = "silent"
    def info(self, path, **_):
        return {"name": path, "size": 5, "type": "file"}
    def open(self, *_, **__):
        print("waiting", flush=True)
        time.sleep(1000)
fsspec.register_implementation("silent", Silent)
textassay.scan("silent://a.jsonl", "out")
"""
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as child:
        assert child.stdout.readline() == b"waiting\n"
        child.send_signal(2)
        assert child.wait(60) != 0
    assert not (tmp_path / "out").exists()
