"""Digests of the code a script reaches, so that an edit reruns exactly the stages that it can change.

Snakemake tracks a script's own file only. A rule therefore passes `digest=` of every module of this package that its script
imports, directly or through others, at the top of a module or inside a function, and of the versions of the libraries that these
import. The same digest, taken by the job in its own environment, is part of the lineages by which `bow2cnn.core.lineage` keeps rows.
Modules are parsed and libraries looked up; none is imported.

Of a module counts what can change a result: its syntax tree (comments and formatting are not in it) without docstrings, without
annotations of functions, and without messages to whoever watches (the log, labels of progress bars). Texts of errors do count, because
artefacts hold some of them: why a photo was rejected, why a cluster has no model.
"""

import ast
import functools
import hashlib
from importlib import metadata
from pathlib import Path

SOURCE = Path(__file__).parents[2]
PACKAGE = Path(__file__).parents[1].name

# Modules of the package that no result comes from; what they import counts as ever. Whoever moves an algorithm, or a text that artefacts
# hold, into one of them takes it off this list. Not here, though they look alike: `printable` (names in COLMAP's files), `isolated`
# (its reasons for lost photos are stored), `threads` (sums may depend on them), `lineage` and `same_photos` (they decide which rows belong
# together).
PLUMBING = (
    "config/base",  # a job gets all that it needs of the config as params of its rule, which count
    "config/experiment",
    "config/messages",
    "config/model",
    "core/code_digest",  # an edit of it that matters changes the digests themselves
    "core/atomic_files",  # writes the bytes that it is given, whole or not at all
    "core/run_lock",  # one run at a time
    "descriptors/steps",  # names; the functions, in `descriptors/apply_steps`, count
    "pairs/sources",  # what it says of a source is a param of its rule, and the function's module counts
    "core/parallel",  # the same work in more threads, in the order of the items
    "core/progress",  # bars
    "core/stage",  # log, signals and the line that tells of an error
)

# Libraries that compute: module -> the distributions that may bring it. NumPy too: a generator's numbers and the sums of its linear
# algebra may be others in another version. What only stores or shows (h5py, tqdm, Jinja, ...) changes no result.
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


def digest(script, source=SOURCE, package=PACKAGE):
    """Hex digest of what a file reaches of the package and of `LIBRARIES`, in this process's environment.

    Args:
        script: a Python file. A module of the package counts itself; a script's own text does not (Snakemake tracks that).
        source: the folder in which the package lies.
        package: name of the package.
    """
    total = hashlib.sha256()
    for path in sorted(reached(script, source, package)):
        total.update(f"{path.relative_to(source)}\0".encode())
        total.update(_content(path))
    for library in libraries(script, source, package):
        total.update(f"{library}\0{version(library)}\0".encode())
    return total.hexdigest()[:16]


def reached(script, source=SOURCE, package=PACKAGE):
    """Set of the package's files that a script imports, and of what lies beside them and is no Python (a page's template).

    Plumbing is left out.
    """
    files = {_file(module, Path(source)) for module in _walk(script, source, package)}
    plumbing = {Path(source, package, f"{name}.py") for name in PLUMBING}
    return (files - plumbing) | {extra for path in files for extra in _companions(path.parent)}


def libraries(script, source=SOURCE, package=PACKAGE):
    """Sorted list of those of `LIBRARIES` that a script imports, itself or through the package."""
    script, source = Path(script), Path(source)
    names = set(_names(script, "")) if _module(script, source, package) is None else set()
    for module in _walk(script, source, package):
        names |= _names(_file(module, source), module)
    return sorted({name.split(".")[0] for name in names} & LIBRARIES.keys())


@functools.cache
def version(library: str) -> str:
    """The distributions that a library is installed from with their versions; an empty text where none is."""
    found = []
    for name in LIBRARIES[library]:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def _walk(script, source, package):
    """Set of the package's modules that a script imports, and the script itself if it is one of them."""
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
    """The name of a file of the package as a module, None for any other file."""
    folder = source.resolve() / package
    if folder not in script.resolve().parents:
        return None
    parts = script.resolve().relative_to(source.resolve()).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def _imports(path, module, source, package):
    """Modules of the package that a file imports, with every package on the way to them."""
    found = {name for name in _names(path, module) if name == package or name.startswith(f"{package}.")}
    ways = {".".join(name.split(".")[:n]) for name in found for n in range(1, name.count(".") + 2)}
    return frozenset(name for name in ways if _file(name, source))


@functools.cache
def _names(path, module):
    """Names that a file imports; of `from package import name` both, because the name may be a module or something inside one."""
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
    """SHA-256 of what counts of a file: all bytes where it is no Python."""
    content = path.read_bytes()
    if path.suffix == ".py":
        parts = []
        _add_essence(_tree(path), parts)
        content = "\0".join(parts).encode(errors="surrogatepass")
    return hashlib.sha256(content).digest()


def _add_essence(node: object, parts: list[str]) -> None:
    """Add the parts of a syntax tree that can change a result to a list, as texts.

    Empty fields are left out: which there are depends on the version of Python.
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
    """Fields of a node that no result depends on."""
    if isinstance(node, ast.arg):
        return {"annotation", "type_comment"}
    return {"returns", "type_comment"} if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) else {"type_comment"}


def _is_neutral(node):
    """Whether a statement only says something: a docstring, a line for the log."""
    if not isinstance(node, ast.Expr):
        return False
    if isinstance(node.value, ast.Constant):
        return isinstance(node.value.value, str)
    function = getattr(node.value, "func", None)
    if isinstance(function, ast.Attribute):
        return getattr(function.value, "id", None) == "_LOG"  # a module's logger, by the custom of this package
    return getattr(function, "id", None) == "log_reuse"  # `bow2cnn.core.lineage.log_reuse`


def _arguments(call, given):
    """Arguments of a call without labels of progress bars: of `progress` itself, and those that go there through other functions."""
    own = getattr(call.func, "id", None) == "progress"
    labels = {"progress_label", "label"} if own else {"progress_label"}
    return [
        argument
        for number, argument in enumerate(given)
        if not (argument.arg in labels if isinstance(argument, ast.keyword) else own and number == 1)
    ]
