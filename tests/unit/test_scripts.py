"""The scripts are shims: short, and each one's call fits the function that it calls."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

from bow2cnn.config.generate import all_keys

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "workflow/scripts").glob("*.py"))
CONFIG_KEYS = {key.path[-1] for key in all_keys() if len(key.path) == 2 or key.path[2:3] == ("test",)}


def imported(tree):
    """Name -> module of what a script imports from the package, without what is around its call."""
    nodes = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module.startswith("bow2cnn.")]
    return {alias.name: node.module for node in nodes for alias in node.names if alias.name not in ("digest", "stage")}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_script_is_a_shim(script):
    assert len(script.read_text().splitlines()) <= 45
    assert len(imported(ast.parse(script.read_text()))) == 1


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_call_fits_the_signature(script):
    tree = ast.parse(script.read_text())
    ((name, module),) = imported(tree).items()
    parameters = inspect.signature(getattr(importlib.import_module(module), name)).parameters
    (call,) = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == name]
    given = {keyword.arg for keyword in call.keywords if keyword.arg}
    unpacked = any(keyword.arg is None for keyword in call.keywords)
    assert given <= set(parameters)
    missing = {p.name for p in parameters.values() if p.default is p.empty} - given
    assert missing <= (CONFIG_KEYS if unpacked else set())


def test_every_script_has_a_rule_and_every_rule_its_script():
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    assert all(f"../scripts/{script.name}" in rules for script in SCRIPTS)
    named = {line.strip().strip('"').split("/")[-1] for line in rules.splitlines() if "../scripts/" in line}
    assert named == {script.name for script in SCRIPTS}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_lineages_are_of_the_code_and_the_libraries_of_the_job(script):
    """And not of what Snakemake's own environment holds, which a rule's `digest` tells."""
    text = script.read_text()
    ((name, module),) = imported(ast.parse(text)).items()
    wanted = "code" in inspect.signature(getattr(importlib.import_module(module), name)).parameters
    assert ("code=digest(__file__)" in text) == wanted and "params.digest" not in text
