"""Weights that give a corpus the topics of a reference: documents clustered on hashed words (docs/mix.md)."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textassay.documents import ZstdLines
from textassay.errors import InputError, UsageError
from textassay.folder import Layout, OutputFolder
from textassay.inputs import resolve_inputs
from textassay.projection import Limit, project
from textassay.records import parse_record, read_lines, text_of
from textassay.scan_folder import Columns, ScanFolder, ScannedInput
from textassay.strata import StratifiedSample, line_hashes

SCHEMA = "textassay.clusters/1"
REPORT = "clusters.json"
ROWS = "documents"
LAYOUT = Layout((ROWS, REPORT), REPORT, SCHEMA)

CLUSTERS = 64
MOST_CLUSTERS = 10_000
MAX_WEIGHT = 4.0
FITTED = 20_000
"""Documents of each side that the clusters are made from."""

N_FEATURES = 1 << 15
WORDS = r"(?u)\w+"
SEED = 0
EXAMPLES = 3
BATCH_DOCUMENTS = 1024
BATCH_CHARACTERS = 1 << 24

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Documents:
    """Some documents of one input, in order."""

    file: int
    rows: Columns
    texts: list[str]


@dataclass
class Tally:
    """Tokens of each cluster, and of each the documents nearest to its middle: distance, id."""

    tokens: Floats
    nearest: dict[int, list[tuple[float, str]]] = field(default_factory=dict)

    def add(self, clusters: NDArray[np.intp], distances: Floats, rows: Columns) -> None:
        self.tokens += np.bincount(clusters, rows["n_tokens"], minlength=len(self.tokens))
        named = zip(clusters.tolist(), distances.tolist(), rows["id"].tolist(), strict=True)
        for cluster, distance, identity in named:
            if identity is not None:
                best = self.nearest.setdefault(cluster, [])
                best.append((distance, identity))
                best.sort()
                del best[EXAMPLES:]

    def examples(self, cluster: int) -> list[str]:
        return [identity for _, identity in self.nearest.get(cluster, [])]


def preserve_clusters(
    reference: str | PathLike[str],
    scans: str | PathLike[str] | Sequence[str | PathLike[str]],
    out: str | PathLike[str] | None = None,
    *,
    clusters: int = CLUSTERS,
    max_weight: float = MAX_WEIGHT,
    seed: int = SEED,
) -> dict[str, Any]:
    """Weights for the documents of `scans` so that their tokens fall into clusters as those of `reference` do.

    Both are folders that `scan -o` wrote; their inputs are read again. The clusters (mini-batch k-means: Sculley 2010, on hashed words weighted by
    frequency and rarity) are made from FITTED documents of each side; then every document is assigned to the nearest. A cluster's weight is the share of the
    reference's tokens over that of the corpus's, at most `max_weight`; what is cut off goes to the others in proportion. With `out`, clusters.json and
    documents/ (JSONL: `id`, `line`, `cluster`, `weight` for each input) are written there. Needs scikit-learn.

    Raises `UsageError` on what was asked for, `InputError` on inputs that have changed since the scan.
    """
    if not 2 <= clusters <= MOST_CLUSTERS or not max_weight >= 1:
        raise UsageError(
            f"clusters={clusters}, max_weight={max_weight}: wanted 2 to {MOST_CLUSTERS}, and a weight from 1"
        )
    corpus = _Texts([scans] if isinstance(scans, (str, PathLike)) else scans)
    anchor = _Texts([reference])
    with nullcontext() if out is None else OutputFolder(out, LAYOUT) as folder:
        model = _Model(anchor.sampled(seed) + corpus.sampled(seed), clusters, seed)
        of_reference = _tallied(model, anchor)
        assigned: dict[int, list[NDArray[np.intp]]] = {}
        of_corpus = _tallied(model, corpus, assigned)
        report = _report(of_reference, of_corpus, max_weight)
        if folder is not None:
            _write(folder, report, corpus, assigned)
    return report


class _Texts:
    """The documents of some scans, read from their inputs."""

    def __init__(self, scans: Sequence[str | PathLike[str]]) -> None:
        self.inputs: list[tuple[ScanFolder, ScannedInput, bytes]] = []
        for scan in scans:
            folder = ScanFolder(scan)
            folder.check_columns({"n_tokens": "number"})
            for scanned in folder.inputs:
                (file,) = resolve_inputs(scanned.name)
                scanned.check_same(file)
                assert isinstance(file.source, bytes)
                self.inputs.append((folder, scanned, file.source))

    def rows(self, file: int) -> Iterator[Columns]:
        folder, scanned, _ = self.inputs[file]
        yield from folder.chunks(scanned, ["line", "byte_offset", "id", "n_tokens"])

    def sampled(self, seed: int) -> list[str]:
        """The texts of FITTED documents: those of the lowest hashes."""
        sample = StratifiedSample([], FITTED)
        for file, (_, scanned, _) in enumerate(self.inputs):
            for rows in self.rows(file):
                rows["hash"] = line_hashes(scanned.digest or "", rows["line"], seed)
                rows["file"] = np.full(len(rows["line"]), file)
                sample.add(rows, scanned.name)
        texts: list[str] = []
        for rows in sample.rows.values():
            for file in np.unique(rows["file"]).tolist():
                offsets = np.sort(rows["byte_offset"][rows["file"] == file])
                texts += self._texts_at(file, offsets.tolist())
        return texts

    def all(self) -> Iterator[Documents]:
        for file in range(len(self.inputs)):
            for rows in self.rows(file):
                yield from self._batches(file, rows)

    def _batches(self, file: int, rows: Columns) -> Iterator[Documents]:
        begin, texts, size = 0, [], 0
        for text in self._texts_at(file, rows["byte_offset"].tolist()):
            texts.append(text)
            size += len(text)
            if len(texts) >= BATCH_DOCUMENTS or size >= BATCH_CHARACTERS:
                end = begin + len(texts)
                yield Documents(file, {name: column[begin:end] for name, column in rows.items()}, texts)
                begin, texts, size = end, [], 0
        if texts:
            yield Documents(file, {name: column[begin:] for name, column in rows.items()}, texts)

    def _texts_at(self, file: int, offsets: Sequence[int]) -> Iterator[str]:
        folder, scanned, source = self.inputs[file]
        try:
            for line in read_lines(source, offsets, folder.max_window_log):
                yield text_of(parse_record(line), folder.text_fields)
        except InputError as error:
            raise InputError(f"{scanned.name}: {error}; scan it again") from error


class _Model:
    """Clusters of documents by their words."""

    def __init__(self, texts: Sequence[str], clusters: int, seed: int) -> None:
        try:
            from sklearn.cluster import MiniBatchKMeans
            from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
        except ImportError as error:
            raise UsageError("clusters need scikit-learn: pip install 'textassay[calibrate]'") from error
        if len(texts) < clusters:
            raise UsageError(f"{len(texts)} documents: wanted at least as many as the {clusters} clusters")
        self.n_clusters = clusters
        self._hashed = HashingVectorizer(n_features=N_FEATURES, token_pattern=WORDS, norm=None, alternate_sign=False)
        self._weighted = TfidfTransformer(sublinear_tf=True)
        self._kmeans = MiniBatchKMeans(clusters, random_state=seed, batch_size=BATCH_DOCUMENTS, n_init=3)
        with _one_thread():
            self._kmeans.fit(self._weighted.fit_transform(self._hashed.transform(texts)))

    def assign(self, texts: Sequence[str]) -> tuple[NDArray[np.intp], Floats]:
        """The nearest cluster of each text, and how far its middle is."""
        features = self._weighted.transform(self._hashed.transform(texts))
        with _one_thread():
            distances = self._kmeans.transform(features)
        nearest = distances.argmin(axis=1)
        return nearest, distances[np.arange(len(nearest)), nearest]


def _one_thread() -> Any:
    """Sums of floats must not depend on how many threads there are."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return nullcontext()
    return threadpool_limits(1)


