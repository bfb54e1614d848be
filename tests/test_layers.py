"""Who may include and import whom, and what an instruction set's file may leave behind. The rules are those of CONTRIBUTING.md."""

import ast
import os
import platform
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from implementations import backend_module

ROOT = Path(__file__).parent.parent
CSRC = ROOT / "csrc"
PYTHON = ROOT / "python" / "textassay"
SOURCES = sorted(p for p in CSRC.rglob("*") if p.suffix in (".hpp", ".cpp", ".inc", ".inl"))

# Folder -> folders it may include from, itself aside; "" is csrc itself, where only error.hpp lies.
MAY_INCLUDE = {
    "": set(),
    "kernels": set(),
    "unicode": set(),
    "stats": {"", "kernels", "unicode"},
    "lm": {"", "kernels", "unicode", "stats"},
    "scan": {"", "kernels", "unicode", "stats", "lm"},
    "bindings": {"", "kernels", "unicode", "stats", "lm", "scan"},
}


def includes(path: Path) -> list[tuple[str, str]]:
    """Of each #include the mark (< or ") and the name."""
    text = path.read_text(encoding="utf-8")
    return re.findall(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', text, re.MULTILINE)


def own_header(name: str) -> Path | None:
    """Included by its bare name: names are unique."""
    return next((p for p in SOURCES if p.name == Path(name).name), None)


def folder_of(path: Path) -> str:
    relative = path.relative_to(CSRC)
    return relative.parts[0] if len(relative.parts) > 1 else ""


def test_there_are_sources():
    assert len(SOURCES) > 20
    assert {folder_of(p) for p in SOURCES} >= {"", "kernels", "unicode", "stats", "scan", "bindings"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(CSRC)))
def test_includes(path):
    folder = folder_of(path)
    allowed = MAY_INCLUDE[folder] | {folder}
    for mark, name in includes(path):
        header = own_header(name)
        if mark == '"':
            assert header is not None, f"{name} is not ours: wanted <{name}>"
        if header is not None:
            assert folder_of(header) in allowed, f"{folder or 'csrc'} may not include {header.relative_to(CSRC)}"


def test_only_bindings_know_python():
    for path in SOURCES:
        if folder_of(path) == "bindings":
            continue
        for _, name in includes(path):
            assert not re.match(r"pybind11|Python\.h|numpy", name), f"{path.relative_to(CSRC)} includes {name}"


def test_threads_live_in_scan():
    """A call may ask for threads (Measurer does); they are made and joined in scan/ and nowhere else."""
    for path in SOURCES:
        if folder_of(path) in ("scan", "bindings"):
            continue
        for _, name in includes(path):
            assert name not in ("thread", "future", "pthread.h", "condition_variable"), (
                f"{path.relative_to(CSRC)}: {name}"
            )


def test_kernels_throw_print_and_allocate_nothing():
    for path in SOURCES:
        if folder_of(path) != "kernels" or path.stem in ("dispatch",):
            continue
        code = re.sub(r"//.*", "", path.read_text(encoding="utf-8"))
        for word in ("throw", "new", "malloc", "printf", "cout", "cerr", "std::vector", "std::string"):
            assert not re.search(rf"(?<![\w:]){re.escape(word)}\b", code), f"{path.name}: {word}"


def test_library_code_does_not_print_or_exit():
    for path in SOURCES:
        code = re.sub(r"//.*", "", path.read_text(encoding="utf-8"))
        for word in (r"std::cout", r"std::cerr", r"\bprintf\(", r"\bfprintf\(stderr", r"\bexit\(", r"\babort\("):
            assert not re.search(word, code), f"{path.relative_to(CSRC)}: {word}"


def test_file_names_are_unique_and_say_something():
    names = Counter(p.name for p in SOURCES)
    assert [name for name, count in names.items() if count > 1] == []
    for path in [*SOURCES, *PYTHON.rglob("*.py"), *(ROOT / "tests").glob("*.py"), *(ROOT / "bench").glob("*.py")]:
        assert not re.search(r"util|common|helper|misc", path.stem), path


def test_nothing_is_built_for_this_machine_only():
    """-march=native would make a wheel that only its builder can run."""
    files = [
        *SOURCES,
        *ROOT.glob("*.toml"),
        *ROOT.glob("CMake*"),
        *(ROOT / "cmake").rglob("*"),
        *(ROOT / ".github").rglob("*.yml"),
    ]
    files += [ROOT / ".ci" / "run", *(ROOT / "scripts").glob("*")]
    for path in files:
        if path.is_file():
            assert not re.search(r"-m(arch|cpu|tune)=native", path.read_text(encoding="utf-8")), path


# What an instruction set's file leaves behind

KERNEL_FILES = ("avx2.cpp", "avx512.cpp", "neon.cpp", "scalar.cpp")


