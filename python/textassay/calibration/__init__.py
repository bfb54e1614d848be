"""A detector fitted to the user's own labelled documents."""

from textassay.calibration.file import Calibration, load_calibration

__all__ = ["Calibration", "load_calibration"]
