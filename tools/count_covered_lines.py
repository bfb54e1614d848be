"""Counts the lines of C++ that tests have run: `python tools/count_covered_lines.py BUILD_FOLDER`, of a build of the coverage preset.

Prints a row a file, readers and state first; of these each has to have at least 95 % of its lines run, or the exit code is 1.
"""

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
LEAST = 0.95
READERS_AND_STATE = (
    *(
        f"csrc/scan/{name}.cpp"
        for name in ("lines", "strict_json", "frames", "text", "rows", "documents", "batches", "scan")
    ),
    *(f"csrc/stats/{name}.cpp" for name in ("histogram", "type_table", "vocabulary", "provenance", "id_counts")),
    *(f"csrc/lm/{name}.cpp" for name in ("sorted_runs", "ngram_runs", "fingerprints", "perplexity")),
    "csrc/bindings/profile_state.hpp",
    "csrc/bindings/register_profile.cpp",
    "csrc/bindings/register_decompressor.cpp",
)


def covered_lines(build: Path) -> dict[str, dict[int, int]]:
    """By file, relative to the repository: how often each of its lines ran, in all object files together."""
    counts: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for data in sorted(build.rglob("*.gcda")):
        found = subprocess.run(
            ["gcov", "--json-format", "--stdout", data.resolve()], cwd=build, capture_output=True, check=True
        )
        for line in found.stdout.splitlines():
            for file in json.loads(line)["files"]:
                path = (build / file["file"]).resolve()
                if path.is_relative_to(ROOT / "csrc"):
                    for one in file["lines"]:
                        counts[path.relative_to(ROOT).as_posix()][one["line_number"]] += one["count"]
    return counts


def main() -> int:
    counts = covered_lines(Path(sys.argv[1]).resolve())
    below = []
    for name in sorted(counts, key=lambda name: (name not in READERS_AND_STATE, name)):
        lines = counts[name]
        missed = sorted(line for line, count in lines.items() if count == 0)
        share = 1 - len(missed) / len(lines)
        print(f"{share:7.1%} {len(lines):5} {name}  {' '.join(map(str, missed[:30]))}")
        if name in READERS_AND_STATE and share < LEAST:
            below.append(name)
    below += sorted(set(READERS_AND_STATE) - set(counts))
    print(f"below {LEAST:.0%}: {', '.join(below)}" if below else f"readers and state are at {LEAST:.0%} or more")
    return bool(below)


if __name__ == "__main__":
    sys.exit(main())