def compile_options(name: str) -> list[str]:
    """Those that CMakeLists.txt gives this one file."""
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    found = re.search(rf'csrc/kernels/{re.escape(name)} PROPERTIES\s+COMPILE_OPTIONS "([^"]+)"', text)
    assert found or name in ("neon.cpp", "scalar.cpp"), (
        f"no options for {name}: is it compiled for its instruction set?"
    )
    return found[1].split(";") if found else []


def symbols(obj: Path) -> list[tuple[str, str]]:
    """(type, name) of the defined symbols."""
    listed = subprocess.run(["nm", "--defined-only", obj], capture_output=True, text=True, check=True).stdout
    return [tuple(line.split()[-2:]) for line in listed.splitlines() if len(line.split()) >= 2]


@pytest.mark.parametrize("optimisation", ["-O0", "-O3"])
@pytest.mark.parametrize("name", KERNEL_FILES)
def test_isa_files_leave_no_weak_symbols(tmp_path, name, optimisation):
    """A weak symbol compiled with -mavx2 may be the one the linker keeps for the whole program, which then needs AVX2 to start."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    if not (CSRC / "kernels" / name).exists():
        pytest.fail(f"csrc/kernels/{name} is gone: name its successor here")
    if x86 == (name == "neon.cpp") and name != "scalar.cpp":
        return  # of the other architecture: nothing of it is compiled here
    compiler = shutil.which(os.environ.get("CXX", "g++")) or shutil.which("c++")
    assert compiler, "the tests need a C++ compiler"
    obj = tmp_path / "kernels.o"
    architecture = "-DTEXTASSAY_X86_64" if x86 else "-DTEXTASSAY_AARCH64"
    command = [compiler, "-std=c++20", optimisation, "-fPIC", architecture, *compile_options(name)]
    subprocess.run([*command, "-I", CSRC, "-c", CSRC / "kernels" / name, "-o", obj], check=True)
    found = symbols(obj)
    assert found, "no symbol at all: this tested nothing"
    assert [s for kind, s in found if kind in "WVuvw"] == []
    public = [s for kind, s in found if kind.isupper()]
    assert len(public) == 1 and "Kernels" in public[0], public


# Python

MODULES = sorted(PYTHON.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Absolute names of all modules a file imports, wherever in the file."""
    package = ("textassay", *path.relative_to(PYTHON).parent.parts)
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return names


def part_of(path: Path) -> str:
    relative = path.relative_to(PYTHON)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PYTHON)))
def test_imports(path):
    part, names = part_of(path), imported(path)

    def imports(module: str) -> bool:
        return any(n == module or n.startswith(module + ".") for n in names)

    if part not in ("cli", "__main__"):
        assert not imports("textassay.cli"), "nothing imports the command line"
        assert not imports("typer") and not imports("click"), "only cli/ parses arguments"
    if part not in ("_backend", "_numba"):
        assert not imports("textassay._native") and not imports("textassay._numba"), (
            "_backend chooses, nobody else asks"
        )
    if part != "_numba":
        assert not imports("numba") and not imports("llvmlite")
    else:
        public = {n for n in names if n.startswith("textassay.") and not n.startswith("textassay._numba")}
        assert not public, f"a backend knows nothing of what stands on it: {public}"


def test_import_is_light():
    """`import textassay` costs a scan of nothing: what is heavy loads when it is needed."""
    heavy = ("numba", "llvmlite", "pyarrow", "scipy", "matplotlib", "jinja2", "pandas", "typer", "rich", "orjson")
    code = f"import sys, textassay; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert found.stdout.strip() == "[]"


def test_command_line_help_is_light():
    code = "import sys; import textassay.cli; print([m for m in ('numba', 'pyarrow', 'scipy', 'matplotlib', 'jinja2') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert found.stdout.strip() == "[]"


# The stub is the reference


DESCRIBING = ("TypedDict", "Protocol")


def stub_names() -> tuple[set[str], dict[str, set[str]]]:
    """Functions and constants; classes with their public methods and properties. Typed dictionaries and protocols describe, they do not exist."""
    tree = ast.parse((PYTHON / "_native.pyi").read_text(encoding="utf-8"))
    names, classes = set(), {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign):
            names.add(node.target.id)
        elif isinstance(node, ast.ClassDef) and not any(getattr(b, "id", "") in DESCRIBING for b in node.bases):
            classes[node.name] = {n.name for n in node.body if isinstance(n, ast.FunctionDef)} - {"__init__"}
    return names, classes


@pytest.mark.parametrize("backend", ["native", "numba"])
def test_stub_is_the_backend(backend):
    module = backend_module(backend)
    names, classes = stub_names()
    public = set(getattr(module, "__all__", None) or (n for n in dir(module) if not n.startswith("_")))
    public = {n for n in public if not isinstance(getattr(module, n), type(ast))}  # submodules aside
    assert public == names | set(classes)
    for name, members in classes.items():
        found = {n for n in dir(getattr(module, name)) if not n.startswith("_")}
        assert found == members, name
