"""A benchmark of the tail: cloze items for rare words and rare 2-grams, and who still gets them right (docs/tail.md)."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay import _backend
from textassay.anchor.anchor import Anchor, as_anchor
from textassay.anchor.ngrams import SPECIALS, hashes_of
from textassay.anchor.vocabulary import LEAST_RARE
from textassay.atomic import replacing
from textassay.errors import InputError, UsageError
from textassay.measuring import measure
from textassay.text_sample import CHARACTERS, sample_texts
from textassay.untrusted import parse_json

SCHEMA = "textassay.tail-score/1"
GAP = "____"
KINDS = ("word", "2-gram")
DOCUMENTS = 5000
PER_DECADE = 100
OPTIONS = 4
POOL = 2000
"""Answers that are held of a stratum: items are made of the first, distractors of all."""

SHORTEST_WORD = 3
SENTENCE_WORDS = (8, 60)
LONGEST_CONTEXT = 1500
LONGEST_LINE = 1 << 20
MOST_PROBES = 1 << 20
Z = 1.959963984540054

_NEXT = 2
_FIELDS = {"id": str, "kind": str, "decade": int, "is_tail": bool, "context": str, "options": list}

Hashes = NDArray[np.uint64]
Probe = dict[str, Any]


# Making


def make_probes(
    inputs: str | PathLike[str] | Iterable[str | PathLike[str]],
    anchor: Anchor | str | PathLike[str],
    *,
    per_decade: int = PER_DECADE,
    options: int = OPTIONS,
    documents: int = DOCUMENTS,
    text_fields: Sequence[str] = ("text",),
) -> tuple[list[Probe], dict[str, int]]:
    """Items from texts that the models to be tested have not learnt from by heart, and an account of what was read.

    Of each kind and decade of frequency in the anchor (counts of 3 to 9, 10 to 99, ...) up to `per_decade` items: a word,
    or two in a row, is cut out of its sentence, and stands among `options` - 1 others of the same decade. An item has
    `id`, `kind` ("word", "2-gram"), `decade` (1, 10, ...), `is_tail` (the decade begins below the anchor's border of the tail), `context` (the
    sentence with its neighbours, `____` for the gap), `options` and `answer`.

    The texts are those of the `documents` with the least hashes; of them the answers with the least hashes are taken, each in the
    context with the least: so items depend on what there is, not on its order, and memory is bounded.

    Raises `UsageError` on settings out of range and an anchor without counts, `InputError` where nothing is to be read.
    """
    for name, value, least, most in (
        ("per_decade", per_decade, 1, POOL),
        ("options", options, 2, 26),
        ("documents", documents, 1, 1 << 20),
    ):
        if not least <= value <= most:
            raise UsageError(f"{name}={value}: wanted a whole number from {least} to {most}")
    used = as_anchor(anchor)
    assert used is not None
    words = _Words(used)
    strata: dict[tuple[str, int], _Stratum] = {}
    sample = sample_texts(inputs, text_fields, documents)
    for text in sample.texts:
        read = _Text(text, words)
        for kind in KINDS:
            _offer(strata, kind, read, words)
    order = sorted(strata, key=_rank)
    found = [probe for key in order for probe in _items(key, strata[key], words, per_decade, options)]
    if not found:
        raise InputError("no item could be made: wanted more text, or an anchor that knows its words")
    return found, sample.account()


def _rank(stratum: tuple[str, int]) -> tuple[int, int]:
    kind, decade = stratum
    return KINDS.index(kind), decade


class _Words:
    """An anchor's words and 2-grams by number, with how often it has them."""

    def __init__(self, anchor: Anchor) -> None:
        try:
            self._slots, self.counts = anchor.arrays["word_slots"], anchor.arrays["counts"]
            self._pairs = anchor.arrays["words_2"].reshape(-1, 2)
            self._log10 = anchor.arrays["log10_2"]
            self._tail_begin = anchor.header["tail"][0]
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{anchor.path}: an anchor without counts: it was imported") from error
        self._anchor = anchor
        self._numbers: dict[bytes, int] = {}
        self._token_hash = _backend.get().token_hash

    def number(self, token: bytes) -> int:
        """0 of a word that the anchor does not know."""
        found = self._numbers.get(token)
        if found is None:
            found = self._numbers[token] = self._looked_up(token)
        return found

    def _looked_up(self, token: bytes) -> int:
        mask = len(self._slots) - 1
        slot = self._token_hash(token) & mask
        for _ in self._slots:
            number = int(self._slots[slot])
            if not number or self._anchor.word(number) == token:
                return number
            slot = (slot + 1) & mask
        return 0

    @property
    def border(self) -> int:
        """A word seen less often is in the tail."""
        last = self._tail_begin - 1
        return int(self.counts[last]) if last >= len(SPECIALS) else 1 << 62

    def pair_counts(self, pairs: NDArray[np.uint32]) -> NDArray[np.float64]:
        """Roughly how often each 2-gram is in the anchor's text: the first word's count times the second's probability behind it.
        That is made of the contexts of 2-grams, whose own counts an anchor does not hold. 0 of one that it does not have.
        """
        wanted = pairs[:, 0].astype(np.uint64) << np.uint64(32) | pairs[:, 1]
        # A binary search for all at once, in the file: pairs are in order, and a copy of them might not fit.
        low, high = np.zeros(len(pairs), np.int64), np.full(len(pairs), len(self._pairs))
        while np.any(low < high):
            middle = (low + high) // 2
            rows = self._pairs[np.minimum(middle, len(self._pairs) - 1)].astype(np.uint64)
            goes_up = (rows[:, 0] << np.uint64(32) | rows[:, 1]) < wanted
            is_open = low < high
            low = np.where(is_open & goes_up, middle + 1, low)
            high = np.where(is_open & ~goes_up, middle, high)
        place = np.minimum(low, max(len(self._pairs) - 1, 0))
        if not len(self._pairs):
            return np.zeros(len(pairs))
        is_there = np.all(self._pairs[place] == pairs, axis=1)
        expected = self.counts[pairs[:, 0]] * np.power(10.0, self._log10[place].astype(np.float64))
        return np.where(is_there, expected, 0.0)

    def text_of(self, key: tuple[int, ...]) -> str:
        return " ".join(self._anchor.word(number).decode() for number in key)


