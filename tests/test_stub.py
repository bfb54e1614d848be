"""`_native.pyi` against what is there: parameters, their order, kinds, defaults and types, and what is returned.

The compiled module is asked through the signatures that pybind11 writes into docstrings, the numba path through `inspect`.
That the names are the same is held by test_layers.py.
"""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from implementations import backend_module

STUB = Path(__file__).parent.parent / "python" / "textassay" / "_native.pyi"


class Parameter(NamedTuple):
    name: str
    is_keyword_only: bool
    has_default: bool
    default: Any


class Signature(NamedTuple):
    parameters: list[Parameter]
    types: dict[str, str]
    returned: str


def value_of(node: ast.expr) -> Any:
    """A default. Both sides of `1 << 20` are numbers; an empty list is an empty tuple."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.LShift):
        return ast.literal_eval(node.left) << ast.literal_eval(node.right)
    return immutable(ast.literal_eval(node))


def immutable(value: Any) -> Any:
    return tuple(map(immutable, value)) if isinstance(value, (list, tuple)) else value


TYPED_DICTS: set[str] = set()


def kind_of(annotation: ast.expr | None) -> str:
    """A type as far as both sides say it: `int`, `array uint64`, `dict`, `Sequence`, a class, or `object` for what may be several things."""
    text = "None" if annotation is None else ast.unparse(annotation)
    text = text.replace("textassay._native.", "").replace("numpy.typing.", "").replace("collections.abc.", "")
    if text.endswith(" | None"):
        return f"{kind_of(ast.parse(text.removesuffix(' | None'), mode='eval').body)} or None"
    arrays = re.fullmatch(r"NDArray\[(?:np|numpy)\.(\w+)\]|(?:typing\.)?Annotated\[ArrayLike, numpy\.(\w+)\]", text)
    if arrays:
        return "array " + (arrays[1] or arrays[2]).rstrip("_")
    if text == "numpy.ndarray" or text.startswith("NDArray["):
        return "array"
    if text.startswith("typing.SupportsInt"):
        return "int"
    if text.startswith("typing.SupportsFloat"):
        return "float"
    if text.startswith("Literal["):
        return "str"
    name = re.match(r"[\w.]+", text)[0]
    return "dict" if name in TYPED_DICTS else name


def signature_of(function: ast.FunctionDef) -> Signature:
    arguments = function.args
    assert not arguments.vararg and not arguments.kwarg and not arguments.posonlyargs
    missing = [None] * (len(arguments.args) - len(arguments.defaults))
    found, types = [], {}
    for is_keyword_only, names, defaults in (
        (False, arguments.args, [*missing, *arguments.defaults]),
        (True, arguments.kwonlyargs, arguments.kw_defaults),
    ):
        for argument, default in zip(names, defaults, strict=True):
            if argument.arg == "self":
                continue
            value = None if default is None else value_of(default)
            found.append(Parameter(argument.arg, is_keyword_only, default is not None, value))
            types[argument.arg] = kind_of(argument.annotation)
    return Signature(found, types, kind_of(function.returns))


def stub_functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    """`tokens`, `Scan.__init__`, `Scan.next`, ...; properties aside, and protocols, which somebody else follows."""
    for node in ast.parse(STUB.read_text(encoding="utf-8")).body:
        bases = {getattr(base, "id", "") for base in node.bases} if isinstance(node, ast.ClassDef) else set()
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef) and "TypedDict" in bases:
            TYPED_DICTS.add(node.name)
        elif isinstance(node, ast.ClassDef) and "Protocol" not in bases:
            for member in node.body:
                if isinstance(member, ast.FunctionDef):
                    yield f"{node.name}.{member.name}", member


FUNCTIONS = dict(stub_functions())


def is_property(function: ast.FunctionDef) -> bool:
    return any(getattr(one, "id", "") == "property" for one in function.decorator_list)


CALLABLES = {name: function for name, function in FUNCTIONS.items() if not is_property(function)}


def looked_up(module: Any, name: str) -> Any:
    for part in name.split("."):
        module = inspect.getattr_static(module, part) if inspect.isclass(module) else getattr(module, part)
    return module


def native_signature(name: str) -> Signature:
    """From a docstring's first line, which is a definition without `def`."""
    owner, _, method = name.rpartition(".")
    module = backend_module("native")
    found = getattr(getattr(module, owner), method) if owner else getattr(module, method)
    line = found.__doc__.splitlines()[0]
    assert line.startswith(f"{method}("), f"{name}: {line}"
    tree = ast.parse(f"def {line}: ...").body[0]
    assert isinstance(tree, ast.FunctionDef)
    return signature_of(tree)


def agrees(stub: str, there: str) -> bool:
    """The compiled module says less where a value may be several things or None, or an array of any type."""
    if there == "object":
        return stub.endswith(" or None")
    plain = stub.removesuffix(" or None")
    return there in (stub, plain) or (there == "array" and plain.startswith("array"))


def test_there_are_functions():
    assert len(CALLABLES) > 40 and len(FUNCTIONS) > len(CALLABLES) and "Event" in TYPED_DICTS


@pytest.mark.parametrize("name", CALLABLES)
def test_native_signatures(name):
    wanted, there = signature_of(CALLABLES[name]), native_signature(name)
    assert there.parameters == wanted.parameters
    for parameter, kind in wanted.types.items():
        assert agrees(kind, there.types[parameter]), f"{parameter}: {kind} in the stub, {there.types[parameter]} there"
    assert agrees(wanted.returned, there.returned), f"{wanted.returned} in the stub, {there.returned} there"


@pytest.mark.parametrize("name", CALLABLES)
def test_numba_signatures(name):
    found = inspect.signature(looked_up(backend_module("numba"), name))
    there = [
        Parameter(
            one.name,
            one.kind is inspect.Parameter.KEYWORD_ONLY,
            one.default is not inspect.Parameter.empty,
            None if one.default is inspect.Parameter.empty else immutable(one.default),
        )
        for one in found.parameters.values()
        if one.name != "self"
    ]
    assert there == signature_of(CALLABLES[name]).parameters


@pytest.mark.parametrize("backend", ["native", "numba"])
@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - set(CALLABLES)))
def test_properties(backend, name):
    assert isinstance(looked_up(backend_module(backend), name), property)


def test_the_package_says_that_it_is_typed():
    assert (STUB.parent / "py.typed").read_text() == ""


@pytest.mark.parametrize(
    ("stub", "compiled"),
    [
        ("def f(a: int, b: bytes = b'') -> int: ...", "def f(b: bytes, a: int) -> int: ..."),
        ("def f(a: int) -> int: ...", "def f(a: int = 1) -> int: ..."),
        ("def f(a: int = 1 << 4) -> int: ...", "def f(a: int = 15) -> int: ..."),
        ("def f(*, a: int) -> int: ...", "def f(a: int) -> int: ..."),
    ],
)
def test_differences_are_seen(stub, compiled):
    first, second = (signature_of(ast.parse(text).body[0]) for text in (stub, compiled))
    assert first.parameters != second.parameters


@pytest.mark.parametrize(
    ("stub", "compiled"),
    [("int", "str"), ("NDArray[np.int64]", "NDArray[numpy.int32]"), ("int", "object"), ("Event", "list")],
)
def test_other_types_are_seen(stub, compiled):
    assert not agrees(*(kind_of(ast.parse(text, mode="eval").body) for text in (stub, compiled)))
