"""A training loop that watches the entropy of its batches, and keeps the watch in its checkpoints.

Run it as it stands: python examples/training_loop.py. Batches are made up; in the last third they lose their variety, little
by little, as a stream does that a model has begun to write.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

import textassay as ta

VOCABULARY, BATCHES, SEQUENCES, LENGTH = 50_257, 300, 8, 512


def loader(first: int = 0) -> Iterator[NDArray[np.int64]]:
    """Batches of token ids by Zipf's law, each by its number: a run that goes on sees what one that was not stopped sees."""
    for step in range(first, BATCHES):
        random = np.random.default_rng(step)
        steepness = 1.1 + 0.003 * max(0, step - 200)
        chances = np.arange(1, VOCABULARY + 1) ** -steepness
        yield random.choice(VOCABULARY, (SEQUENCES, LENGTH), p=chances / chances.sum())


def train(checkpoint: Path, until: int) -> int | None:
    """Goes on from a checkpoint if there is one. Returns the step at which it stopped for review, or None."""
    auditor = ta.BatchAuditor(VOCABULARY, floor=5.0, baseline_batches=100)
    first = 0
    if checkpoint.exists():
        state = json.loads(checkpoint.read_text())
        auditor.load_state_dict(state["auditor"])
        first = state["step"]
    for step, batch in enumerate(loader(first), first):
        if step == until:
            checkpoint.write_text(json.dumps({"step": step, "auditor": auditor.state_dict()}))
            return None
        found = auditor.update(batch)
        if found["action"] == "HOLD_FOR_REVIEW":
            print(f"step {step}: {found['entropy_bits']} bits a token, falling since step {found['drift_since']}")
            return step
        # ... forward, backward, step
    return None


def main() -> None:
    with TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "checkpoint.json"
        assert train(checkpoint, until=150) is None  # the job's time is over
        held = train(checkpoint, until=BATCHES)
    assert held is not None and held > 200, "it should have been seen, and not before it began"


if __name__ == "__main__":
    main()
