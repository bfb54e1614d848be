"""ARPA files: the text form of n-gram models, as SRILM and KenLM write and read them."""

import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np

from textassay.anchor.anchor import Anchor
from textassay.anchor.build import partial_folder, write_ngrams
from textassay.anchor.closure import Ngrams, completed
from textassay.anchor.file import AnchorWriter
from textassay.anchor.ngrams import BEGIN, MAX_ORDER, SPECIALS, UNKNOWN, unigram_entries
from textassay.anchor.vocabulary import word_slots
from textassay.atomic import replacing
from textassay.errors import AnchorError, OutputError

LEAST_LOG10 = -100.0
"""What stands for a probability of zero, and for a word that the model does not hold."""

_LINES_AT_ONCE = 1 << 16
_LONGEST_LINE = 1 << 20
_EXPANSION, _EXPANDED = 50, 1 << 24
_COUNT = re.compile(r"ngram[ \t]+([1-9])[ \t]*=[ \t]*([0-9]{1,12})")
_GZIP = b"\x1f\x8b"
_BLANK = re.compile(rb"[ \t]+")
_CONTROL = re.compile(r"[\0-\x20\x7f-\x9f]")
"""What no word of such a file holds: blanks and line breaks end one, and a terminal obeys the others."""


def export_arpa(anchor: Anchor, out: TextIO) -> None:
    """Writes the model as ARPA text, with seven significant digits."""
    out.write("\\data\\\n")
    out.writelines(f"ngram {order}={len(anchor.ngrams(order)[1])}\n" for order in range(1, anchor.order + 1))
    words = [_word(anchor, number) for number in range(anchor.header["n_modelled"])]
    for order in range(1, anchor.order + 1):
        out.write(f"\n\\{order}-grams:\n")
        out.writelines(_lines(anchor, order, words))
    out.write("\n\\end\\\n")


def _word(anchor: Anchor, number: int) -> str:
    """Raises `AnchorError` on one that would not be one word of the file."""
    word = anchor.word(number)
    if not _is_word(word):
        raise AnchorError(anchor.path, f"word {number} is no word: {word[:40]!r}")
    return word.decode()


def _is_word(word: bytes) -> bool:
    try:
        return word != b"" and _CONTROL.search(word.decode()) is None
    except UnicodeDecodeError:
        return False


def _lines(anchor: Anchor, order: int, words: Sequence[str]) -> Iterator[str]:
    ngrams, probabilities, backoffs = anchor.ngrams(order)
    for begin in range(0, len(probabilities), _LINES_AT_ONCE):
        part = slice(begin, begin + _LINES_AT_ONCE)
        texts = [" ".join([words[number] for number in ngram]) for ngram in ngrams[part].tolist()]
        if backoffs is None:
            rows = zip(probabilities[part].tolist(), texts, strict=True)
            yield "".join([f"{probability:.7g}\t{text}\n" for probability, text in rows])
        else:
            full = zip(probabilities[part].tolist(), texts, backoffs[part].tolist(), strict=True)
            yield "".join([f"{probability:.7g}\t{text}\t{backoff:.7g}\n" for probability, text, backoff in full])


def import_arpa(model: str | PathLike[str], out: str | PathLike[str], note: str = "") -> None:
    """Makes an anchor of an ARPA file, plain or gzip, of order 2 to 5. It has a model and no tail: tail_share is null.

    Its words are compared with ours as they are: those that hold capitals, or are no words of UAX #29, are never met.
    Raises `AnchorError` naming the line that is wrong, `OutputError` where `out` cannot be written.
    """
    path = Path(model)
    try:
        with path.open("rb") as plain, _unpacked(plain) as stream:
            words, orders = _Reader(path, stream, plain).read()
            while stream.read(1 << 20):  # to the end, where gzip's checksum is
                pass
    except (OSError, EOFError, zlib.error) as error:
        raise AnchorError(path, f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    try:
        with partial_folder(Path(out)) as folder, replacing(out) as target:
            _write(AnchorWriter(target), folder, words, orders, {"note": note, "model": path.name})
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}") from error


def _unpacked(stream: BinaryIO) -> BinaryIO:
    magic = stream.read(2)
    stream.seek(0)
    return gzip.open(stream) if magic == _GZIP else stream  # type: ignore[return-value]


