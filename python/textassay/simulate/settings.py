"""What a simulation does, and what came out."""

from dataclasses import asdict, dataclass, field
from typing import Any

from textassay.collapse import Limits
from textassay.errors import UsageError
from textassay.simulate.forecast import Forecast
from textassay.simulate.model import MAX_ORDER
from textassay.simulate.sampling import Filter
from textassay.summary import is_damaged
from textassay.tail_retention import TAIL_MASS

TOKENS = 10 << 20
SCHEMA = "textassay.simulation/1"
_MOST_GENERATIONS = 10_000


@dataclass(frozen=True)
class Settings:
    """What a simulation does; docs/simulation.md explains each. Raises `UsageError` on what makes no sense."""

    generations: int = 8
    tokens: int = TOKENS
    anchor_fraction: float = 0.0
    synthetic_ratio: float | None = None
    accumulate: bool = False
    order: int = MAX_ORDER
    temperature: float = 1.0
    top_p: float = 1.0
    filters: tuple[str, ...] = ()
    seed: int = 0
    tail_mass: float = TAIL_MASS
    entropy_floor: float | None = None
    tail_floor: float | None = None
    horizon: int = 100
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        synthetic = self.synthetic
        wanted = (
            ("generations", 1 <= self.generations <= _MOST_GENERATIONS, f"1 to {_MOST_GENERATIONS}"),
            ("tokens", 1 <= self.tokens < 1 << 31, "1 to 2^31 - 1"),
            ("anchor_fraction", 0 <= self.anchor_fraction <= 1, "a share from 0 to 1"),
            ("synthetic_ratio", 0 <= synthetic <= 1, "a share from 0 to 1"),
            ("synthetic_ratio", synthetic + self.anchor_fraction <= 1 + 1e-9, "at most 1 - anchor_fraction"),
            ("order", self.order in range(1, MAX_ORDER + 1), f"1 to {MAX_ORDER}"),
            ("temperature", 0.05 <= self.temperature <= 20, "0.05 to 20"),
            ("top_p", 0 < self.top_p <= 1, "above 0, up to 1"),
            ("seed", 0 <= self.seed < 1 << 64, "0 to 2^64 - 1"),
            ("tail_mass", 0 < self.tail_mass < 1, "a share between 0 and 1"),
            ("entropy_floor", self.entropy_floor is None or self.entropy_floor >= 0, "bits, from 0"),
            ("tail_floor", self.tail_floor is None or 0 <= self.tail_floor <= 1, "a share from 0 to 1"),
            ("horizon", 1 <= self.horizon <= 1_000_000, "1 to 1,000,000"),
        )
        for name, is_fine, what in wanted:
            if not is_fine:
                raise UsageError(f"{name}={getattr(self, name)}: wanted {what}")
        for text in self.filters:
            Filter.parse(text)

    @property
    def synthetic(self) -> float:
        """Share of generated text in a generation."""
        return 1 - self.anchor_fraction if self.synthetic_ratio is None else self.synthetic_ratio

    @property
    def fresh_tokens(self) -> int:
        """Of real text, in each generation."""
        return round(self.tokens * self.anchor_fraction)

    @property
    def pool_tokens(self) -> int:
        """Of real text, that are held where there are so many."""
        return self.tokens + self.fresh_tokens * self.generations


@dataclass(frozen=True)
class Simulation:
    """What came out. `generations` begins with 0, the real text; each has the figures of `measure_generation`, and
    `n_generated`, `n_drawn`: documents of it that the model wrote, and had to write for that.
    """

    settings: Settings
    corpus: dict[str, Any]
    generations: list[dict[str, Any]]
    forecasts: list[Forecast]
    performance: dict[str, Any]

    def __repr__(self) -> str:
        return f"<Simulation of {len(self.generations) - 1} generations, now {self.generations[-1]['stage']}>"

    def is_damaged(self, malformed_budget: float = 0) -> bool:
        """Whether a file was damaged, or more records were malformed than the budget allows; see `ScanResult.is_damaged`."""
        return is_damaged(self.corpus["inputs"], malformed_budget)

    def report(self) -> dict[str, Any]:
        """simulation.json; without `performance` equal for equal input, whatever the threads and the backend."""
        settings = asdict(self.settings) | {"synthetic_ratio": self.settings.synthetic}
        return {
            "schema": SCHEMA,
            "settings": settings,
            "corpus": self.corpus,
            "generations": self.generations,
            "forecasts": [one.report() for one in self.forecasts],
            "performance": self.performance,
        }
