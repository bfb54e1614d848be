"""Trains and evaluates the detector that textassay ships. `tools/train_detector.py` is its command line."""
