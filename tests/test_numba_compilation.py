"""What only the numba backend does: compile, late, and keep the result only when asked to."""

import os
import subprocess
import sys

import pytest

COMPILED_BY_IMPORT = """
import sys
import textassay._numba
from numba.core.dispatcher import Dispatcher
modules = [m for name, m in sys.modules.items() if name.startswith("textassay._numba.")]
kernels = [f for m in modules for f in vars(m).values() if isinstance(f, Dispatcher)]
print(len(kernels) > 50, sorted({f.__name__ for f in kernels if f.signatures}))
"""
ALLOCATES = """
from textassay._numba.jit import kernel
import numpy
kernel(lambda n: numpy.zeros(n)[0])(3)
"""
CACHES = """
from textassay._numba.fixed_log import compute_log2_times
print(type(compute_log2_times._cache).__name__)
"""


def child(code: str, **variables: str) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TEXTASSAY_")} | variables
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment, timeout=300
    )


def test_import_compiles_nothing():
    assert child(COMPILED_BY_IMPORT).stdout.splitlines() == ["True []"]


@pytest.mark.parametrize(("variables", "cache"), [({}, "NullCache"), ({"TEXTASSAY_NUMBA_CACHE": "1"}, "FunctionCache")])
def test_nothing_is_cached_unless_asked(variables, cache):
    assert child(CACHES, **variables).stdout.split() == [cache]


def test_kernels_cannot_allocate():
    """Reference counting is off: an array made in a kernel would never be freed, so numba must refuse it."""
    answer = child(ALLOCATES)
    assert answer.returncode != 0 and "numba.core.errors" in answer.stderr
