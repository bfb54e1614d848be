"""How every kernel of this backend is compiled."""

import os
import zlib
from pathlib import Path

import numba

CACHE = os.environ.get("TEXTASSAY_NUMBA_CACHE") == "1"

# Division by zero never happens here, so the numpy model only saves the branches. No fastmath: what is binned must
# agree to the bit. Nothing is compiled before its first call.
#
# `_nrt=False` turns reference counting off: kernels allocate nothing and only borrow arrays. Without it every small
# function that is handed an array counts it up and down, atomically, which cost half of a scan's time. So a kernel must
# not call np.zeros and its like, nor assign one array to a slice of another, nor return an array.
kernel = numba.njit(nogil=True, cache=CACHE, error_model="numpy", _nrt=False)

# For the few functions that a loop calls per byte or per code point and that are worth a copy at each caller.
inlined = numba.njit(nogil=True, cache=CACHE, error_model="numpy", forceinline=True, _nrt=False)


def _forget_other_sources() -> None:
    """Deletes what was cached of other versions of these files.

    numba looks only at the file of the function it loads, not at those of the functions compiled into it.
    """
    folder = Path(__file__).parent
    stamp = folder / "__pycache__" / "numba-sources"
    now = str(zlib.crc32(b"".join(path.read_bytes() for path in sorted(folder.glob("*.py")))))
    try:
        if not stamp.exists() or stamp.read_text() != now:
            for index in stamp.parent.glob("*.nbi"):
                index.unlink(missing_ok=True)
            stamp.parent.mkdir(exist_ok=True)
            stamp.write_text(now)
    except OSError:
        pass  # nothing can be cached here then, nor is there anything to forget


if CACHE:
    _forget_other_sources()
