"""Collapse, made to happen: the published minimal simulation, and one on a corpus of one's own (docs/simulation.md)."""

from textassay.simulate.gaussian import minimal_report, recursive_resample
from textassay.simulate.generations import simulate_corpus
from textassay.simulate.settings import Settings, Simulation

__all__ = ["Settings", "Simulation", "minimal_report", "recursive_resample", "simulate_corpus"]
