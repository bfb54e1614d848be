"""What this backend is, and its one kernel set."""

import os

import numba
import zstandard


def backend_info() -> dict[str, str]:
    """Name, kernel set, and the versions of what it stands on."""
    return {
        "backend": "numba",
        "kernels": "scalar",
        "numba": numba.__version__,
        "zstandard": zstandard.__version__,
        "zstd": ".".join(map(str, zstandard.ZSTD_VERSION)),
    }


def available_kernels() -> tuple[str, ...]:
    """Kernel sets this machine can run, best first: numba compiles the one there is for it."""
    return ("scalar",)


def use_kernels(name: str) -> None:
    """Raises ValueError on an unknown or unsupported name."""
    if name not in available_kernels():
        raise ValueError(f'kernel set "{name}": wanted one of {", ".join(available_kernels())}')


if forced := os.environ.get("TEXTASSAY_KERNELS"):
    try:
        use_kernels(forced)
    except ValueError as error:
        raise ImportError(f"TEXTASSAY_KERNELS: {error}") from error
