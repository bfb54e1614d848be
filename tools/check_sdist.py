"""Checks what a source distribution holds: `python tools/check_sdist.py dist/textassay-*.tar.gz`.

All that the build reads must be in it, and nothing that is there for the checkout only.
"""

import sys
import tarfile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parent.parent
BUILT_FROM = ("csrc", "cmake", "python")
FILES = ("CMakeLists.txt", "pyproject.toml", "README.md", "LICENSE", "NOTICE", "PKG-INFO")
CHECKOUT_ONLY = (".ci", ".github", "bench", "build", "examples", "scripts", "site", "tests", "tools")
GENERATED = {".so", ".pyc", ".nbi", ".nbc"}
MOST_BYTES = 3 << 20


def faults_of(path: Path) -> list[str]:
    """What is wrong with it, a line each."""
    with tarfile.open(path) as archive:
        members = [member for member in archive.getmembers() if member.isfile()]
    names = {PurePosixPath(*PurePosixPath(member.name).parts[1:]): member.size for member in members}
    faults = [f"{name} is missing" for name in sorted(_needed() - set(map(str, names)))]
    for name in sorted(names):
        if name.parts[0] in CHECKOUT_ONLY or name.suffix in GENERATED:
            faults.append(f"{name} does not belong there")
    if path.stat().st_size > MOST_BYTES:
        faults.append(f"{path.stat().st_size} bytes: wanted at most {MOST_BYTES}")
    return faults


def _needed() -> set[str]:
    found = set(FILES)
    for folder in BUILT_FROM:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix not in GENERATED and "__pycache__" not in path.parts:
                found.add(path.relative_to(ROOT).as_posix())
    return found


if __name__ == "__main__":
    faults = [fault for path in sys.argv[1:] for fault in faults_of(Path(path))]
    sys.exit("\n".join(faults) or None)
