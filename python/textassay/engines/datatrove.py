"""Steps for datatrove pipelines: one that scans raw files, a shard for each task, and one that measures the documents that pass
(docs/cluster.md).
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any

from textassay.errors import MissingPackageError
from textassay.measuring import Scanner
from textassay.shards import scan_shard

try:
    from datatrove.data import Document
    from datatrove.pipeline.base import PipelineStep
except ImportError as missing:
    raise MissingPackageError("the engine datatrove needs datatrove: pip install 'textassay[datatrove]'") from missing

TYPE = "textassay"
BATCH_DOCUMENTS = 1000
PREFIX = "textassay_"


class ScanFiles(PipelineStep):
    """Scans raw files: each task its shard of them, as `scan_shard` does, so that one which is run again finds what is done.

    Documents that come from earlier steps are passed on. `textassay merge OUT` adds the shards up.
    """

    type = TYPE
    name = "scan files"

    def __init__(
        self,
        inputs: str | PathLike[str] | Sequence[str | PathLike[str]],
        out: str | PathLike[str],
        *,
        threads: int = 1,
        **options: Any,
    ) -> None:
        """`options` are those of `scan`; all are sent to the tasks, so paths are better than what is read from them."""
        super().__init__()
        self.inputs, self.out, self.options = inputs, out, options | {"threads": threads}

    def run(self, data: Iterable[Document] | None = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        yield from data or ()
        with self.track_time("shard"):
            summary = scan_shard(self.inputs, self.out, (rank, world_size), **self.options).summary
        if summary is not None:
            for name in ("files", "files_damaged", "documents", "malformed", "bytes"):
                self.stat_update(name, value=summary["inputs"][name], unit="shard")


class TapDocuments(PipelineStep):
    """Measures the documents that pass, leaves them as they are, and counts them into a profile for each task:
    `out`/00003-of-00064.tap, which `textassay merge OUT/*.tap` adds up.

    The documents of a task count as those of one file. Their signals, and the label where there is one, go into their
    metadata as `textassay_mattr` and so on, null as None.
    """

    type = TYPE
    name = "tap documents"

    def __init__(
        self,
        out: str | PathLike[str],
        *,
        add_to_metadata: bool = True,
        batch_documents: int = BATCH_DOCUMENTS,
        threads: int = 1,
        **options: Any,
    ) -> None:
        """So many documents are held back and measured at a time. `options` are those of `Scanner`."""
        super().__init__()
        self.out, self.options = out, options | {"threads": threads}
        self.add_to_metadata, self.batch_documents = add_to_metadata, batch_documents

    def run(self, data: Iterable[Document] | None = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        scanner, documents = Scanner(**self.options), iter(data or ())
        while batch := list(islice(documents, self.batch_documents)):
            with self.track_time("batch"):
                rows = scanner.update([document.text for document in batch]).rows()
                for document, row in zip(batch, rows, strict=True):
                    if self.add_to_metadata:
                        document.metadata |= {PREFIX + name: value for name, value in row.items()}
            self.stat_update("documents", value=len(batch), unit="batch")
            yield from batch
        folder = Path(self.out)
        folder.mkdir(parents=True, exist_ok=True)
        scanner.profile.save(folder / f"{rank:05d}-of-{world_size:05d}.tap")
