"""What shifted between two samples of documents: themes learned from both, and passages that show words.

A theme is an atom of a sparse, non-negative dictionary (Lee & Seung 1999; Hoyer 2004): texts are bags of hashed words
(Weinberger et al. 2009), weighted by log frequency and rarity, and each is made up of a few themes, each theme of a few
words. How far the corpora differ in a theme is the divergence of the distributions of its part in a document.
"""

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay import _backend
from textassay.divergence import binned_jsd_bits, binned_jsd_by_chance
from textassay.errors import UsageError
from textassay.features import Feature

THEMES = 16
BUCKETS = 1 << 16
EXAMPLES = 3
KINDS = {"token": "word", "bigram": "bigram"}
"""Features of which passages are shown, and the tokens that they are."""

LEAST_DOCUMENTS = 5
MOST_DOCUMENTS = 0.5
"""A word in fewer documents, or in a greater part of them, says nothing of a theme."""

NAMED = 5
GROUPS = 16
EXCERPT = 120
SEED = 0

_SPARSE = {"alpha_W": 1e-5, "alpha_H": 5e-5, "l1_ratio": 1.0}
"""At ten times this nothing is left; without it a theme has two words in five, and a document two themes in five."""

Floats = NDArray[np.float64]


def with_examples(features: Sequence[Feature], reference: Sequence[str], current: Sequence[str]) -> list[Feature]:
    """Words and 2-grams with up to three passages of the side on which they are more frequent, from a document each."""
    found: dict[tuple[str, str], list[str]] = {}
    for kind in KINDS:
        for side, texts in enumerate((reference, current)):
            names = [one.name for one in features if one.kind == kind and _richer(one) == side]
            found |= {(kind, name): passages for name, passages in _passages(kind, names, texts).items()}
    return [replace(one, examples=found.get((one.kind, one.name), one.examples)) for one in features]


def _richer(feature: Feature) -> int:
    return int((feature.current or 0) > (feature.reference or 0))


