"""From names to files."""

import io
import os
import random

import pytest

from textassay import InputError
from textassay.errors import InputWarning
from textassay.inputs import resolve_inputs


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """A folder of shards and other files, which is also the current folder."""
    for name in (
        "b/2.jsonl.zst",
        "b/1.jsonl",
        "b/deep/er/3.ndjson.gz",
        "b/notes.md",
        "b/.hidden.jsonl",
        "b/.cache/4.jsonl",
        "a.jsonl.gz",
        "c.zst",
        "other",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*items: str) -> list[str]:
    return [entry.name for entry in resolve_inputs(list(items))]


def test_a_folder_gives_its_shards_sorted(corpus):
    assert names("b") == ["b/1.jsonl", "b/2.jsonl.zst", "b/deep/er/3.ndjson.gz"]
    assert names(".") == ["./a.jsonl.gz", "./b/1.jsonl", "./b/2.jsonl.zst", "./b/deep/er/3.ndjson.gz", "./c.zst"]


def test_a_file_that_is_named_may_be_called_anything(corpus):
    assert names("other", "b/notes.md") == ["b/notes.md", "other"]
    entry = resolve_inputs(corpus / "other")[0]
    assert (entry.size, entry.source) == (5, os.fsencode(corpus / "other"))
    assert entry.mtime_ns == (corpus / "other").stat().st_mtime_ns


def test_globs(corpus):
    assert names("b/*.jsonl*") == ["b/1.jsonl", "b/2.jsonl.zst"]
    assert names("**/*.gz") == ["a.jsonl.gz", "b/deep/er/3.ndjson.gz"]
    assert names("[ac]*") == ["a.jsonl.gz", "c.zst"]
    (corpus / "x[1].jsonl").write_text("")
    assert names("x[1].jsonl") == ["x[1].jsonl"], "a file of that very name comes first"


def test_lists(corpus, monkeypatch):
    (corpus / "list.txt").write_text("# shards\n\n b/1.jsonl \nb/deep\n*.zst\n")
    assert names("@list.txt") == ["b/1.jsonl", "b/deep/er/3.ndjson.gz", "c.zst"]
    monkeypatch.setattr("sys.stdin", io.StringIO("other\nc.zst\n"))
    assert names("@-") == ["c.zst", "other"]
    (corpus / "@at").write_text("")
    assert names("@at") == ["@at"]


def test_standard_input(corpus, monkeypatch):
    with (corpus / "other").open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        entries = resolve_inputs(["-", "c.zst"])
        assert [entry.name for entry in entries] == ["-", "c.zst"]
        assert entries[0].source == stream.fileno()


def test_a_pipe_has_no_size(corpus):
    reading, writing = os.pipe()
    try:
        assert resolve_inputs(f"/dev/fd/{reading}")[0].size is None
    finally:
        os.close(reading)
        os.close(writing)


def test_order_of_naming_plays_no_part(corpus):
    items = ["b", "c.zst", "a.jsonl.gz", "other"]
    wanted = names(*items)
    for seed in range(5):
        random.Random(seed).shuffle(items)
        assert names(*items) == wanted


def test_a_file_is_scanned_once(corpus):
    with pytest.warns(InputWarning, match=r"b/1.jsonl is the same file as \./b/1.jsonl: scanned once"):
        assert names("b/1.jsonl", "./b/1.jsonl") == ["./b/1.jsonl"]
    os.link("c.zst", "hard.zst")
    os.symlink("c.zst", "soft.zst")
    with pytest.warns(InputWarning) as caught:
        assert names("c.zst", "hard.zst", "soft.zst") == ["c.zst"]
    assert len(caught) == 2
    assert names("c.zst", "c.zst") == ["c.zst"], "the same name twice is nothing to speak of"


def test_links_to_folders_are_followed_and_cycles_end(corpus):
    os.symlink("../..", "b/deep/up")
    os.symlink("b", "linked")
    assert names("linked") == ["linked/1.jsonl", "linked/2.jsonl.zst", "linked/deep/er/3.ndjson.gz",
                               "linked/deep/up/a.jsonl.gz", "linked/deep/up/c.zst"]  # fmt: skip


def test_results_of_a_scan_are_no_corpus(corpus):
    for name in ("manifest.json", "profile.tap", "errors.jsonl", "documents/000000-a.jsonl.zst"):
        path = corpus / "b" / "audit" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    with pytest.warns(InputWarning, match="b/audit holds the results of a scan: left out"):
        assert names("b") == ["b/1.jsonl", "b/2.jsonl.zst", "b/deep/er/3.ndjson.gz"]


def test_what_may_hold_text_is_not_left_out_silently(corpus):
    for name in ("b/x.json", "b/y.JSON", "b/deep/z.jsonl.xz", "b/README.md", "b/_SUCCESS", "b/.hidden.csv"):
        (corpus / name).write_text("")
    with pytest.warns(InputWarning, match=r"^b: files left out: 2 \.json, 1 \.xz; what ends in \.jsonl, .* is read$"):
        assert names("b") == ["b/1.jsonl", "b/2.jsonl.zst", "b/deep/er/3.ndjson.gz"]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([], "no input"),
        (["nope.jsonl"], "nope.jsonl: no such file or folder"),
        (["b", "nope"], "nope: no such file or folder"),
        (["*.parquet"], r"\*.parquet: the pattern matches nothing"),
        (["b/de*"], "the pattern matches only folders"),
        (["empty"], r"empty: no file ending in \.jsonl"),
        (["@nope"], "cannot read the list @nope: No such file"),
        (["@comments"], "the list @comments names no input"),
        (["@bad"], "gone.jsonl: no such file"),
        (["dangling.jsonl"], "dangling.jsonl: No such file"),
    ],
)
def test_what_is_not_there(corpus, items, message):
    (corpus / "empty").mkdir()
    (corpus / "comments").write_text("# nothing\n")
    (corpus / "bad").write_text("b/1.jsonl\ngone.jsonl\n")
    os.symlink("gone", "dangling.jsonl")
    with pytest.raises(InputError, match=message):
        resolve_inputs(items)


def test_names_that_are_no_utf8(corpus):
    odd = os.fsencode(corpus) + b"/odd\xff\n.jsonl"
    with open(odd, "w"):
        pass
    entry = resolve_inputs([os.fsdecode(odd)])[0]
    assert entry.source == odd
    assert entry.name.endswith("/odd\\xff\n.jsonl")
    entry.name.encode()
    (corpus / "list").write_bytes(b"odd\xff*\n")
    assert resolve_inputs("@list")[0].source == b"odd\xff\n.jsonl"
