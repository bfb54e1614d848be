"""Files as a scan decodes them, for who wants their bytes."""

import numpy as np
from numpy.typing import NDArray

from textassay._numba.frames import Damage, Decoder, Source


class Decompressor:
    """The uncompressed bytes of a file (zstd, gzip, plain), as a scan decodes them."""

    def __init__(self, source: int | bytes, *, max_window_log: int = 27) -> None:
        """Of a path, or of an open file descriptor, which stays open. Raises OSError where the file cannot be read, ValueError on a window out of range."""
        if not 10 <= max_window_log <= 31:
            raise ValueError(f"max_window_log: wanted 10 to 31, got {max_window_log}")
        self._source = Source(source)
        self._pieces = Decoder(self._source, max_window_log).pieces()
        self._piece = np.zeros(0, np.uint8)
        self._damage = ""

    def __del__(self) -> None:
        if hasattr(self, "_source"):
            self._source.__exit__()

    @property
    def damage(self) -> str:
        """Why the file ended early, once its end has been read; empty where it did not."""
        return self._damage

    def read_into(self, memory: NDArray[np.uint8]) -> int:
        """Fills `memory` from its front and returns how many bytes that were."""
        filled = 0
        while filled < len(memory) and (len(self._piece) or self._next_piece()):
            part = self._piece[: len(memory) - filled]
            memory[filled : filled + len(part)] = part
            self._piece = self._piece[len(part) :]
            filled += len(part)
        return filled

    def _next_piece(self) -> bool:
        try:
            self._piece = np.frombuffer(next(self._pieces, b""), np.uint8)
        except Damage as damage:
            self._damage = damage.reason
        return len(self._piece) > 0
