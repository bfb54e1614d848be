#!/usr/bin/env python3
"""Trains the detector that textassay ships, and says what it is worth on data sets that it has not seen.

Usage:  python tools/train_detector.py evaluate ../shared/data      tables for docs/model-card.md, on stdout
        python tools/train_detector.py train ../shared/data OUT     writes OUT/model.json and OUT/weights.bin.zst

The folder holds `labelled/` and `corpora/`. It needs scikit-learn (`pip install 'textassay[calibrate]'`), 4 GB of memory and some
minutes. The same input gives the same files on the same machine and libraries.
"""

import os

# Threads add up floats in another order.
for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import hashlib
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from detector.evaluation import LeftOut, recall_only, report
from detector.fitting import fit_model
from detector.labelled import CORPORA, read_corpora, read_labelled
from detector.samples import Samples

from textassay.detector import DEFAULT, write_detector
from textassay.lexicon import default_lexicon

SETS = ("biscope", "fast-detect-gpt-oss", "glimpse", "l2r", "outfox")
"""Sets with both sides. The corpora have human text only: they are trained on, and nothing is calibrated on them."""
ONE_SIDED = "notxbuty"
"""Without human text: trained on, and left out to see the recall."""


def main() -> None:
    arguments = parsed()
    samples = Samples.of(read_labelled(arguments.data / "labelled") + read_corpora(arguments.data / "corpora"))
    if arguments.job == "evaluate":
        cache: dict[Any, Any] = {}
        left_out = {
            name: LeftOut(samples, name, fit_model(samples, SETS, [name], cache)) for name in (*SETS, ONE_SIDED)
        }
        sys.stdout.write(report([left_out[name] for name in SETS]) + "\n" + recall_only(left_out[ONE_SIDED]))
    else:
        train(samples, arguments.data, arguments.out)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    jobs = parser.add_subparsers(dest="job", required=True)
    for job in ("evaluate", "train"):
        jobs.add_parser(job).add_argument("data", type=Path)
    jobs.choices["train"].add_argument("out", type=Path)
    return parser.parse_args()


def train(samples: Samples, data: Path, out: Path) -> None:
    model = fit_model(samples, SETS, [], {})
    weights = model.pop("weights")
    sides = Counter(f"{d.dataset}, {'synthetic' if d.synthetic else 'human'}" for d in samples.documents)
    training = {
        "labelled": digest(sorted((data / "labelled").glob("*.jsonl.zst"))),
        "corpora": digest([data / "corpora" / f"{name}-000.jsonl.zst" for name in sorted(CORPORA)]),
        "documents": dict(sides),
    }
    write_detector(out, model | {"name": DEFAULT, "markers": default_lexicon().digest, "training": training}, weights)


def digest(paths: list[Path]) -> str:
    """Of names and contents, BLAKE2b-64."""
    whole = hashlib.blake2b(digest_size=8)
    for path in paths:
        whole.update(path.name.encode() + b"\0" + hashlib.blake2b(path.read_bytes()).digest())
    return whole.hexdigest()


if __name__ == "__main__":
    main()
