"""Digests of what a script reaches: an edit changes those of the scripts that import the edited module, and no others."""

import ast
import runpy
import shutil
import sys
import textwrap
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bow2cnn.collection.scan import scan
from bow2cnn.core import code_digest as module
from bow2cnn.core.lineage import lineage_of
from bow2cnn.features import extract
from bow2cnn.pairs.sources import SOURCES
from bow2cnn.training import train_experiment
from bow2cnn.training.settings import Settings
from bow2cnn_demo.photo import jpeg

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "workflow/scripts").glob("*.py"))
MODULES = sorted(path.relative_to(ROOT / "src") for path in (ROOT / "src/bow2cnn").rglob("*.py"))
# Libraries that store, show or read settings; no result comes from them.
SHOWING = {"h5py", "jinja2", "pydantic", "markupsafe", "threadpoolctl", "tqdm", "yaml"}

FILES = {
    "pkg/__init__.py": "",
    "pkg/a/__init__.py": "",
    "pkg/a/one.py": "from pkg.b.two import f\nimport numpy",
    "pkg/a/other.py": "",
    "pkg/a/page.html": "<p>",
    "pkg/b/__init__.py": "",
    "pkg/b/two.py": "def f():\n    from . import three\n    import pkg.c as c",
    "pkg/b/three.py": "from ..d.four import g as h",
    "pkg/c.py": "",
    "pkg/d/__init__.py": "",
    "pkg/d/four.py": "from pkg.a import one  # in a circle",
    "pkg/e.py": "",
    "script.py": "from pkg.a.one import f",
}


@pytest.fixture
def tree(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return tmp_path


def forget():
    """Let go of what was read of files before they were edited."""
    for function in (module._imports, module._names, module._tree, module._file, module._companions, module._content):
        function.cache_clear()


def reached(tree):
    return {str(path.relative_to(tree)) for path in module.reached(tree / "script.py", tree, "pkg")}


def fresh_digest(tree):
    forget()
    return module.digest(tree / "script.py", tree, "pkg")


def test_reaches_through_all_forms_of_import(tree):
    assert reached(tree) == set(FILES) - {"pkg/a/other.py", "pkg/e.py", "script.py"}


@pytest.mark.parametrize("name", FILES)
def test_an_edit_changes_the_digest_exactly_if_the_file_is_reached(tree, name):
    before = fresh_digest(tree)
    path = tree / name
    path.write_text(path.read_text() + "\nedited = 1\n")
    assert (fresh_digest(tree) != before) == (name not in ("pkg/a/other.py", "pkg/e.py", "script.py"))


def test_the_folder_of_the_checkout_does_not_count(tree, tmp_path_factory):
    copy = tmp_path_factory.mktemp("copy")
    for name in FILES:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text((tree / name).read_text())
    assert fresh_digest(copy) == fresh_digest(tree)


def test_of_the_real_scripts():
    package = ROOT / "src/bow2cnn"
    features = {str(path.relative_to(package).with_suffix("")) for path in module.reached(ROOT / "workflow/scripts/extract_features.py")}
    assert {"features/extract", "core/artefact", "core/threads"} <= features
    assert not {"training/train_experiment", "reconstruction/colmap", "config/load", *module.PLUMBING} & features


@pytest.mark.parametrize(
    ("before", "after", "counts"),
    [
        ('"""One."""\nx = 1', '# why\n"""Two."""\n\nx = (  1 )', False),
        ('def f():\n    """One."""', 'def f():\n    """Two."""', False),
        ('class A:\n    """One."""\n    x = 1', "class A:\n    x = 1", False),
        ("def f(x, *, y=1): return x", "def f(x: int, *, y: float = 1) -> int: return x", False),
        ("def f(x, *, y=1): return x", "def f(x, *, y=2): return x", True),
        ('x = "one"', 'x = "two"', True),
        ("x = 1", "x = True", True),
        ("x = 1", "x = 1.0", True),
        ("x = None", "x = ...", True),
        ("x: int = 1", "x: float = 1", True),
        ("f(a, b)", "f(a, *b)", True),
        ("f(None)", "f()", True),
        ("if a: b()", "if a: b()\nelse: c()", True),
        ("if a:\n    b()\n    c()", "if a:\n    b()\nc()", True),
        ('_LOG.info("%d photos", n)', '_LOG.warning("%d of %d photos", n, len(m))', False),
        ('if n: _LOG.info("%d photos", n)', "if n: pass", True),
        ('x = other.info("one")', 'x = other.info("two")', True),
        ('log_reuse("graph", a, b)', 'log_reuse("pairs", a)', False),
        ('for x in progress(items, "one", 3): f(x)', 'for x in progress(items, f"two {y}", 3): f(x)', False),
        ('for x in progress(items, "one", 3): f(x)', 'for x in progress(items, label="two", total=3): f(x)', True),
        ('for x in progress(items, label="one"): f(x)', 'for x in progress(items, label="two"): f(x)', False),
        ('for x in progress(items, "one"): f(x)', 'for x in progress(others, "one"): f(x)', True),
        ('f(x, progress_label="one")', 'f(x, progress_label="two")', False),
        ('f(x, label="one")', 'f(x, label="two")', True),
        ('raise PhotoError("one")', 'raise PhotoError("two")', True),
    ],
)
def test_what_cannot_change_a_result_does_not_count(tree, before, after, counts):
    path = tree / "pkg/c.py"
    path.write_text(before)
    first = fresh_digest(tree)
    path.write_text(after)
    assert (fresh_digest(tree) != first) == counts


def test_a_page_counts_with_every_byte(tree):
    first = fresh_digest(tree)
    (tree / "pkg/a/page.html").write_text("<p >")
    assert fresh_digest(tree) != first


def test_a_module_counts_itself(tree):
    path = tree / "pkg/e.py"
    path.write_text("import numpy\nx = 1")
    forget()
    first = module.digest(path, tree, "pkg")
    assert module.libraries(path, tree, "pkg") == ["numpy"]
    path.write_text("import numpy\nx = 2")
    forget()
    assert module.digest(path, tree, "pkg") != first


# -- the package ---------------------------------------------------------------------------------------------------------------------


def with_other_words(text):
    """A module's text with other comments, and another first line in each of its docstrings."""
    lines = text.split("\n")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node):
            number = node.body[0].lineno - 1
            lines[number] = lines[number].replace('"""', '"""Edited. ', 1)
    return "\n".join(["# edited", *lines, "# edited", ""])


