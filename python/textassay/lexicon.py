"""The marker lexicon: words and phrases that language models are known to overuse."""

from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from importlib.resources import files
from os import PathLike

from textassay import _backend
from textassay.errors import UsageError, reason_of
from textassay.untrusted import read_bytes

DEFAULT = "markers-en.txt"
LONGEST = 1 << 24


@dataclass(frozen=True)
class Lexicon:
    """Phrases, each a sequence of word tokens (folded UTF-8); sorted, none twice."""

    phrases: tuple[tuple[bytes, ...], ...]

    @cached_property
    def digest(self) -> str:
        """BLAKE2b-64 of the phrases, in hex; empty for no phrases."""
        if not self.phrases:
            return ""
        lines = b"\n".join(b" ".join(phrase) for phrase in self.phrases)
        return blake2b(lines, digest_size=8).hexdigest()


def default_lexicon() -> Lexicon:
    return parse_lexicon(files("textassay").joinpath("lexicons", DEFAULT).read_text("utf-8"), DEFAULT)


def load_lexicon(path: str | PathLike[str]) -> Lexicon:
    """Reads a lexicon file: UTF-8, one phrase a line, `#` begins a comment. Raises `UsageError` where it holds no
    phrase.
    """
    try:
        text = read_bytes(path, LONGEST).decode("utf-8")
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read the marker lexicon {path}: {reason_of(error)}") from error
    return parse_lexicon(text, str(path))


def parse_lexicon(text: str, name: str) -> Lexicon:
    """The phrases of a lexicon's text. One with a straight apostrophe stands for the one with a curly one, too."""
    phrases = set()
    for line in text.splitlines():
        phrase = line.partition("#")[0].strip()
        for spelling in {phrase, phrase.replace("'", "\N{RIGHT SINGLE QUOTATION MARK}")}:
            phrases.add(tuple(_backend.get().tokens(spelling.encode())))
    phrases.discard(())
    if not phrases:
        raise UsageError(f"the marker lexicon {name} holds no phrase")
    return Lexicon(tuple(sorted(phrases)))