class _Text:
    """A text's words: where they are, their numbers, and which may be asked for."""

    def __init__(self, text: str, words: _Words) -> None:
        backend = _backend.get()
        self.data = text.encode()
        self.hash = np.uint64(backend.token_hash(self.data))
        self.spans = backend.word_spans(self.data)
        self.tokens = backend.tokens(self.data)[: len(self.spans)]
        self.spans = self.spans[: len(self.tokens)]
        self.numbers = np.fromiter(map(words.number, self.tokens), np.uint32, len(self.tokens))
        # Words in lower case: names cannot be guessed, and the anchor's words are folded, so they would stand out.
        self.may_be_asked = np.fromiter(
            (self._is_plain(*span, token) for span, token in zip(self.spans.tolist(), self.tokens, strict=True)),
            np.bool_,
            len(self.tokens),
        )
        borders = backend.sentence_boundaries(self.data)
        if len(text) >= CHARACTERS:
            borders = borders[:-1]  # the last sentence may have been cut off
        self._borders = borders
        begins = self.spans[:, 0] if len(self.spans) else np.zeros(0, np.int64)
        self.sentences = np.searchsorted(borders, begins, side="right") - 1
        self._sentence_begins = np.searchsorted(self.sentences, np.arange(len(borders) + 1))

    def _is_plain(self, begin: int, end: int, token: bytes) -> bool:
        return self.data[begin:end] == token and token.decode().isalpha()

    def context(self, first: int, last: int) -> str | None:
        """The sentence of words first to last, which are the gap, with those before and after it.

        None where the sentence is too short or too long, or where the answer can be read off.
        """
        sentence = int(self.sentences[first])
        if sentence + 1 >= len(self._borders) or self.sentences[last] != sentence:
            return None
        begin, end = self._sentence_begins[sentence : sentence + 2].tolist()
        if not SENTENCE_WORDS[0] <= end - begin <= SENTENCE_WORDS[1]:
            return None
        around = max(0, sentence - 1), min(sentence + _NEXT, len(self._borders) - 1)
        if self._borders[around[1]] - self._borders[around[0]] > LONGEST_CONTEXT:
            around = sentence, sentence + 1
        others = self._sentence_begins[around[0]], self._sentence_begins[around[1]]
        answer = set(self.tokens[first : last + 1])
        if answer & {*self.tokens[others[0] : first], *self.tokens[last + 1 : others[1]]}:
            return None
        before = self.data[self._borders[around[0]] : self.spans[first, 0]]
        after = self.data[self.spans[last, 1] : self._borders[around[1]]]
        text = f"{before.decode()}{GAP}{after.decode()}"
        return None if text.count(GAP) != 1 else " ".join(text.split())


