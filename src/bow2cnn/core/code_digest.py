"""Digests of the code that a script reaches, so that an edit reruns exactly the stages whose results it can change.

Snakemake tracks a script's own file only. A rule therefore passes `digest=` of every module of this package that its script
imports, directly or through others, at the top of a module or inside a function, and of the versions of the libraries that these
import. The job takes the same digest in its own environment, as a part of the lineages by which `bow2cnn.core.lineage` keeps rows.
Modules are parsed and versions are looked up; nothing is imported.

The digest of a module covers its syntax tree (without comments and formatting), but not docstrings, annotations of functions, log messages
and labels of progress bars. It covers texts of errors, because artefacts contain some of them: why a photo was rejected, why a cluster has
no model.
"""

import ast
import functools
import hashlib
from importlib import metadata
from pathlib import Path

SOURCE = Path(__file__).parents[2]
PACKAGE = Path(__file__).parents[1].name

# Modules of the package that cannot change a result. The modules that they import still count. If you move an algorithm into one of
# these, or a text that artefacts contain, take the module off this list. Some modules look similar but count: `printable` (names in
# COLMAP's files), `isolated` (artefacts contain its reasons for lost photos), `threads` (sums may depend on them), `lineage` and
# `same_photos` (they decide which rows belong together).
PLUMBING = (
    "config/base",  # a job gets its part of the config as params of its rule, which count
    "config/experiment",
    "config/messages",
    "config/model",
    "core/code_digest",  # an edit that matters changes the digests themselves
    "core/atomic_files",  # writes bytes unchanged, whole or not at all
    "core/run_lock",  # one run at a time
    "descriptors/steps",  # names; the functions, in `descriptors/apply_steps`, count
    "pairs/sources",  # a source's entry is a param of its rule, and the module of its function counts
    "core/memory",  # keeps freed memory
    "core/parallel",  # the same work in more threads, in the order of the items
    "core/progress",  # progress bars
    "core/stage",  # the log, signals and the line of an error
)

# Libraries that compute: module -> the distributions that may install it. NumPy is one of them: its random numbers and the sums of its
# linear algebra may differ between versions. Libraries that only store or show (h5py, tqdm, Jinja, ...) change no result.
LIBRARIES = {
    "PIL": ("pillow",),
    "cv2": ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python"),
    "faiss": ("faiss-cpu", "faiss-gpu", "faiss"),
    "networkx": ("networkx",),
    "numba": ("numba",),
    "numpy": ("numpy",),
    "pillow_heif": ("pillow-heif",),
    "pycolmap": ("pycolmap", "pycolmap-cuda12"),
    "scipy": ("scipy",),
    "timm": ("timm",),
    "torch": ("torch",),
}


def digest(script: str | Path, source: str | Path = SOURCE, package: str = PACKAGE) -> str:
    """Hexadecimal digest of the modules of the package and the versions of `LIBRARIES` that a file imports.

    Args:
        script: a Python file. A module of the package is included itself; a script is not (Snakemake tracks it).
        source: the folder that contains the package.
        package: name of the package.

    Raises:
        OSError, SyntaxError: a file cannot be read or parsed.
    """
    source = Path(source)
    total = hashlib.sha256()
    for path in sorted(reached(script, source, package)):
        total.update(f"{path.relative_to(source)}\0".encode())
        total.update(_content(path))
    for library in libraries(script, source, package):
        total.update(f"{library}\0{version(library)}\0".encode())
    return total.hexdigest()[:16]


def reached(script: str | Path, source: str | Path = SOURCE, package: str = PACKAGE) -> set[Path]:
    """Files of the package that a script imports, and files beside them that are not Python (such as the templates of a page).

    `PLUMBING` is left out. Arguments as for `digest`.
    """
    files = {_file(module, Path(source)) for module in _walk(script, source, package)}
    plumbing = {Path(source, package, f"{name}.py") for name in PLUMBING}
    return (files - plumbing) | {extra for path in files for extra in _companions(path.parent)}


def libraries(script: str | Path, source: str | Path = SOURCE, package: str = PACKAGE) -> list[str]:
    """Sorted names of the `LIBRARIES` that a script imports, itself or through the package. Arguments as for `digest`."""
    script, source = Path(script), Path(source)
    names = set(_names(script, "")) if _module(script, source, package) is None else set()
    for module in _walk(script, source, package):
        names |= _names(_file(module, source), module)
    return sorted({name.split(".")[0] for name in names} & LIBRARIES.keys())


