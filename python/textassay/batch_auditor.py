"""The batch audit inside a training loop."""

import threading
from collections import deque
from collections.abc import Mapping
from typing import Any

from textassay import _backend
from textassay.batch import HIGH, HOLD, checked_vocabulary, count_batch, verdict
from textassay.drift import DownwardDrift, DriftSettings
from textassay.errors import UsageError
from textassay.table import Table

HISTORY = 1000
STATE_VERSION = 1
_ROW = ("step", "n_tokens", "entropy_bits", "type_token_ratio", "drift")


class BatchAuditor:
    """Watches the entropy of training batches: a floor, and a downward drift.

    >>> auditor = BatchAuditor(vocab_size=50_257, floor=7.5)
    >>> for batch in loader:
    ...     found = auditor.update(batch["input_ids"])
    ...     if found["drift"]:
    ...         log.warning("entropy has been falling since step %d", found["drift_since"])

    Batches are to be of about one size: entropy grows with the number of tokens. One with less than half or more than
    twice the tokens of the first is measured, but says nothing of drift.

    One auditor may be used from several threads; calls wait for each other. It counts without the interpreter's lock.
    """

    def __init__(
        self,
        vocab_size: int,
        *,
        floor: float | None = None,
        ignore_id: int | None = None,
        history: int = HISTORY,
        baseline: tuple[float, float] | None = None,
        baseline_batches: int = 200,
        slack: float = 0.5,
        threshold: float = 10.0,
        least_sd: float = 0.01,
    ) -> None:
        """`floor` in bits; None: no floor, and `below_floor` is None.

        `ignore_id`: an id that is no token, as padding or -100. `history`: how many results are kept. `baseline`: mean and
        standard deviation of the entropy of good batches of this size, in bits; without it the first
        `baseline_batches` are taken for good. `slack`, `threshold` (both in standard deviations) and `least_sd`
        (bits): see `drift.DriftSettings`.

        Raises `UsageError` on settings out of range.
        """
        if floor is not None and not floor >= 0:
            raise UsageError(f"floor={floor}: wanted bits, from 0")
        if history < 0:
            raise UsageError(f"history={history}: wanted a number of results, from 0")
        self.vocab_size, self.floor, self.ignore_id = checked_vocabulary(vocab_size), floor, ignore_id
        self._drift = DownwardDrift(DriftSettings(baseline, baseline_batches, slack, threshold, least_sd))
        self._since: int | None = None
        self._history: deque[tuple[Any, ...]] = deque(maxlen=history)
        self._step = 0
        self._usual_tokens = 0
        self._counter = _backend.get().IdCounter(self.vocab_size)
        self._lock = threading.Lock()

    def update(self, token_ids: Any) -> dict[str, Any]:
        """Takes the next batch, in any form that `batch_entropy_audit` takes; a torch tensor on a GPU is copied to the CPU
        first, which waits for the GPU: hand over the batch before it goes there.

        Returns what `batch_entropy_audit` returns, and `step` (from 0), `drift`, `drift_since` (the step at which the
        drift most likely began; None where there is none) and `cusum` (in standard deviations; a drift is flagged
        above `threshold`). Below the floor or with a drift, `synthetic_risk` is "HIGH" and `action`
        "HOLD_FOR_REVIEW".

        Raises as `batch_entropy_audit` does; such a batch is not counted.
        """
        with self._lock:
            n_tokens, n_types, entropy = count_batch(token_ids, self._counter, self.vocab_size, self.ignore_id)
            step, self._step = self._step, self._step + 1
            self._watch(step, n_tokens, entropy)
            ratio = n_types / n_tokens
            self._history.append((step, n_tokens, entropy, ratio, self._drift.is_flagged))
            found = {"step": step, "entropy_bits": round(entropy, 3), "type_token_ratio": round(ratio, 4)}
            return found | self._verdict(entropy)

    def _watch(self, step: int, n_tokens: int, entropy: float) -> None:
        self._usual_tokens = self._usual_tokens or n_tokens
        if not self._usual_tokens <= 2 * n_tokens <= 4 * self._usual_tokens:
            return
        self._drift.update(entropy)
        if self._drift.statistic == 0:
            self._since = None
        elif self._since is None:
            self._since = step

    def _verdict(self, entropy: float) -> dict[str, Any]:
        is_drift = self._drift.is_flagged
        found = verdict(entropy, -1.0 if self.floor is None else self.floor)
        if self.floor is None:
            found["below_floor"] = None
        if is_drift:
            found |= {"synthetic_risk": HIGH, "action": HOLD}
        since = self._since if is_drift else None
        return found | {"drift": is_drift, "drift_since": since, "cusum": round(self._drift.statistic, 3)}

    @property
    def history(self) -> Table:
        """The last results, a row a step: `step`, `n_tokens`, `entropy_bits`, `type_token_ratio` (not rounded), `drift`."""
        with self._lock:
            rows = list(self._history)
        return Table({name: [row[place] for row in rows] for place, name in enumerate(_ROW)})

    def state_dict(self) -> dict[str, Any]:
        """All that a checkpoint has to keep, as JSON can hold it: settings, chart, history."""
        with self._lock:
            return {
                "version": STATE_VERSION,
                "vocab_size": self.vocab_size,
                "step": self._step,
                "usual_tokens": self._usual_tokens,
                "since": self._since,
                "drift": self._drift.state_dict(),
                "history": [list(row) for row in self._history],
            }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where `state_dict` was taken. Floor and length of the history may have changed since.

        Raises `UsageError` where the state is another thing, or of another vocabulary or other drift settings; nothing has
        changed then.
        """
        with self._lock:
            if not isinstance(state, Mapping) or set(state) != _STATE or state["version"] != STATE_VERSION:
                raise UsageError("wanted the state_dict of a BatchAuditor of this version")
            if state["vocab_size"] != self.vocab_size:
                raise UsageError(f"the state is of vocab_size={state['vocab_size']}, this auditor of {self.vocab_size}")
            try:
                step, usual = int(state["step"]), int(state["usual_tokens"])
                since = None if state["since"] is None else int(state["since"])
                history = [_history_row(*row) for row in state["history"]]
            except (TypeError, ValueError) as error:
                raise UsageError(f"wanted the state_dict of a BatchAuditor: {error}") from error
            self._drift.load_state_dict(state["drift"])
            self._step, self._usual_tokens, self._since = step, usual, since
            self._history = deque(history, self._history.maxlen)


_STATE = {"version", "vocab_size", "step", "usual_tokens", "since", "drift", "history"}


def _history_row(step: Any, n_tokens: Any, entropy: Any, ratio: Any, drift: Any) -> tuple[Any, ...]:
    return int(step), int(n_tokens), float(entropy), float(ratio), bool(drift)