class _Stratum:
    """The answers with the least hashes, each with its context of the least."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, ...], tuple[int, int, str]] = {}
        self._greatest = 1 << 64

    def wants(self, key: tuple[int, ...], answer_hash: int, context_hash: int) -> bool:
        if answer_hash >= self._greatest:
            return False
        kept = self._kept.get(key)
        return kept is None or context_hash < kept[1]

    def add(self, key: tuple[int, ...], answer_hash: int, context_hash: int, context: str) -> None:
        self._kept[key] = (answer_hash, context_hash, context)
        if len(self._kept) >= 2 * POOL:
            self._forget()

    def _forget(self) -> None:
        for key, (answer_hash, _, _) in self.ordered()[POOL:]:
            self._greatest = min(self._greatest, answer_hash)
            del self._kept[key]

    def ordered(self) -> list[tuple[tuple[int, ...], tuple[int, int, str]]]:
        return sorted(self._kept.items(), key=lambda item: (item[1][0], item[0]))

    def held(self) -> list[tuple[tuple[int, ...], tuple[int, int, str]]]:
        return self.ordered()[:POOL]


def _offer(strata: dict[tuple[str, int], _Stratum], kind: str, text: _Text, words: _Words) -> None:
    """Hands what a text has of one kind to its strata."""
    width = KINDS.index(kind) + 1
    if len(text.numbers) < width:
        return
    grams = np.stack([text.numbers[place : len(text.numbers) - width + 1 + place] for place in range(width)], axis=1)
    places = np.flatnonzero(_may_be_asked(text, grams, width))
    grams, first = np.unique(grams[places], axis=0, return_index=True)
    places = places[first]
    counts = words.counts[grams[:, 0]].astype(np.float64) if width == 1 else words.pair_counts(grams)
    decades = decade_of(counts)
    # A 2-gram's hash is the one of the model's tables; a word's that of the word behind nothing.
    hashes = hashes_of(grams if width == 2 else np.column_stack([np.zeros(len(grams), np.uint32), grams[:, 0]]))
    mixed = hashes ^ text.hash
    context_hashes = hashes_of(np.column_stack([mixed >> np.uint64(32), mixed & np.uint64(0xFFFFFFFF)]))
    for row in np.flatnonzero(decades).tolist():
        key, place = tuple(grams[row].tolist()), int(places[row])
        stratum = strata.setdefault((kind, int(decades[row])), _Stratum())
        ranks = int(hashes[row]), int(context_hashes[row])
        if stratum.wants(key, *ranks) and (context := text.context(place, place + width - 1)) is not None:
            stratum.add(key, *ranks, context)


def _may_be_asked(text: _Text, grams: NDArray[np.uint32], width: int) -> NDArray[np.bool_]:
    n = len(grams)
    asked = np.all([text.may_be_asked[place : n + place] for place in range(width)], axis=0)
    asked &= np.all(grams >= len(SPECIALS), axis=1)
    lengths = text.spans[:, 1] - text.spans[:, 0]
    if width == 1:
        return np.asarray(asked & (lengths >= SHORTEST_WORD))
    gaps = text.spans[1:, 0] - text.spans[:-1, 1]
    longest = np.maximum(lengths[:-1], lengths[1:]) >= SHORTEST_WORD
    return np.asarray(asked & (gaps == 1) & longest & (text.sentences[1:] == text.sentences[:-1]))


def decade_of(counts: NDArray[np.float64]) -> NDArray[np.int64]:
    """1 of counts from 3 to below 10, 10 to below 100, and so on; 0 of less. By comparison: no logarithm."""
    powers = 10 ** np.arange(1, 19)
    return np.where(counts >= LEAST_RARE, 10 ** np.searchsorted(powers, counts, side="right"), 0)


def _items(key: tuple[str, int], stratum: _Stratum, words: _Words, per_decade: int, options: int) -> Iterator[Probe]:
    kind, decade = key
    held = stratum.held()
    texts = [words.text_of(answer) for answer, _ in held]
    hashes = np.array([ranks[0] for _, ranks in held], np.uint64)
    made = 0
    for place, (_, (_, _, context)) in enumerate(held):
        mixed = hashes ^ (hashes[place] << np.uint64(1))
        order = np.argsort(hashes_of(np.column_stack([mixed >> np.uint64(32), mixed & np.uint64(0xFFFFFFFF)])))
        others = _distractors(texts[place], context, [texts[i] for i in order.tolist()], options - 1)
        if others is None:
            continue
        chosen = [texts[place], *others]
        shuffled = sorted(chosen, key=lambda one: _hash_of(context, one))
        yield {
            "id": f"{_hash_of(kind, texts[place], context):016x}",
            "kind": kind,
            "decade": decade,
            "is_tail": decade < words.border,
            "context": context,
            "options": shuffled,
            "answer": texts[place],
        }
        made += 1
        if made == per_decade:
            return


def _hash_of(*parts: str) -> int:
    return int(_backend.get().token_hash("\n".join(parts).encode()))


def _distractors(answer: str, context: str, pool: Sequence[str], n: int) -> list[str] | None:
    """Of like length first, then of any; of like script; none of their words in the context, nor beginning as the answer does."""
    present = {token.decode() for token in _backend.get().tokens(context.encode())} | set(answer.split())
    found: list[str] = []
    for slack in (2, 5, 1000):
        for one in pool:
            if len(found) == n:
                return found
            if one in found or abs(len(one) - len(answer)) > slack or one.isascii() != answer.isascii():
                continue
            if not present & set(one.split()) and not _are_forms(one, answer):
                found.append(one)
    return found if len(found) == n else None


def _are_forms(one: str, other: str) -> bool:
    """`house` and `houses` may both be right."""
    return any(a.startswith(b) or b.startswith(a) for a, b in zip(one.split(), other.split(), strict=True))


def strata_of(probes: Sequence[Probe]) -> list[dict[str, Any]]:
    """How many items there are of each kind and decade: `kind`, `decade`, `is_tail`, `n_items`."""
    names = ("kind", "decade", "is_tail")
    found = Counter(tuple(probe[name] for name in names) for probe in probes)
    return [dict(zip(names, key, strict=True)) | {"n_items": n} for key, n in found.items()]


def write_probes(probes: Sequence[Probe], out: str | PathLike[str], key: str | PathLike[str] | None = None) -> None:
    """One item a line; with `key` the answers go there instead, as `id` and `answer`. Raises `OutputError`."""
    shown = probes if key is None else [{k: v for k, v in probe.items() if k != "answer"} for probe in probes]
    _write_lines(Path(out), shown)
    if key is not None:
        _write_lines(Path(key), [{"id": probe["id"], "answer": probe["answer"]} for probe in probes])


def _write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with replacing(path) as stream:
        for row in rows:
            stream.write((json.dumps(row, ensure_ascii=False) + "\n").encode())


# Reading and scoring


def read_probes(path: str | PathLike[str], key: str | PathLike[str] | None = None) -> list[Probe]:
    """What `write_probes` wrote, with the answers. Raises `InputError` naming the line that is something else."""
    answers = None if key is None else read_answers(key)
    probes, seen = [], set()
    for place, row in _rows(path):
        given = {name: type(value) for name, value in row.items() if name != "answer"}
        if given != _FIELDS or row["kind"] not in KINDS or not all(isinstance(one, str) for one in row["options"]):
            raise InputError(f"{place}: wanted an item with {', '.join(_FIELDS)}")
        if row["id"] in seen:
            raise InputError(f"{place}: item {row['id']} is there twice")
        seen.add(row["id"])
        if answers is not None:
            row["answer"] = answers.get(row["id"])
        if row.get("answer") not in row["options"]:
            raise InputError(
                f"{place}: no answer to item {row['id']} among its options: wanted the key, or another one"
            )
        probes.append(row)
    if not probes:
        raise InputError(f"{path}: no items")
    return probes


def read_answers(path: str | PathLike[str]) -> dict[str, str | int]:
    """By item: rows of `id` and `answer`, an option or its number from 0. Raises `InputError`."""
    found: dict[str, str | int] = {}
    for place, row in _rows(path):
        name, answer = row.get("id"), row.get("answer")
        if set(row) != {"id", "answer"} or not isinstance(name, str) or type(answer) not in (str, int):
            raise InputError(f'{place}: wanted {{"id": ..., "answer": an option or its number from 0}}')
        if name in found:
            raise InputError(f"{place}: item {name} is answered twice")
        found[name] = answer
    return found


def _rows(path: str | PathLike[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        with Path(path).open("rb") as stream:
            for number in range(1, MOST_PROBES + 2):
                line = stream.readline(LONGEST_LINE + 1)
                if not line:
                    return
                place = f"{path}, line {number}"
                if len(line) > LONGEST_LINE or number > MOST_PROBES:
                    raise InputError(f"{place}: wanted lines of at most {LONGEST_LINE} bytes, at most {MOST_PROBES}")
                try:
                    row = parse_json(line)
                except ValueError as error:
                    raise InputError(f"{place}: wanted JSON: {error}") from error
                if not isinstance(row, dict):
                    raise InputError(f"{place}: wanted an object")
                yield place, row
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error


def answer_with_model(anchor: Anchor | str | PathLike[str], probes: Sequence[Probe]) -> dict[str, str]:
    """Of each item the option that an anchor's model finds likeliest in the context; of equal ones the first."""
    used, n = as_anchor(anchor), [len(probe["options"]) for probe in probes]
    filled = [probe["context"].replace(GAP, option, 1) for probe in probes for option in probe["options"]]
    perplexities = (
        np.split(measure(filled, "perplexity", anchor=used)["perplexity"], np.cumsum(n)[:-1]) if probes else []
    )
    best = (int(np.argmin(np.nan_to_num(values, nan=np.inf))) for values in perplexities)
    return {probe["id"]: probe["options"][place] for probe, place in zip(probes, best, strict=True)}


