"""Usage: datatrove_tap.py INPUT_FOLDER OUT_FOLDER

A datatrove pipeline that drops documents of few distinct words, by a signal that textassay adds to their metadata. The
profiles of what came in are in OUT_FOLDER/profiles: `textassay merge OUT_FOLDER/profiles/*.tap` adds them up.
"""

import sys

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers.jsonl import JsonlWriter

from textassay.engines.datatrove import TapDocuments


def keep_varied(documents, rank, world_size):
    for document in documents:
        mattr = document.metadata["textassay_mattr"]
        if mattr is not None and mattr >= 0.6:
            yield document


if __name__ == "__main__":
    folder, out = sys.argv[1:]
    steps = [
        JsonlReader(folder, glob_pattern="*.jsonl.zst"),
        TapDocuments(f"{out}/profiles"),
        keep_varied,
        JsonlWriter(f"{out}/kept"),
    ]
    LocalPipelineExecutor(steps, tasks=2, workers=2, logging_dir=f"{out}/logs").run()
