"""The choice of backend and kernels, made in a child process and asked there: after the import it is too late to set a variable."""

import os
import subprocess
import sys

import pytest

from implementations import BACKENDS, IMPLEMENTATIONS, expected_kernels, on_every_backend

ASK = """
import textassay, textassay._backend as chosen
backend = chosen.get()
info = backend.backend_info()
print(backend.__name__, info["backend"], info["kernels"])
print(backend.word_spans(b"one two").tolist())
"""


def child(code: str = ASK, **variables: str) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if k not in ("TEXTASSAY_BACKEND", "TEXTASSAY_KERNELS")}
    environment |= {"TEXTASSAY_NUMBA_CACHE": "1", **variables}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment, cwd="/", timeout=300
    )


def test_native_is_the_default():
    answer = child()
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines() == [f"textassay._native native {expected_kernels()[0]}", "[[0, 3], [4, 7]]"]
    assert answer.stderr == ""


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS, ids=str)
def test_forced(implementation):
    answer = child(TEXTASSAY_BACKEND=implementation.backend, TEXTASSAY_KERNELS=implementation.kernels)
    assert answer.returncode == 0, answer.stderr
    name = f"textassay._{implementation.backend} {implementation.backend} {implementation.kernels}"
    assert answer.stdout.splitlines() == [name, "[[0, 3], [4, 7]]"]


def test_unknown_backend_is_an_error():
    answer = child(TEXTASSAY_BACKEND="natvie")
    assert answer.returncode != 0 and answer.stdout == ""
    last = answer.stderr.strip().splitlines()[-1]
    assert "natvie" in last and "native" in last and "numba" in last


UNSUPPORTED = [k for k in ("avx512", "avx2", "neon") if k not in expected_kernels()]


@pytest.mark.parametrize("backend", [b.backend for b in BACKENDS])
@pytest.mark.parametrize("kernels", ["avx3", "AVX2", "scalar ", "best", *UNSUPPORTED])
def test_unknown_and_unsupported_kernels_are_errors(backend, kernels):
    answer = child(TEXTASSAY_BACKEND=backend, TEXTASSAY_KERNELS=kernels)
    assert answer.returncode != 0, f"{kernels} was taken for {answer.stdout}"
    assert answer.stdout == ""
    last = answer.stderr.strip().splitlines()[-1]
    assert kernels in last and "scalar" in last, last


@pytest.mark.parametrize("kernels", ["avx3", *UNSUPPORTED])
def test_error_reaches_the_command_line(kernels):
    """One line, exit code 2: a configuration, not a crash."""
    environment = {**os.environ, "TEXTASSAY_KERNELS": kernels}
    answer = subprocess.run(
        [sys.executable, "-m", "textassay", "scan", os.devnull],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert answer.returncode == 2, answer
    assert "Traceback" not in answer.stderr and kernels in answer.stderr


@on_every_backend
def test_use_kernels(implementation):
    backend = implementation.use()
    for name in ("avx3", "", "Scalar"):
        with pytest.raises(ValueError, match="scalar"):
            backend.use_kernels(name)
    assert backend.backend_info()["kernels"] == implementation.kernels, "a refused name changed the set"
    assert backend.available_kernels()[-1] == "scalar"


def test_available_kernels_are_those_of_the_machine():
    native = BACKENDS[0].use()
    assert native.available_kernels() == expected_kernels()


def test_missing_compiled_module_is_said():
    """A wheel without the extension runs the numba path and says so, once."""
    code = "import sys; sys.modules['textassay._native'] = None\n" + ASK + "chosen.get()\n"
    answer = child(code)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines()[0] == "textassay._numba numba scalar"
    assert answer.stderr.count("numba backend") == 1 and "_native" in answer.stderr


def test_no_backend_at_all_is_an_error_with_both_reasons():
    code = "import sys; sys.modules['textassay._native'] = None; sys.modules['numba'] = None\n" + ASK
    answer = child(code)
    assert answer.returncode != 0
    last = answer.stderr.strip().splitlines()[-1]
    assert "_native" in last and "numba" in last


def test_versions_are_named():
    for implementation in BACKENDS:
        info = implementation.use().backend_info()
        wanted = ("zstd", "simdjson", "zlib") if implementation.backend == "native" else ("numba", "zstandard")
        for name in wanted:
            assert info[name][0].isdigit(), (name, info)