def score_probes(probes: Sequence[Probe], answers: Mapping[str, str | int]) -> dict[str, Any]:
    """Accuracy of each kind and decade, with Wilson's 95 % interval and the chance level; and of all.

    An item without an answer is wrong. `accuracy` of `tail` and `all` is the mean over their strata, each counting alike, so that rare
    words weigh as much as the items of the common ones, which are easier; `above_chance` is (accuracy - chance) / (1 - chance), 0 for
    who guesses and 1 for who knows all. Both have a 95 % interval (normal, of a stratified mean). Raises `UsageError` on an answer to
    no item, or that is no option of its item.
    """
    known = {probe["id"] for probe in probes}
    if unknown := next((name for name in answers if name not in known), None):
        raise UsageError(f"answer to {unknown!r}: there is no such item")
    strata: dict[tuple[str, int], list[Probe]] = {}
    for probe in probes:
        strata.setdefault((probe["kind"], probe["decade"]), []).append(probe)
    rows = [_stratum_row(*key, strata[key], answers) for key in sorted(strata, key=_rank)]
    return {
        "schema": SCHEMA,
        "n_items": len(probes),
        "n_answered": sum(row["n_answered"] for row in rows),
        "strata": rows,
        "tail": _mean_row([row for row in rows if row["is_tail"]]),
        "all": _mean_row(rows),
    }