def _passages(kind: str, names: Sequence[str], texts: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {name: [] for name in names}
    missing = {name.encode() for name in names}
    for text in texts:
        if not missing:
            break
        for token, (begin, end) in _first_of_each(text, missing, kind).items():
            passages = found[token.decode()]
            passages.append(excerpt(text, begin, end))
            if len(passages) == EXAMPLES:
                missing.discard(token)
    return found


def _first_of_each(text: str, wanted: set[bytes], kind: str = "token") -> dict[bytes, tuple[int, int]]:
    """Where each wanted word or 2-gram first stands, in bytes."""
    backend, data = _backend.get(), text.encode()
    tokens = backend.tokens(data, KINDS[kind])
    present = wanted.intersection(tokens)
    if not present:
        return {}
    spans = backend.word_spans(data)
    last = kind == "bigram"
    firsts = {token: tokens.index(token) for token in sorted(present)}
    return {token: (int(spans[at, 0]), int(spans[at + last, 1])) for token, at in firsts.items()}


def excerpt(text: str, begin: int, end: int, length: int = EXCERPT) -> str:
    """The passage around bytes begin to end, white space as single blanks, cut at words."""
    data = text.encode()
    around = max(0, length - (end - begin)) // 2
    before = data[max(0, begin - around) : begin].decode("utf-8", "ignore")
    behind = data[end : end + around].decode("utf-8", "ignore")
    if begin > around:
        before = "…" + before.partition(" ")[2]
    if end + around < len(data):
        behind = behind.rpartition(" ")[0] + "…"
    return " ".join((before + data[begin:end].decode("utf-8", "ignore") + behind).split())


def learned_themes(reference: Sequence[str], current: Sequence[str], n: int = THEMES) -> list[Feature]:
    """Up to `n` themes of both samples together, by bits descending. `reference` and `current` of a feature are the mean parts
    that it has in a document; examples come from the side where that is greater, and begin at a word of the theme.

    Needs scikit-learn. The same on the same machine; on others up to rounding. Raises `UsageError` without scikit-learn,
    and where the texts have no words in common.
    """
    if find_spec("sklearn") is None:
        raise UsageError("themes need scikit-learn: pip install 'textassay[compare]'")
    texts = [*reference, *current]
    counts, names = _counted(texts)
    weights, buckets = _weighted(counts)
    if min(weights.shape) < 2 or weights.nnz == 0:
        raise UsageError("themes: wanted more documents, with words that occur in several of them")
    parts, atoms = _learned(weights, n)
    is_current = np.arange(len(texts)) >= len(reference)
    found = []
    for atom, words in enumerate(atoms):
        top = [names[int(buckets[i])] for i in np.argsort(-words, kind="stable")[:NAMED].tolist() if words[i] > 0]
        if top and parts[:, atom].any():
            found.append(_feature(parts[:, atom], is_current, top, texts))
    return sorted(found, key=lambda feature: (-feature.bits, feature.name))


def _counted(texts: Sequence[str]) -> tuple[Any, Mapping[int, bytes]]:
    """Occurrences, documents by buckets, and of each column the most frequent word in it."""
    from scipy import sparse

    backend = _backend.get()
    rows, columns, values = [], [], []
    buckets: dict[bytes, int] = {}
    seen: Counter[bytes] = Counter()
    for row, text in enumerate(texts):
        tokens = Counter(backend.tokens(text.encode()))
        seen.update(tokens)
        for token, count in tokens.items():
            if token not in buckets:
                buckets[token] = backend.token_hash(token) % BUCKETS
            rows.append(row)
            columns.append(buckets[token])
            values.append(count)
    names: dict[int, bytes] = {}
    for token, _ in sorted(seen.items(), key=lambda item: (-item[1], item[0])):
        names.setdefault(buckets[token], token)
    shape = len(texts), BUCKETS
    return sparse.csr_matrix((np.array(values, np.float64), (rows, columns)), shape), names


def _weighted(counts: Any) -> tuple[Any, NDArray[np.intp]]:
    """(1 + ln count) ln(documents / documents with the word), rows of length 1 (Salton & Buckley 1988), and the buckets that
    the columns are.
    """
    from scipy import sparse

    n = counts.shape[0]
    documents = np.bincount(counts.indices, minlength=counts.shape[1])
    least = min(LEAST_DOCUMENTS, max(2, n // 10))
    is_used = (documents >= least) & (documents <= MOST_DOCUMENTS * n)
    rarity = np.where(is_used, np.log(n / np.maximum(documents, 1)), 0.0)
    weighted = counts.copy()
    weighted.data = 1 + np.log(weighted.data)
    weighted = weighted @ sparse.diags(rarity)
    lengths = np.sqrt(np.asarray(weighted.multiply(weighted).sum(1)).ravel())
    weighted = (sparse.diags(1 / np.where(lengths > 0, lengths, 1)) @ weighted).tocsr()
    return weighted[:, np.flatnonzero(is_used)], np.flatnonzero(is_used)


def _learned(weights: Any, n: int) -> tuple[Floats, Floats]:
    """Of each document the parts that the themes have in it, adding up to 1 (0 where none has), and the themes' words."""
    from sklearn.decomposition import NMF

    n = min(n, *weights.shape)
    model = NMF(n, init="nndsvd", random_state=SEED, max_iter=200, tol=1e-4, **_SPARSE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not quite converged is good enough for a look
        parts = model.fit_transform(weights)
    parts = parts * np.linalg.norm(model.components_, axis=1)
    whole = parts.sum(1, keepdims=True)
    return parts / np.where(whole > 0, whole, 1), model.components_


def _feature(parts: Floats, is_current: NDArray[np.bool_], top: Sequence[bytes], texts: Sequence[str]) -> Feature:
    positive = parts[parts > 0]
    edges = np.unique(np.quantile(positive, np.arange(1, GROUPS) / GROUPS)) if len(positive) else np.zeros(0)
    groups = np.where(parts > 0, 1 + np.searchsorted(edges, parts, side="right"), 0)
    sides = [np.bincount(groups[is_current == side], minlength=GROUPS + 1) for side in (False, True)]
    means = [float(parts[is_current == side].mean()) for side in (False, True)]
    richer = np.flatnonzero(is_current == (means[1] > means[0]))
    best = richer[np.argsort(-parts[richer], kind="stable")]
    examples = [_passage(texts[i], top) for i in best[:EXAMPLES].tolist() if parts[i] > 0]
    name = " ".join(token.decode("utf-8", "backslashreplace") for token in top)
    return Feature("theme", name, binned_jsd_bits(*sides) or 0.0, binned_jsd_by_chance(*sides), None, *means, examples)


def _passage(text: str, top: Sequence[bytes]) -> str:
    first = _first_of_each(text, set(top))
    begin, end = min(first.values(), default=(0, 0))
    return excerpt(text, begin, end)
