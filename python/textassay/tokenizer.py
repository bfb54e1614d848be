"""Subword vocabularies: texts to ids, through the `tokenizers` library. Tokens of kind "bpe"."""

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from hashlib import blake2b
from itertools import chain
from os import PathLike, fspath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay.errors import UsageError, reason_of
from textassay.untrusted import read_bytes

KIND = "bpe"
_FILE_LIMIT = 1 << 28
_CHARACTERS_AT_ONCE = 1 << 18
"""The library takes about 130 bytes for each character of what it is given at once."""


class Tokenizer:
    """A tokenizer as `tokenizer.json` describes it: a model (BPE, Unigram, WordPiece) and what is done to a text before.

    Its truncation and padding are not used, nor special tokens added, nor merges dropped at random: a text's ids are those of
    all of it, and always the same.
    """

    def __init__(self, content: str, name: str) -> None:
        """`content` is that of a `tokenizer.json`. Raises `UsageError` on another, naming it by `name`, and without the library."""
        try:
            import tokenizers
        except ImportError as error:
            raise UsageError("tokens='bpe' needs tokenizers: pip install 'textassay[bpe]'") from error
        # Whoever asks has threads of his own, and chose how many.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        try:
            self._tokenizer = tokenizers.Tokenizer.from_str(content)
        except BaseException as error:
            # The library knows no other kind than Exception, and panics besides.
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            raise UsageError(f"{name}: wanted a tokenizer.json: {error}") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        if getattr(self._tokenizer.model, "dropout", None):
            self._tokenizer.model.dropout = None
        self._content = content

    @classmethod
    def load(cls, path: str | PathLike[str]) -> "Tokenizer":
        """Reads a `tokenizer.json`. Raises `UsageError` where it is none, or cannot be read."""
        try:
            content = read_bytes(path, _FILE_LIMIT).decode("utf-8")
        except (OSError, ValueError) as error:
            raise UsageError(f"cannot read the tokenizer {fspath(path)}: {reason_of(error)}") from error
        return cls(content, fspath(path))

    @cached_property
    def digest(self) -> str:
        """BLAKE2b-128 of the content, in hex: profiles of different tokenizers are not added up."""
        return blake2b(self._content.encode(), digest_size=16).hexdigest()

    def piece(self, token_id: int) -> str | None:
        """What the vocabulary holds under an id; None: nothing. (Of byte-level BPE in its own alphabet: `Ġthe` is " the".)"""
        return self._tokenizer.id_to_token(token_id)

    def encode(self, texts: Sequence[str]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """The ids of all texts: those of text i are ids[offsets[i]:offsets[i + 1]]. Others run meanwhile, here as well."""
        ids, sizes = [np.zeros(0, np.uint32)], [0]
        for some in _in_portions(texts):
            found = [one.ids for one in self._tokenizer.encode_batch_fast(some, add_special_tokens=False)]
            sizes += map(len, found)
            ids.append(np.fromiter(chain.from_iterable(found), np.uint32))
        return np.concatenate(ids), np.cumsum(sizes, dtype=np.int64)


def _in_portions(texts: Sequence[str]) -> Iterator[list[str]]:
    portion: list[str] = []
    size = 0
    for text in texts:
        portion.append(text)
        size += len(text)
        if size >= _CHARACTERS_AT_ONCE:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


TokenizerChoice = Tokenizer | str | PathLike[str] | None


def as_tokenizer(choice: TokenizerChoice, tokens: str) -> Tokenizer | None:
    """The tokenizer meant. Raises `UsageError` where tokens="bpe" comes without one, or one with other tokens."""
    if (tokens == KIND) != (choice is not None):
        found = "none" if choice is None else f"a tokenizer with tokens={tokens!r}"
        raise UsageError(f"tokens='bpe' counts the ids of a tokenizer: wanted its tokenizer.json, found {found}")
    return choice if choice is None or isinstance(choice, Tokenizer) else Tokenizer.load(choice)


def counted_tokens(tokens: str, tokenizer: Tokenizer | None) -> dict[str, Any]:
    """`tokens` and `encoder` as a backend wants them."""
    return {"tokens": tokens, "encoder": None} if tokenizer is None else {"tokens": "id", "encoder": tokenizer}