def with_another_body(text):
    """A module's text with one more statement in its first function; at its end where it has none."""
    lines = text.split("\n")
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef) and node.body[-1].lineno > node.lineno]
    if not functions:
        return f"{text}\nedited = 1\n"
    last = functions[0].body[-1]
    lines.insert(last.lineno - 1, " " * last.col_offset + "edited = 1")
    return "\n".join(lines)


@pytest.fixture
def copied(tmp_path):
    """A copy of the package that may be edited."""
    shutil.copytree(ROOT / "src/bow2cnn", tmp_path / "bow2cnn", ignore=shutil.ignore_patterns("__pycache__"))
    yield tmp_path
    forget()


@pytest.fixture(scope="module")
def before():
    """Digest of every script before an edit."""
    return digests(ROOT / "src")


def code_of_rules(source):
    """What the rules take digests of, by name: scripts, and for a source of pairs the module of its function."""
    functions = {name: pairs.function.rpartition(".")[0].replace(".", "/") for name, pairs in SOURCES.items()}
    return {script.stem: script for script in SCRIPTS} | {f"find_pairs {name}": source / f"{path}.py" for name, path in functions.items()}


def digests(source):
    return {name: module.digest(path, source) for name, path in code_of_rules(source).items()}


def changed_in(source, before):
    """Scripts whose digests were others before."""
    return {name for name, digest in digests(source).items() if digest != before[name]}


ALL = set(code_of_rules(ROOT / "src"))
PAIRS = {name for name in ALL if name.startswith("find_pairs")}