def _stratum_row(kind: str, decade: int, items: Sequence[Probe], answers: Mapping[str, str | int]) -> dict[str, Any]:
    given = [_option(probe, answers[probe["id"]]) if probe["id"] in answers else None for probe in items]
    n, correct = len(items), sum(one == probe["answer"] for one, probe in zip(given, items, strict=True))
    low, high = wilson(correct, n)
    return {
        "kind": kind,
        "decade": decade,
        "is_tail": items[0]["is_tail"],
        "n_items": n,
        "n_answered": sum(one is not None for one in given),
        "n_correct": correct,
        "accuracy": correct / n,
        "interval": [low, high],
        "chance": math.fsum(1 / len(probe["options"]) for probe in items) / n,
    }


def _option(probe: Probe, answer: str | int) -> str:
    options = probe["options"]
    if isinstance(answer, int) and 0 <= answer < len(options):
        return str(options[answer])
    if answer not in options:
        raise UsageError(f"answer to {probe['id']}: {answer!r} is none of {', '.join(map(repr, options))}")
    return str(answer)


def _mean_row(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    if not rows:
        return None
    m = len(rows)
    accuracy, chance = (math.fsum(row[name] for row in rows) / m for name in ("accuracy", "chance"))
    error = math.sqrt(math.fsum(row["accuracy"] * (1 - row["accuracy"]) / row["n_items"] for row in rows)) / m
    interval = [max(0.0, accuracy - Z * error), min(1.0, accuracy + Z * error)]
    above = (accuracy - chance) / (1 - chance)
    return {"n_strata": m, "accuracy": accuracy, "interval": interval, "chance": chance, "above_chance": above}


def wilson(correct: int, n: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927)."""
    share, weight = correct / n, Z * Z / n
    centre = share + weight / 2
    half = Z * math.sqrt((share * (1 - share) + weight / 4) / n)
    return max(0.0, (centre - half) / (1 + weight)), min(1.0, (centre + half) / (1 + weight))
