"""The marker lexicon and the paths to fields."""

import pytest

from textassay import UsageError
from textassay.fields import parse_field
from textassay.lexicon import default_lexicon, load_lexicon, parse_lexicon


def test_phrases_are_tokens(backend):
    lexicon = parse_lexicon("# comment\nDelve Into # another\n\n  cutting-edge\ndelve into\n", "test")
    assert lexicon.phrases == ((b"cutting", b"edge"), (b"delve", b"into"))


def test_an_apostrophe_stands_for_both(backend):
    assert parse_lexicon("it's worth", "test").phrases == ((b"it's", b"worth"), ("it’s".encode(), b"worth"))


def test_the_packaged_lexicon(backend):
    lexicon = default_lexicon()
    for phrase in ((b"delve", b"into"), (b"it's", b"worth", b"noting"), (b"landscape",), (b"tapestry",)):
        assert phrase in lexicon.phrases
    assert 80 <= len(lexicon.phrases) <= 160
    assert sum(len(phrase) == 1 for phrase in lexicon.phrases) < len(lexicon.phrases) / 2
    assert all(phrase and all(phrase) for phrase in lexicon.phrases)


def test_digest_names_the_phrases_not_the_file(backend):
    one, other = (parse_lexicon(text, "test") for text in ("a b\nc\n", "# x\nC\nA  b\n"))
    assert one.digest == other.digest != parse_lexicon("a\nb c\n", "test").digest


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"...\n", b"\xff\n"])
def test_files_without_phrases(backend, tmp_path, content):
    path = tmp_path / "markers.txt"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"markers\.txt"):
        load_lexicon(path)
    with pytest.raises(UsageError, match="gone"):
        load_lexicon(tmp_path / "gone")


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("text", ("text",)),
        ("meta.text", ("meta", "text")),
        ("a.0.b", ("a", "0", "b")),
        ("/a.b/c", ("a.b", "c")),
        ("/a~1b/~0", ("a/b", "~")),
        ("/a~01", ("a~1",)),
        ("/", ("",)),
        ("/a/", ("a", "")),
    ],
)
def test_fields(path, keys):
    assert parse_field(path) == keys


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b"])
def test_no_fields(path):
    with pytest.raises(UsageError, match="wanted names joined by dots"):
        parse_field(path)
