"""Chooses the backend, once, at first use. Nobody else asks.

The compiled module `textassay._native` is taken if it is there, otherwise `textassay._numba`, which holds the same
names. `TEXTASSAY_BACKEND=native` or `numba` forces one; a forced backend that cannot run is an error, never a
silent other one.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from types import ModuleType

from textassay.errors import BackendError, BackendWarning, UsageError

BACKENDS = {"native": "textassay._native", "numba": "textassay._numba"}

_chosen: ModuleType | None = None
_reason = ""


def get() -> ModuleType:
    """The backend module; `_native.pyi` is its interface. The first call chooses.

    Raises `BackendError` where no backend can run, `UsageError` where TEXTASSAY_BACKEND names none.
    """
    global _chosen, _reason
    if _chosen is None:
        _chosen, _reason = _choose(os.environ.get("TEXTASSAY_BACKEND", ""))
    return _chosen


def reason() -> str:
    """Why the backend in use was taken."""
    get()
    return _reason


@contextmanager
def using(name: str) -> Iterator[ModuleType]:
    """Tests only: run the enclosed calls on backend `name`. Objects made before keep the backend that made them."""
    global _chosen, _reason
    before = _chosen, _reason
    _chosen, _reason = _choose(name)
    try:
        yield _chosen
    finally:
        _chosen, _reason = before


def _choose(forced: str) -> tuple[ModuleType, str]:
    if forced:
        return _load_forced(forced), f"TEXTASSAY_BACKEND={forced}"
    try:
        return _load("native"), "the compiled module is there"
    except ImportError as error:
        why = _why_missing("native", error)
    try:
        backend = _load("numba")
    except ImportError as error:
        raise BackendError(f"no backend can run: {why}; {_why_missing('numba', error)}") from error
    warnings.warn(f"the numba backend runs, several times slower than the compiled one: {why}", BackendWarning, 3)
    return backend, why


def _load_forced(name: str) -> ModuleType:
    if name not in BACKENDS:
        close = get_close_matches(name, BACKENDS, 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise UsageError(f"TEXTASSAY_BACKEND={name!r}: wanted one of {', '.join(BACKENDS)}{hint}")
    try:
        return _load(name)
    except ImportError as error:
        raise BackendError(f"TEXTASSAY_BACKEND={name}, but {_why_missing(name, error)}") from error


def _load(name: str) -> ModuleType:
    """Raises ImportError, but `UsageError` where the module is there and TEXTASSAY_KERNELS names a set that it does
    not have.
    """
    try:
        return import_module(BACKENDS[name])
    except (ImportError, ValueError) as error:
        # A module that refuses while it loads does so with an ImportError that names no module.
        if os.environ.get("TEXTASSAY_KERNELS") and getattr(error, "name", None) is None:
            raise UsageError(f"TEXTASSAY_KERNELS={os.environ['TEXTASSAY_KERNELS']}: {error}") from error
        raise


def _why_missing(name: str, error: ImportError) -> str:
    module = BACKENDS[name]
    if error.name == module:
        return f"{module} is not in this installation"
    if name == "numba" and error.name is not None and error.name.split(".")[0] in ("numba", "llvmlite"):
        return "numba is not installed: pip install 'textassay[numba]'"
    return f"{module} does not load: {error}"
