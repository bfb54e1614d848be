"""What a simulation leaves in its folder."""

import json
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from io import BytesIO
from itertools import pairwise
from os import PathLike
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np

from textassay.anchor.ngrams import END
from textassay.documents import ZstdLines
from textassay.errors import OutputWarning
from textassay.folder import MANIFEST, MANIFEST_SCHEMA, REPORT, SIMULATION, OutputFolder
from textassay.report import has_report, page_or_warning
from textassay.scanning import has_pyarrow
from textassay.simulate.corpus import Corpus, Vocabulary
from textassay.simulate.settings import Simulation
from textassay.tail_retention import LEAST_RARE

PICTURE, TEXT_FOLDER = "simulation.svg", "text"
PARQUET, LINES = "generations.parquet", "generations.jsonl"

_SKIPPED = ("reasons", "spectrum", "tail", "figures", "documents", "rarefied_types")


class SimulationFolder:
    """A folder for a simulation's results: there whole after `commit`, or not at all."""

    def __init__(self, path: str | PathLike[str], write_text: bool) -> None:
        """Raises `FolderError` and `OutputError` as a scan does."""
        self._folder = OutputFolder(path)
        self._writes_text = write_text
        self._words: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """After an exception leaves earlier results as they were."""
        self._folder.__exit__(kind, error, trace)

    def take_corpus(self, number: int, corpus: Corpus, vocabulary: Vocabulary) -> None:
        """Writes the documents of a generation, if that was asked for."""
        if not self._writes_text:
            return
        (self._folder.partial / TEXT_FOLDER).mkdir(exist_ok=True)
        self._words = self._words or vocabulary.words()
        with self._folder.file(f"{TEXT_FOLDER}/generation-{number:04}.jsonl.zst") as stream:
            write_text(stream, corpus, self._words, number)

    def commit(self, simulation: Simulation) -> None:
        """Everything else, and the manifest last."""
        folder = self._folder
        folder.write_json(SIMULATION, simulation.report())
        _write_rows(folder, generation_rows(simulation.generations))
        if find_spec("matplotlib") is not None:
            with folder.file(PICTURE) as stream:
                draw(stream, simulation)
        if not has_report():
            warnings.warn("no page is written; for one: pip install 'textassay[report]'", OutputWarning, 2)
        _write_page(folder, simulation.report())
        folder.write_json(MANIFEST, {"schema": MANIFEST_SCHEMA, "settings": simulation.report()["settings"]})
        folder.commit()


def _write_page(folder: OutputFolder, report: Mapping[str, Any]) -> None:
    def made() -> bytes:
        from textassay.report.simulation_page import simulation_page

        return simulation_page(report)

    page = page_or_warning(made) if has_report() else None
    if page is not None:
        with folder.file(REPORT) as stream:
            stream.write(page)


def write_text(stream: BinaryIO, corpus: Corpus, words: Sequence[str], generation: int) -> None:
    """A record per document. Every sentence is a paragraph, so that the scanner finds the same words and sentences again."""
    lines = ZstdLines(stream)
    for number, (begin, end) in enumerate(pairwise(corpus.offsets.tolist())):
        numbers = corpus.words[begin:end]
        sentences = np.split(numbers, np.flatnonzero(numbers == END) + 1)[:-1]
        text = "\n\n".join(" ".join([words[word] for word in sentence[:-1].tolist()]) for sentence in sentences)
        lines.write({"id": f"generation-{generation}-{number}", "text": text})
    lines.close()


def generation_rows(generations: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A flat row for each generation; tail retention also by decade."""
    decades = [one["decade"] for one in generations[0]["tail"]]
    rows = []
    for one in generations:
        row = {name: value for name, value in one.items() if name not in _SKIPPED}
        row |= {"rarefied_types": next(iter(one["rarefied_types"].values()))}
        row |= {f"mean_{name}": value for name, value in one["documents"].items()}
        retained = {decade["decade"]: decade["retention"] for decade in one["tail"]}
        row |= {f"tail_retention_{decade}": retained.get(decade) for decade in decades}
        rows.append(row | {name: one["figures"][name] for name in one["figures"] if name != "tail_retention"})
    return rows


def _write_rows(folder: OutputFolder, rows: Sequence[Mapping[str, Any]]) -> None:
    if has_pyarrow():
        import pyarrow
        import pyarrow.parquet

        with folder.file(PARQUET) as stream:
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), stream, compression="zstd")
        return
    with folder.file(LINES) as stream:
        for row in rows:
            stream.write(json.dumps(row, allow_nan=False).encode() + b"\n")
    warnings.warn("generations are written as JSONL; for Parquet: pip install 'textassay[arrow]'", OutputWarning, 2)


_COLOURS = {"healthy": "#2e7d32", "early": "#f9a825", "late": "#ef6c00", "total": "#c62828"}


def draw(stream: BinaryIO, simulation: Simulation) -> None:
    """An SVG of four panels: entropy, words, tail, repetition; the stages as colours behind them. Equal simulations give equal
    bytes under one version of matplotlib.
    """
    import matplotlib
    from matplotlib.figure import Figure

    generations = simulation.generations
    numbers = [one["generation"] for one in generations]
    with matplotlib.rc_context({"svg.hashsalt": "textassay", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(9, 6), layout="constrained")
        panels = figure.subplots(2, 2, sharex=True).ravel()
        for panel, (title, lines) in zip(panels, _panels(generations).items(), strict=True):
            for one in generations:
                panel.axvspan(
                    one["generation"] - 0.5, one["generation"] + 0.5, color=_COLOURS[one["stage"]], alpha=0.12, lw=0
                )
            for label, values in lines.items():
                panel.plot(
                    numbers, [np.nan if value is None else value for value in values], marker="o", ms=3, label=label
                )
            panel.set_title(title, loc="left", fontsize=9)
            panel.set_xlim(-0.5, numbers[-1] + 0.5)
            panel.grid(alpha=0.3)
            if len(lines) > 1:
                panel.legend(fontsize=7)
        for panel in panels[2:]:
            panel.set_xlabel("generation")
        content = BytesIO()
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
    stream.write(content.getvalue())


def _panels(generations: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[float | None]]]:
    first = generations[0]

    def share(name: str) -> list[float | None]:
        return [one[name] / first[name] if first[name] else None for one in generations]

    tail: dict[str, list[float | None]] = {}
    for decade in (one["decade"] for one in first["tail"]):
        found = [{row["decade"]: row["retention"] for row in one["tail"]}.get(decade) for one in generations]
        tail[f"seen {max(LEAST_RARE, decade)} to {10 * decade - 1} times"] = found
    return {
        "entropy, bits a token": {"entropy": [one["entropy_bits"] for one in generations]},
        "words, of generation 0's": {"types": share("n_types"), "hapaxes": share("hapaxes")},
        "tail retention": tail or {"all": [one["tail_retention"] for one in generations]},
        "distinct n-grams of all": {
            "2-grams": [one["distinct_2"] for one in generations],
            "3-grams": [one["distinct_3"] for one in generations],
        },
    }