def _tallied(model: _Model, texts: _Texts, assigned: dict[int, list[NDArray[np.intp]]] | None = None) -> Tally:
    tally = Tally(np.zeros(model.n_clusters))
    for part in texts.all():
        clusters, distances = model.assign(part.texts)
        tally.add(clusters, distances, part.rows)
        if assigned is not None:
            assigned.setdefault(part.file, []).append(clusters.astype(np.int16))
    return tally


def _report(reference: Tally, corpus: Tally, max_weight: float) -> dict[str, Any]:
    if not reference.tokens.any() or not corpus.tokens.any():
        raise UsageError("no tokens in the reference or in the corpus")
    wanted, there = (tally.tokens / tally.tokens.sum() for tally in (reference, corpus))
    has = (wanted > 0) & (there > 0)
    shares = np.zeros(len(there))
    if has.any():
        cap = Limit("max_weight", there[has], max(max_weight, 1 / there[has].sum()), is_cap=True)
        shares[has] = project(wanted[has] / wanted[has].sum(), [cap]).shares
    weights = np.divide(shares, there, out=np.zeros(len(there)), where=there > 0)
    rows = [
        {
            "cluster": cluster,
            "reference_share": _rounded(wanted[cluster]),
            "corpus_share": _rounded(there[cluster]),
            "share": _rounded(shares[cluster]),
            "weight": _rounded(weights[cluster]),
            "reference_examples": reference.examples(cluster),
            "corpus_examples": corpus.examples(cluster),
        }
        for cluster in range(len(there))
    ]
    return {
        "schema": SCHEMA,
        "max_weight": max_weight,
        "unmet": _rounded(float(wanted[there == 0].sum())),
        "left_out": _rounded(float(there[wanted == 0].sum())),
        "divergence_bits": {
            "before": _rounded(jensen_shannon(wanted, there)),
            "after": _rounded(jensen_shannon(wanted, shares)),
        },
        "clusters": rows,
    }


def jensen_shannon(p: Floats, q: Floats) -> float:
    """In bits (Lin 1991)."""
    middle = (p + q) / 2
    parts = [one[one > 0] * np.log2(one[one > 0] / middle[one > 0]) for one in (p, q)]
    return max(0.0, float(sum(part.sum() for part in parts)) / 2)


def _rounded(value: float) -> float:
    return float(f"{value:.9g}")


def _write(
    folder: OutputFolder, report: Mapping[str, Any], corpus: _Texts, assigned: Mapping[int, list[NDArray[np.intp]]]
) -> None:
    weights = [row["weight"] for row in report["clusters"]]
    (folder.partial / ROWS).mkdir()
    names: set[str] = set()
    for file, (_, scanned, _) in enumerate(corpus.inputs):
        name = scanned.shard_name
        if name in names:  # of another scan
            name = f"{file:06d}-{name}"
        names.add(name)
        clusters = np.concatenate(assigned.get(file, [np.zeros(0, np.int16)])).tolist()
        with folder.file(str(Path(ROWS) / name)) as stream:
            lines = ZstdLines(stream)
            place = 0
            for rows in corpus.rows(file):
                for identity, line in zip(rows["id"].tolist(), rows["line"].tolist(), strict=True):
                    cluster = clusters[place]
                    place += 1
                    lines.write({"id": identity, "line": line, "cluster": cluster, "weight": weights[cluster]})
            lines.close()
    folder.write_json(REPORT, report)
    folder.commit()