class _Reader:
    def __init__(self, path: Path, stream: BinaryIO, packed: BinaryIO) -> None:
        self.path, self._stream, self._packed, self._number = path, stream, packed, 0
        self._size, self._allowed = 0, _EXPANDED

    def read(self) -> tuple[list[bytes], list[Ngrams]]:
        """The words by number, and the n-grams of each order."""
        counts = self._counts()
        words, unigrams = self._unigrams(counts[0])
        numbers = {word: number for number, word in enumerate(words)}
        orders = [unigrams]
        for order in range(2, len(counts) + 1):
            self._expect(f"\\{order}-grams:".encode())
            orders.append(self._ngrams(order, counts[order - 1], numbers, is_highest=order == len(counts)))
        self._expect(b"\\end\\")
        return words, orders

    def _line(self) -> bytes:
        line = self._stream.readline(_LONGEST_LINE)
        self._number += 1
        if not line:
            raise self._wrong("wanted \\end\\, found the end of the file")
        if len(line) == _LONGEST_LINE:
            raise self._wrong(f"wanted lines shorter than {_LONGEST_LINE:,} bytes")
        self._size += len(line)
        if self._size > self._allowed:
            self._allowed = _EXPANSION * self._packed.tell() + _EXPANDED
            if self._size > self._allowed:
                raise self._wrong(f"it expands to more than {_EXPANSION} times its size, as no model does")
        return line.strip(b"\r\n")

    def _wrong(self, what: str) -> AnchorError:
        return AnchorError(self.path, f"line {self._number}: {what}")

    def _expect(self, wanted: bytes) -> None:
        line = self._line()
        while not line.strip():
            line = self._line()
        if line.strip() != wanted:
            raise self._wrong(f"wanted {wanted.decode()}, found {line[:80]!r}")

    def _counts(self) -> list[int]:
        while self._line().strip() != b"\\data\\":
            pass
        counts: list[int] = []
        while (line := self._line().strip()) or not counts:
            found = _COUNT.fullmatch(line.decode("utf-8", "replace"))
            if found is None or int(found[1]) != len(counts) + 1:
                if not line:
                    continue
                raise self._wrong(f"wanted ngram {len(counts) + 1}=..., found {line[:80]!r}")
            counts.append(int(found[2]))
        if not 2 <= len(counts) <= MAX_ORDER:
            raise self._wrong(f"wanted a model of order 2 to {MAX_ORDER}, found {len(counts)}")
        return counts

    def _entry(self, line: bytes, order: int, is_highest: bool) -> tuple[float, list[bytes], float]:
        fields = _BLANK.split(line.strip())
        n_fields = len(fields)
        if n_fields != order + 1 and (is_highest or n_fields != order + 2):
            raise self._wrong(
                f"wanted a probability, {order} words{'' if is_highest else ' and a backoff'}, found {line[:80]!r}"
            )
        try:
            probability, backoff = float(fields[0]), float(fields[order + 1]) if n_fields > order + 1 else 0.0
        except ValueError:
            raise self._wrong(f"wanted numbers, found {line[:80]!r}") from None
        if not -1e6 < probability <= 1e-6 or not abs(backoff) < 1e6:
            raise self._wrong(f"wanted a log10 probability and a log10 backoff, found {line[:80]!r}")
        return min(probability, 0.0), fields[1 : order + 1], backoff

    def _unigrams(self, n: int) -> tuple[list[bytes], Ngrams]:
        self._expect(b"\\1-grams:")
        words = list(SPECIALS)
        values = {word: (LEAST_LOG10, 0.0) for word in SPECIALS}
        for _ in range(n):
            probability, (word,), backoff = self._entry(self._line(), 1, False)
            if not _is_word(word):
                raise self._wrong(f"wanted a word in UTF-8 without control characters, found {word[:40]!r}")
            word = SPECIALS[UNKNOWN] if word == b"<UNK>" else word
            if word not in values:
                words.append(word)
            values[word] = (probability, backoff)
        table = np.array([values[word] for word in words], np.float32)
        return words, Ngrams(np.arange(len(words), dtype=np.uint32)[:, None], table[:, 0], table[:, 1])

    def _ngrams(self, order: int, n: int, numbers: dict[bytes, int], is_highest: bool) -> Ngrams:
        words, log10, backoffs = np.empty((0, order), np.uint32), [], []
        rows: list[list[int]] = []
        parts = [words]
        for _ in range(n):
            probability, found, backoff = self._entry(self._line(), order, is_highest)
            try:
                rows.append([numbers[SPECIALS[UNKNOWN] if word == b"<UNK>" else word] for word in found])
            except KeyError as error:
                raise self._wrong(f"{error.args[0]!r} is not among the 1-grams") from None
            log10.append(probability)
            backoffs.append(backoff)
            if len(rows) == _LINES_AT_ONCE:
                parts.append(np.array(rows, np.uint32))
                rows.clear()
        if rows:
            parts.append(np.array(rows, np.uint32))
        return Ngrams(np.concatenate(parts), np.array(log10, np.float32), np.array(backoffs, np.float32))


def _write(
    writer: AnchorWriter, folder: Path, words: list[bytes], orders: list[Ngrams], header: dict[str, str]
) -> None:
    offsets = np.zeros(len(words) + 1, np.uint64)
    own = [b""] * len(SPECIALS) + words[len(SPECIALS) :]
    np.cumsum([len(word) for word in own], out=offsets[1:])
    data = np.frombuffer(b"".join(own), np.uint8)
    writer.array("token_bytes", "u1", data)
    writer.array("token_offsets", "u8", offsets)
    writer.array("word_slots", "u4", word_slots(data, offsets))
    log10 = orders[0].log10.copy()
    log10[BEGIN] = 0.0
    writer.array("unigram_log10", "f4", log10)
    writer.array("unigram_backoff_log10", "f4", orders[0].backoff_log10)
    complete = completed(orders)
    higher = [(o.words, o.log10, o.backoff_log10 if k < len(complete) else None) for k, o in enumerate(complete[1:], 2)]
    lost = write_ngrams(writer, folder, unigram_entries(log10, orders[0].backoff_log10), higher)
    writer.finish(
        header
        | {
            "order": len(orders),
            "n_modelled": len(words),
            "tail": [0, 0],
            "ngrams": {str(order): len(ngrams.log10) for order, ngrams in enumerate(complete, 1)},
            "ngrams_not_in_tables": lost,
        }
    )