@functools.cache
def version(library: str) -> str:
    """Names and versions of the installed distributions of a library, one of `LIBRARIES`; an empty text where none is installed."""
    found = []
    for name in LIBRARIES[library]:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def _walk(script, source, package):
    """Names of the package's modules that a script imports, and of the script itself if it is one of them."""
    script, source = Path(script), Path(source)
    own = _module(script, source, package)
    waiting = {own} if own else set(_imports(script, "", source, package))
    modules = set()
    while waiting:
        module = waiting.pop()
        modules.add(module)
        waiting |= set(_imports(_file(module, source), module, source, package)) - modules
    return modules


def _module(script, source, package):
    """The module name of a file of the package, None for any other file."""
    folder = source.resolve() / package
    if folder not in script.resolve().parents:
        return None
    parts = script.resolve().relative_to(source.resolve()).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def _imports(path, module, source, package):
    """Modules of the package that a file imports, with all packages that contain them."""
    found = {name for name in _names(path, module) if name == package or name.startswith(f"{package}.")}
    ways = {".".join(name.split(".")[:n]) for name in found for n in range(1, name.count(".") + 2)}
    return frozenset(name for name in ways if _file(name, source))


@functools.cache
def _names(path, module):
    """Names that a file imports. `from package import name` adds `package` and `package.name`, which may be a module too."""
    found = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, module, path.name == "__init__.py")
            found.update([base, *(f"{base}.{alias.name}" for alias in node.names)])
    return frozenset(found)


def _base(node, module, is_package):
    if not node.level:
        return node.module
    parts = module.split(".")
    parts = parts[: len(parts) - node.level + is_package]
    return ".".join([*parts, *([node.module] if node.module else [])])


@functools.cache
def _tree(path):
    return ast.parse(path.read_bytes(), str(path))


@functools.cache
def _file(module, source):
    path = source.joinpath(*module.split("."))
    candidates = (path / "__init__.py", path.with_name(f"{path.name}.py"))
    return next((file for file in candidates if file.is_file()), None)


@functools.cache
def _companions(folder):
    skipped = {".py", ".pyc", ".pyi"}
    return frozenset(p for p in folder.iterdir() if p.is_file() and p.suffix not in skipped and not p.name.startswith("."))


@functools.cache
def _content(path):
    """SHA-256 of the parts of a file that count: of Python see `_add_essence`, of other files all bytes."""
    content = path.read_bytes()
    if path.suffix == ".py":
        parts = []
        _add_essence(_tree(path), parts)
        content = "\0".join(parts).encode(errors="surrogatepass")
    return hashlib.sha256(content).digest()


def _add_essence(node: object, parts: list[str]) -> None:
    """Append the parts of a syntax tree that can change a result to a list, as texts.

    Empty fields are left out: which ones a node has depends on the version of Python.
    """
    if isinstance(node, ast.Constant):
        parts.append(repr(node.value))
    elif isinstance(node, ast.AST):
        parts.append(f"{type(node).__name__}(")
        neutral = _neutral_fields(node)
        for name, value in ast.iter_fields(node):
            if name in neutral or value is None or value == []:
                continue
            parts.append(f"{name}=")
            _add_essence(_arguments(node, value) if isinstance(node, ast.Call) and name != "func" else value, parts)
        parts.append(")")
    elif isinstance(node, list):
        parts.append("[")
        for item in node:
            if not _is_neutral(item):
                _add_essence(item, parts)
        parts.append("]")
    else:
        parts.append(repr(node))


def _neutral_fields(node):
    """Fields of a node that cannot change a result."""
    if isinstance(node, ast.arg):
        return {"annotation", "type_comment"}
    return {"returns", "type_comment"} if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) else {"type_comment"}


def _is_neutral(node):
    """Whether a statement is a docstring or a log message."""
    if not isinstance(node, ast.Expr):
        return False
    if isinstance(node.value, ast.Constant):
        return isinstance(node.value.value, str)
    function = getattr(node.value, "func", None)
    if isinstance(function, ast.Attribute):
        return getattr(function.value, "id", None) == "_LOG"  # the name of a module's logger in this package
    return getattr(function, "id", None) == "log_reuse"  # `bow2cnn.core.lineage.log_reuse`


def _arguments(call, values):
    """Arguments of a call without labels of progress bars, which go to `progress` directly or through other functions."""
    own = getattr(call.func, "id", None) == "progress"
    labels = {"progress_label", "label"} if own else {"progress_label"}
    return [
        argument
        for number, argument in enumerate(values)
        if not (argument.arg in labels if isinstance(argument, ast.keyword) else own and number == 1)
    ]
