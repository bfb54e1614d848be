"""Collapse, made to happen: the published minimal simulation, and one on a corpus of one's own (docs/simulation.md)."""

from textassay.simulate.gaussian import recursive_resample
from textassay.simulate.generations import Simulation, simulate_corpus

__all__ = ["Simulation", "recursive_resample", "simulate_corpus"]
