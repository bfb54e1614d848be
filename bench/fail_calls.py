"""Lets every call of every command that writes fail, one after the other: write, fsync, rename, open, mkdir, unlink, link,
truncate. Checks exit code, message, earlier results, and that the same command then ends with the same results.

    python bench/fail_calls.py [MOST] [CASE...]

MOST: of each kind of call so many at most (default: all). Exit code 1 where anything does not hold.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from faulted import Fault, FaultyMachine
from faulted_commands import CALLS, CASES, Trial, sampled, write_inputs


def main(most: int = 1 << 30, *names: str) -> int:
    tries = wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_inputs(place / "inputs")
        machine = FaultyMachine(place / "machine", temporary=place / "work/tmp")
        for name in names or CASES:
            for over in (False, True):
                trial = Trial(machine, place / "inputs", place, CASES[name], over, "native")
                done, bad = of_trial(trial, name, most)
                tries, wrong = tries + done, wrong + bad
                print(f"{name}{', over earlier results' if over else ''}: {done} tries, {bad} wrong", flush=True)
        machine.close()
    print(f"{tries} tries, {wrong} wrong")
    return min(wrong, 1)


def of_trial(trial: Trial, name: str, most: int) -> tuple[int, int]:
    tries = wrong = 0
    for kind, error in CALLS.items():
        calls = trial.calls(kind)
        for number in sampled(calls, most):
            for lasting in (False, True) if kind == "write" else (False,):
                tries += 1
                found = list(trial.wrong(Fault(kind, number, error, lasting)))
                wrong += bool(found)
                for what in found:
                    print(f"  {name}, {kind} {number} of {calls}{', lasting' if lasting else ''}: {what}", flush=True)
    return tries, wrong


if __name__ == "__main__":
    sys.exit(main(*(int(one) if one.isdecimal() else one for one in sys.argv[1:])))
