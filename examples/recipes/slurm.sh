#!/usr/bin/env bash
# Usage: examples/recipes/slurm.sh INPUT OUT
# Scans INPUT with 64 tasks of a Slurm job array into OUT, which all nodes share, and adds the shards up when all have ended.
# A task that failed is named by the last job; `sbatch --array=5,17 ... --shard slurm/64` scans these shards again.
set -euo pipefail
input=$1 out=$2 shards=64

array=$(sbatch --parsable --array=0-$((shards - 1)) --cpus-per-task=16 --mem=16G --job-name=textassay-scan \
    --wrap="textassay scan '$input' -o '$out' --shard slurm/$shards --quiet")
sbatch --dependency="afterany:$array" --cpus-per-task=8 --mem=32G --job-name=textassay-merge \
    --wrap="textassay merge '$out' -o '$out' --threads 8"