# Of every room of the package a module, scripts that an edit of it must rerun (none: no stage uses it), and scripts that it must not.
EDITS = [
    ("features/distances.py", {"train_vocabulary", "quantise_words", "grow_graph"}, {"extract_features", "start_network"}),
    ("photos/decode.py", {"scan", "extract_features", "train_network"}, {"build_index", "train_vocabulary"}),
    ("config/renamed.py", set(), ALL),
    ("cli.py", set(), ALL),
    ("benchmarks/read.py", {"read_benchmark"}, {"extract_features", "train_network"}),
    ("collection/scan.py", {"scan"}, {"extract_features", "read_benchmark"}),
    ("core/isolated.py", {"extract_features"}, {"train_network", "grow_graph"}),
    ("geometry/matching.py", {"grow_graph"}, {"build_index", "extract_features"}),
    ("pictures/thumbnails.py", {"write_report"}, {"grow_graph", "evaluate_systems"}),
    ("run/run.py", {"write_report", "write_pages"}, {"evaluate_systems"}),
    ("descriptors/describe.py", {"describe_collection", "train_network"}, {*PAIRS, "rank_benchmark", "start_network"}),
    ("clustering/growth.py", {"grow_graph"}, {"find_seeds", "build_index", "rank_benchmark"}),
    ("evaluation/results_table.py", {"evaluate_systems"}, {"train_network", *PAIRS, "learn_whitening"}),
    ("export/hloc.py", set(), ALL),
    ("explain/explanation.py", set(), ALL),
    ("features/sift.py", {"extract_features"}, {"read_benchmark", "start_network"}),
    ("index/watermarks.py", {"find_watermarks"}, {"quantise_words", "train_vocabulary"}),
    ("search/searcher.py", set(), ALL),
    ("network/pooling.py", {"start_network", "train_network"}, {*PAIRS, "extract_features"}),
    ("pairs/from_models.py", {"find_pairs models"}, {"find_pairs words", "find_pairs database", "split_models", "start_network"}),
    ("reconstruction/reuse_earlier_models.py", {"reconstruct_clusters"}, {"cut_clusters", "grow_graph"}),
    ("report/page.py", {"write_report"}, {"evaluate_systems", "train_network"}),
    ("report/pages/write.py", {"write_pages"}, {"gather_models", "evaluate_systems"}),
    ("report/sections/all_systems.py", {"write_report"}, {"write_pages", "evaluate_systems"}),
    ("retrieval/rank_benchmark.py", {"rank_benchmark"}, {"grow_graph", "train_network", "build_index"}),
    ("split/contamination.py", {"find_contamination"}, {"gather_models", "build_index", "rank_benchmark"}),
    ("training/train_experiment.py", {"train_network"}, {*PAIRS, "start_network", "extract_features"}),
    ("vocabulary/kmeans.py", {"train_vocabulary"}, {"extract_features", "start_network"}),
    ("whitening/learn_whitening.py", {"learn_whitening"}, {"train_network", "evaluate_systems"}),
    ("descriptors/apply_whitening.py", {"learn_whitening", "evaluate_systems"}, {*PAIRS, "start_network", "train_network"}),
    ("descriptors/apply_steps.py", {"evaluate_systems"}, {"train_network", "describe_collection", "learn_whitening"}),
]


def test_every_room_has_an_edit():
    assert {path.parent for path in MODULES} == {Path("bow2cnn", name).parent for name, _, _ in EDITS}


def test_other_words_in_every_module_change_no_digest(copied, before):
    for path in MODULES:
        text = (copied / path).read_text()
        (copied / path).write_text(with_other_words(text))
        assert (copied / path).read_text() != text
    assert changed_in(copied, before) == set()


def test_an_edit_of_any_module_is_seen(copied):
    before = {path: module._content(copied / path) for path in MODULES}
    for path in MODULES:
        (copied / path).write_text(with_another_body((copied / path).read_text()))
    forget()
    assert not [path for path in MODULES if module._content(copied / path) == before[path]]


@pytest.mark.parametrize(("path", "some", "others"), EDITS, ids=[name for name, _, _ in EDITS])
def test_another_body_changes_the_digests_of_the_scripts_that_use_it(copied, before, path, some, others):
    path = copied / "bow2cnn" / path
    path.write_text(with_another_body(path.read_text()))
    changed = changed_in(copied, before)
    assert some <= changed and not changed & others


def test_plumbing_is_there_and_changes_no_digest(copied, before):
    for name in module.PLUMBING:
        path = copied / f"bow2cnn/{name}.py"
        path.write_text(with_another_body(path.read_text()))
    assert changed_in(copied, before) == set()


def test_names_that_stand_for_messages_mean_nothing_else():
    """`_LOG`, `progress` and `log_reuse`, whose messages do not count."""
    homes = {"progress": "bow2cnn.core.progress", "log_reuse": "bow2cnn.core.lineage"}
    for path in MODULES:
        for node in ast.walk(ast.parse((ROOT / "src" / path).read_text())):
            if isinstance(node, ast.ImportFrom):
                bound = {alias.asname or alias.name for alias in node.names} & homes.keys()
                assert all(node.module == homes[name] for name in bound), path
            elif isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name in homes:
                assert path.with_suffix("").as_posix().replace("/", ".") == homes[node.name]
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                assert node.targets[0].id not in homes
                assert node.targets[0].id != "_LOG" or ast.unparse(node.value) == "logging.getLogger('bow2cnn')", path


# -- libraries -----------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def upgraded(monkeypatch):
    """A function that makes a library another version, or with None takes it away."""
    versions = {library: module.version(library) for library in module.LIBRARIES}
    monkeypatch.setattr(module, "version", versions.__getitem__)
    return lambda library, version="edited 1": versions.update({library: version})


