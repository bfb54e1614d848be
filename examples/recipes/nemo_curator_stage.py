"""A stage for NeMo Curator (1.4): signals as columns of its DocumentBatches, and a profile for each of them.

    pipeline.add_stage(Textassay(profiles="/shared/profiles"))

`textassay merge /shared/profiles/*.tap --threads 8` adds the profiles up.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from nemo_curator.stages.base import ProcessingStage
from nemo_curator.tasks import DocumentBatch

import textassay as ta


@dataclass
class Textassay(ProcessingStage[DocumentBatch, DocumentBatch]):
    profiles: str
    text_field: str = "text"
    options: dict[str, Any] = field(default_factory=dict)
    name: str = "textassay"

    def inputs(self) -> tuple[list[str], list[str]]:
        return ["data"], [self.text_field]

    def outputs(self) -> tuple[list[str], list[str]]:
        return ["data"], [self.text_field, "mattr"]

    def process(self, batch: DocumentBatch) -> DocumentBatch:
        documents, scanner = batch.to_pandas(), ta.Scanner(threads=1, **self.options)
        signals = pd.DataFrame(scanner.update(documents[self.text_field]).to_dict(), index=documents.index)
        # A profile for each task: not every executor calls teardown, and a task that is run again writes the same file.
        Path(self.profiles).mkdir(parents=True, exist_ok=True)
        scanner.profile.save(Path(self.profiles) / f"{batch.task_id.replace('/', '_')}.tap")
        return DocumentBatch(
            dataset_name=batch.dataset_name,
            data=pd.concat([documents, signals], axis=1),
            _metadata=batch._metadata,
            _stage_perf=batch._stage_perf,
        )
