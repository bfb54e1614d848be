"""The recipes run: on a local Ray, a local Spark and datatrove's local executor, where these are installed, and come to the counts of
one scan. (examples/recipes/nemo_curator_stage.py is run by hand.)
"""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from textassay import Profile, merge_profiles, scan

ROOT = Path(__file__).parent.parent
RECIPES = ROOT / "examples" / "recipes"
SHARDS = ROOT / "examples" / "shards"


def run(recipe: str, *arguments: object, **variables: str) -> None:
    line = [sys.executable, RECIPES / recipe, *map(str, arguments)]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"} | variables
    done = subprocess.run(line, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def assert_counts_of_a_scan(profile: Profile) -> None:
    """All but the figures of batches, which end with a batch of the engine's."""
    whole = scan(SHARDS).profile
    assert profile.totals() | {"n_batches": 0} == whole.totals() | {"n_batches": 0}
    assert profile.distributions() == whole.distributions()
    assert profile.top(1 << 20) == whole.top(1 << 20)


def needs(*packages: str) -> pytest.MarkDecorator:
    missing = [name for name in packages if find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} is not installed")


@needs("ray", "pandas")
def test_ray_data(tmp_path):
    run("ray_data.py", tmp_path / "all.tap", SHARDS)
    assert_counts_of_a_scan(Profile.load(tmp_path / "all.tap"))


@needs("pyspark", "pandas")
@pytest.mark.skipif(shutil.which("java") is None, reason="Spark needs Java")
def test_spark(tmp_path):
    """Spark reads no zstd unless Hadoop was built with it, so the shards are unpacked."""
    for path in SHARDS.iterdir():
        with (tmp_path / path.stem).open("wb") as stream:
            subprocess.run(["zstd", "-dcq", path], stdout=stream, check=True)
    run("spark.py", tmp_path / "all.tap", *sorted(tmp_path.glob("*.jsonl")), PYSPARK_PYTHON=sys.executable)
    assert_counts_of_a_scan(Profile.load(tmp_path / "all.tap"))


@needs("datatrove", "orjson")
def test_datatrove(tmp_path):
    run("datatrove_tap.py", SHARDS, tmp_path / "out")
    assert_counts_of_a_scan(merge_profiles(sorted((tmp_path / "out/profiles").iterdir()))[0])
    assert list((tmp_path / "out/kept").iterdir())


def test_slurm(tmp_path):
    """With an `sbatch` that runs the tasks of an array that have files, and what depends on them, at once."""
    sbatch = tmp_path / "bin/sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text(
        """#!/usr/bin/env bash
first=0 last=-1
for argument; do
    case $argument in
        --array=*) range=${argument#--array=} first=${range%-*} last=${range#*-} ;;
        --wrap=*) command=${argument#--wrap=} ;;
        --dependency=*) [ "$argument" = --dependency=afterany:77 ] || exit 1 ;;
    esac
done
echo 77
export SLURM_ARRAY_TASK_MIN=$first SLURM_ARRAY_TASK_MAX=$last SLURM_ARRAY_TASK_COUNT=$((last + 1 - first))
if [ "$last" -lt 0 ]; then exec bash -c "$command" >&2; fi
for task in $(seq "$first" 3); do SLURM_ARRAY_TASK_ID=$task bash -c "$command" >&2 || exit; done
"""
    )
    textassay = tmp_path / "bin/textassay"
    textassay.write_text(f'#!/usr/bin/env bash\nexec {sys.executable} -m textassay "$@"\n')
    sbatch.chmod(0o755)
    textassay.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    line = [RECIPES / "slurm.sh", SHARDS, tmp_path / "out"]
    done = subprocess.run(line, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/profile.tap").read_bytes() == scan(SHARDS).profile.serialize()
