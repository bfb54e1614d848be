"""What goes to the package index: which Pythons get wheels, and what a source distribution must hold. scripts/wheel-check builds and tries them."""

import io
import re
import runpy
import subprocess
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CHECK = runpy.run_path(str(ROOT / "tools" / "check_distribution.py"))


def pythons_of_ci() -> set[str]:
    """As cibuildwheel spells them: cp311, cp314t."""
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))["jobs"]
    found = [step["with"]["python-version"] for job in ("gate", "free-threaded") for step in jobs[job]["steps"][1:2]]
    found += jobs["test"]["strategy"]["matrix"]["python"]
    return {f"cp{version.replace('.', '')}" for version in found}


def test_every_python_that_is_tested_gets_a_wheel():
    wheels = {name.removesuffix("-manylinux_*") for name in PROJECT["tool"]["cibuildwheel"]["build"].split()}
    assert wheels == pythons_of_ci() == {"cp311", "cp312", "cp313", "cp314", "cp314t"}


def test_classifiers_name_them():
    named = re.findall(r"Python :: (3\.\d+)'", str(PROJECT["project"]["classifiers"]))
    assert {f"cp{version.replace('.', '')}" for version in named} == {
        name for name in pythons_of_ci() if not name.endswith("t")
    }
    assert "Typing :: Typed" in PROJECT["project"]["classifiers"]


def test_wheels_are_built_natively_on_both_machines():
    """A wheel without the compiled module must fail its build, and no machine is emulated."""
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "wheels.yml").read_text(encoding="utf-8"))["jobs"]
    assert jobs["wheels"]["strategy"]["matrix"]["os"] == ["ubuntu-24.04", "ubuntu-24.04-arm"]
    settings = PROJECT["tool"]["cibuildwheel"]
    assert settings["environment"]["TEXTASSAY_REQUIRE_NATIVE"] == "1"
    assert settings["config-settings"] == {"cmake.define.TEXTASSAY_FETCH": "ON"}
    assert set(jobs["publish"]["needs"]) == {"wheels", "check", "source"}


@pytest.mark.parametrize("path", sorted((ROOT / "scripts").iterdir()), ids=lambda path: path.name)
def test_scripts_parse_and_say_what_they_do(path):
    subprocess.run(["bash", "-n", path], check=True)
    assert path.stat().st_mode & 0o111
    assert path.read_text(encoding="utf-8").splitlines()[1].startswith("# ")


# check_distribution

SOURCES = {*CHECK["FILES"], *CHECK["sources"](*CHECK["BUILT_FROM"])}
LICENCES = {
    f"textassay-0.1.0.dist-info/licenses/{name}" for name in ("LICENSE", "NOTICE", *CHECK["sources"]("licenses"))
}
IN_WHEEL = {name.removeprefix("python/") for name in CHECK["sources"]("python")} | LICENCES
COMPILED = "textassay/_native.cpython-311-x86_64-linux-gnu.so"


def source_distribution(folder: Path, names: set[str]) -> Path:
    path = folder / "textassay-0.1.0.tar.gz"
    with tarfile.open(path, "w:gz") as stream:
        for name in names:
            stream.addfile(tarfile.TarInfo(f"textassay-0.1.0/{name}"), io.BytesIO())
    return path


def wheel(folder: Path, tag: str, names: set[str]) -> Path:
    path = folder / f"textassay-0.1.0-{tag}.whl"
    with zipfile.ZipFile(path, "w") as stream:
        for name in names:
            stream.writestr(name, b"")
    return path


def test_whole_distributions_pass(tmp_path):
    faults_of = CHECK["faults_of"]
    assert faults_of(source_distribution(tmp_path, SOURCES)) == []
    assert faults_of(wheel(tmp_path, "cp311-cp311-manylinux_2_28_x86_64", IN_WHEEL | {COMPILED})) == []
    assert faults_of(wheel(tmp_path, "py3-none-any", IN_WHEEL)) == []
    assert {"csrc/bindings/module.cpp", "cmake/Dependencies.cmake", "python/textassay/py.typed"} <= SOURCES


@pytest.mark.parametrize(
    "missing", ["csrc/bindings/module.cpp", "python/textassay/lexicons/markers-en.txt", "PKG-INFO"]
)
def test_what_is_missing_is_named(tmp_path, missing):
    assert CHECK["faults_of"](source_distribution(tmp_path, SOURCES - {missing})) == [f"{missing} is missing"]
    name = missing.removeprefix("python/")
    if name in IN_WHEEL:
        assert CHECK["faults_of"](wheel(tmp_path, "py3-none-any", IN_WHEEL - {name})) == [f"{name} is missing"]


@pytest.mark.parametrize(
    "extra", ["tests/conftest.py", "bench/table.py", "python/textassay/_native.so", "site/index.html"]
)
def test_what_does_not_belong_is_named(tmp_path, extra):
    (fault,) = CHECK["faults_of"](source_distribution(tmp_path, SOURCES | {extra}))
    assert fault == f"{extra} does not belong there"


def test_licences_of_what_wheels_carry(tmp_path):
    """libzstd is BSD-3-Clause: its text has to come along."""
    assert {name.rpartition("/")[2] for name in LICENCES} == {
        "LICENSE",
        "NOTICE",
        "unicode.txt",
        "zlib.txt",
        "zstd.txt",
    }
    zstd = {name for name in LICENCES if name.endswith("zstd.txt")}
    assert CHECK["faults_of"](wheel(tmp_path, "py3-none-any", IN_WHEEL - zstd)) == ["licenses/zstd.txt is missing"]


@pytest.mark.parametrize("extra", ["include/zlib.h", "lib/libz.so", "tests/conftest.py"])
def test_what_does_not_belong_in_a_wheel_is_named(tmp_path, extra):
    """Libraries that were fetched for the build install themselves, if they may."""
    (fault,) = CHECK["faults_of"](wheel(tmp_path, "py3-none-any", IN_WHEEL | {extra}))
    assert fault == f"{extra} does not belong there"


def test_the_compiled_module_is_where_the_tag_says(tmp_path):
    assert CHECK["faults_of"](wheel(tmp_path, "cp311-cp311-linux_x86_64", IN_WHEEL)) == ["0 compiled modules: wanted 1"]
    assert CHECK["faults_of"](wheel(tmp_path, "py3-none-any", IN_WHEEL | {COMPILED})) == [
        "1 compiled modules: wanted 0"
    ]


def test_only_our_component_is_installed():
    assert PROJECT["tool"]["scikit-build"]["install"] == {"components": ["textassay"]}
    installs = re.findall(r"^ *install\((.*)\)", (ROOT / "CMakeLists.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert installs and all(one.endswith("COMPONENT textassay") for one in installs)
