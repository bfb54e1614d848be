"""Records of two numbers in sorted runs on disk (csrc/lm/sorted_runs.hpp)."""

import itertools
from pathlib import Path

import numpy as np

_LEAST = 1 << 16
_RECORD_BYTES = 16


class SortedRuns:
    """Where the runs of all threads go: files FOLDER/NAME-0.bin, ..."""

    def __init__(self, folder: str, name: str, memory_of_thread: int) -> None:
        self._folder, self._name = Path(folder), name
        self._numbers = itertools.count()
        self.capacity = max(_LEAST, memory_of_thread // _RECORD_BYTES)

    def write(self, run: np.ndarray) -> None:
        with (self._folder / f"{self._name}-{next(self._numbers)}.bin").open("wb") as stream:
            stream.write(run.tobytes())