def test_every_library_is_known_as_one_that_computes_or_one_that_shows():
    names = {name.split(".")[0] for path in MODULES for name in module._names(ROOT / "src" / path, ".".join(path.with_suffix("").parts))}
    foreign = {name for name in names if name and name != "bow2cnn" and name not in sys.stdlib_module_names}
    assert foreign == module.LIBRARIES.keys() | SHOWING


def test_versions_are_those_of_the_installation():
    assert module.version("PIL") == f"pillow {metadata.version('pillow')}"
    assert all(module.version(library) for library in module.LIBRARIES.keys() - {"timm"})  # which nobody has to have


@pytest.mark.parametrize(
    ("library", "some", "others"),
    [
        ("PIL", {"scan", "extract_features", "train_network"}, {"train_vocabulary", "grow_graph"}),
        ("cv2", {"extract_features", "grow_graph", "describe_collection", "train_network", "scan"}, {"build_index"}),
        ("faiss", {"train_vocabulary"}, {"quantise_words", "extract_features"}),
        ("networkx", {"cut_clusters", "split_models"}, {"extract_features", "grow_graph"}),
        ("numba", {"quantise_words", "grow_graph", "find_pairs models", "find_pairs words"}, {"scan", "train_network"}),
        ("numpy", {"extract_features", "train_network", "split_models"}, {"note_recipe"}),
        ("pillow_heif", {"scan", "extract_features", "train_network"}, {"train_vocabulary", "read_models", "find_pairs database"}),
        ("pycolmap", {"reconstruct_clusters", "read_models"}, {"grow_graph", "train_network"}),
        ("scipy", {"find_watermarks", "grow_graph"}, {"extract_features", "train_network"}),
        ("torch", {"start_network", "train_network", "describe_collection", "quantise_words"}, {"extract_features", "cut_clusters"}),
    ],
)
def test_an_upgrade_changes_the_digests_of_the_scripts_that_use_the_library(before, upgraded, library, some, others):
    upgraded(library)
    changed = changed_in(ROOT / "src", before)
    assert changed == {name for name, code in code_of_rules(ROOT / "src").items() if library in module.libraries(code)}
    assert some <= changed and not others & changed


def test_a_library_that_is_missing_stops_no_plan(monkeypatch):
    """Jobs may have environments of their own, and Snakemake's need not hold what theirs do."""
    here = module.digest(ROOT / "workflow/scripts/extract_features.py")

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    module.version.cache_clear()
    try:
        assert module.version("cv2") == ""
        assert module.digest(ROOT / "workflow/scripts/extract_features.py") != here
    finally:
        module.version.cache_clear()


def test_no_artefact_mixes_rows_of_two_versions(tmp_path, upgraded, monkeypatch):
    """The script as Snakemake runs it: an upgrade of a library that it uses makes another lineage and all rows anew, of another none."""
    (tmp_path / "photos").mkdir()
    for seed in range(3):
        pixels = np.random.default_rng(seed).integers(0, 255, (64, 64, 3), np.uint8)
        (tmp_path / f"photos/{seed}.jpg").write_bytes(jpeg(pixels))
    scan([tmp_path / "photos"], tmp_path, 1, 32, 10**7)
    made = []
    extract_isolated = extract.extract_isolated
    monkeypatch.setattr(extract, "extract_isolated", lambda tasks, *rest: made.append(len(tasks)) or extract_isolated(tasks, *rest))
    job = SimpleNamespace(
        input=SimpleNamespace(collection=tmp_path / "collection.h5"),
        output=SimpleNamespace(features=tmp_path / "features.h5"),
        params=SimpleNamespace(settings={"max_features": 50}, digest="as Snakemake's environment has it"),
        log=[tmp_path / "log"],
        threads=1,
    )

    def run():
        runpy.run_path(str(ROOT / "workflow/scripts/extract_features.py"), {"snakemake": job})
        return lineage_of(tmp_path / "features.h5", "features"), made.pop()

    lineage, rows = run()
    assert rows == 3 and run() == (lineage, 0)
    upgraded("faiss")
    assert run() == (lineage, 0)
    for library in ("cv2", "PIL", "numba"):
        upgraded(library)
        other, rows = run()
        assert other != lineage and rows == 3
        lineage = other


@pytest.mark.parametrize(("library", "counts"), [("torch", True), ("PIL", True), ("cv2", True), ("faiss", False)])
def test_a_checkpoint_is_of_these_versions(tmp_path, upgraded, library, counts):
    for name in ("pairs", "start"):
        (tmp_path / name).write_bytes(b"")

    def key():
        return train_experiment._key([tmp_path / "pairs", tmp_path / "start"], np.zeros((1, 32), np.uint8), Settings(), 0, "cpu")

    before = key()
    upgraded(library)
    assert (key() != before) == counts
