"""Every public function of the packages says what it takes and what it returns; mypy, in `make lint`, checks that it is true."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "src"
MODULES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))


def public_functions(node, inside=""):
    """(name, function) of the public functions and methods of a module or class, and of what a class is made with."""
    for child in node.body:
        if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            yield from public_functions(child, f"{inside}{child.name}.")
        elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) and (child.name == "__init__" or not child.name.startswith("_")):
            yield f"{inside}{child.name}", child


def missing(function):
    """Names of the arguments without a type, and `return`."""
    own = function.args
    arguments = [*own.posonlyargs, *own.args, *own.kwonlyargs, *filter(None, (own.vararg, own.kwarg))]
    named = [argument.arg for argument in arguments if argument.annotation is None and argument.arg not in ("self", "cls", "_")]
    return named + (["return"] if function.returns is None and function.name != "__init__" else [])


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_public_functions_have_types(path):
    found = {name: missing(function) for name, function in public_functions(ast.parse((ROOT / path).read_text(encoding="utf-8")))}
    assert {name: names for name, names in found.items() if names} == {}


def test_a_missing_type_is_seen():
    tree = ast.parse("class A:\n    def __init__(self, a: int): ...\n    def b(self, c, *, d: int): ...\n    def _e(self, f): ...")
    assert {name: missing(function) for name, function in public_functions(tree)} == {"A.__init__": [], "A.b": ["c", "return"]}
