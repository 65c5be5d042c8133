"""Digests of the code a script reaches, so that an edit reruns exactly the stages that import the edited module.

Snakemake tracks a script's own file only. A rule therefore passes `digest=` of every module of this package that its script
imports, directly or through others, at the top of a module or inside a function. Modules are parsed and never imported.
"""

import ast
import functools
import hashlib
from pathlib import Path

SOURCE = Path(__file__).parents[1]
PACKAGE = Path(__file__).parent.name


def digest(script, source=SOURCE, package=PACKAGE):
    """Hex digest of the package's files that a script reaches.

    Args:
        script: a Python file; its own text does not count (Snakemake tracks that).
        source: the folder in which the package lies.
        package: name of the package.
    """
    total = hashlib.sha256()
    for path in sorted(reached(script, source, package)):
        total.update(f"{path.relative_to(source)}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:16]


def reached(script, source=SOURCE, package=PACKAGE):
    """Set of the package's files that a script imports, and of what lies beside them and is no Python (a page's template)."""
    source = Path(source)
    waiting = set(_imports(Path(script), "", source, package))
    modules = set()
    while waiting:
        module = waiting.pop()
        modules.add(module)
        waiting |= set(_imports(_file(module, source), module, source, package)) - modules
    files = {_file(module, source) for module in modules}
    return files | {extra for path in files for extra in _companions(path.parent)}


@functools.cache
def _imports(path, module, source, package):
    """Modules of the package that a file imports, with every package on the way to them."""
    is_package = path.name == "__init__.py"
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, module, is_package)
            # `from package import name`: the name may be a module or something inside one
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        found.update(name for name in names if name == package or name.startswith(f"{package}."))
    ways = {".".join(name.split(".")[:n]) for name in found for n in range(1, name.count(".") + 2)}
    return frozenset(name for name in ways if _file(name, source))


def _base(node, module, is_package):
    if not node.level:
        return node.module
    parts = module.split(".")
    parts = parts[: len(parts) - node.level + is_package]
    return ".".join([*parts, *([node.module] if node.module else [])])


@functools.cache
def _file(module, source):
    path = source.joinpath(*module.split("."))
    candidates = (path / "__init__.py", path.with_name(f"{path.name}.py"))
    return next((file for file in candidates if file.is_file()), None)


@functools.cache
def _companions(folder):
    skipped = {".py", ".pyc", ".pyi"}
    return frozenset(p for p in folder.iterdir() if p.is_file() and p.suffix not in skipped and not p.name.startswith("."))
