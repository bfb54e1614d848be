"""Checks what a source distribution or a wheel holds: `python tools/check_distribution.py dist/*`.

All that it needs must be in it, and nothing else: no tests, nothing that a build left behind, nothing of the libraries that the
build fetched, which would land in the user's environment.
"""

import re
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parent.parent
BUILT_FROM = ("csrc", "cmake", "licenses", "python")
FILES = ("CMakeLists.txt", "pyproject.toml", "README.md", "LICENSE", "NOTICE", "PKG-INFO")
CHECKOUT_ONLY = (".ci", ".github", "bench", "build", "examples", "fuzz", "scripts", "site", "tests", "tools")
GENERATED = {".so", ".pyc", ".nbi", ".nbc"}
IN_WHEELS = re.compile(r"textassay|textassay\.libs|textassay-[^/]+\.dist-info")
NATIVE = re.compile(r"textassay/_native\.[^/]+\.so")
MOST_BYTES = {".gz": 3 << 20, ".whl": 12 << 20}


def faults_of(path: Path) -> list[str]:
    """What is wrong with it, a line each."""
    faults = _wheel_faults(path) if path.suffix == ".whl" else _source_faults(path)
    most = MOST_BYTES[path.suffix]
    if path.stat().st_size > most:
        faults.append(f"{path.stat().st_size} bytes: wanted at most {most}")
    return faults


def _source_faults(path: Path) -> list[str]:
    with tarfile.open(path) as archive:
        names = {PurePosixPath(*PurePosixPath(one.name).parts[1:]) for one in archive.getmembers() if one.isfile()}
    faults = _missing(FILES + sources(*BUILT_FROM), set(map(str, names)))
    for name in sorted(names):
        if name.parts[0] in CHECKOUT_ONLY or name.suffix in GENERATED:
            faults.append(f"{name} does not belong there")
    return faults


def _wheel_faults(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    faults = _missing((name.removeprefix("python/") for name in sources("python")), names)
    # Wheels carry copies of other people's libraries, and so their licences.
    licences = {name.partition(".dist-info/licenses/")[2] for name in names}
    faults += _missing(("LICENSE", "NOTICE", *sources("licenses")), licences)
    for name in sorted(names):
        if not IN_WHEELS.fullmatch(name.partition("/")[0]):
            faults.append(f"{name} does not belong there")
    modules = sum(NATIVE.fullmatch(name) is not None for name in names)
    wanted = 0 if path.stem.endswith("-py3-none-any") else 1
    if modules != wanted:
        faults.append(f"{modules} compiled modules: wanted {wanted}")
    return faults


def _missing(wanted: Iterable[str], names: set[str]) -> list[str]:
    return [f"{name} is missing" for name in sorted(set(wanted) - names)]


def _is_cached(path: Path) -> bool:
    return any(part == "__pycache__" or part.endswith("_cache") for part in path.parts)


def sources(*folders: str) -> tuple[str, ...]:
    """Files of the checkout that somebody wrote."""
    return tuple(
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix not in GENERATED and not _is_cached(path.relative_to(ROOT))
    )


if __name__ == "__main__":
    faults = [f"{name}: {fault}" for name in sys.argv[1:] for fault in faults_of(Path(name))]
    sys.exit("\n".join(faults) or None)
