"""The commands in the documents are ones that Snakemake and our own command line understand as they are meant, and name rules and files
that there are."""

import importlib.util
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from snakemake.cli import get_argument_parser

from bow2cnn import cli
from bow2cnn.network.model import RetrievalNetwork
from bow2cnn.network.storage import save_network

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "results/README.md",
    ROOT / "bench/README.md",
    *(ROOT / "docs").glob("*.md"),
]
_CODE = re.compile(r"^```\w*\n(.*?)^```|`([^`]+)`", re.M | re.S)


_RULE = re.compile(r"^ *(?:use )?(?:rule|checkpoint) (\w+)", re.M)


def commands():
    """(document, command) of every command line in the documents; one in a sentence may be broken like the sentence."""
    for document in DOCUMENTS:
        for block, span in _CODE.findall(document.read_text(encoding="utf-8")):
            for line in block.replace("\\\n", " ").splitlines() or [" ".join(span.split())]:
                yield document.relative_to(ROOT), line.split("  #")[0]


def those_of(program):
    return [(document, line.split(f"{program} ", 1)[1]) for document, line in commands() if re.search(rf"(^|[ /]){program} ", line)]


@pytest.mark.parametrize(("document", "arguments"), those_of("snakemake"), ids=str)
def test_snakemake_takes_no_target_for_a_config(document, arguments):
    words = shlex.split(re.sub(r"--(executor|cluster-generic|kubernetes|container-image|default-storage)\S* (\".*?\"|\S+)", "", arguments))
    given = get_argument_parser().parse_args(words)
    assert all(str(config).endswith(".yaml") for config in given.configfile or [])
    assert not any(target.endswith(".yaml") for target in given.targets)
    rules = {name for path in (ROOT / "workflow/rules").glob("*.smk") for name in _RULE.findall(path.read_text(encoding="utf-8"))}
    named = {word for word in [*given.targets, *(given.forcerun or [])] if re.fullmatch("[a-z_]+", word)}
    assert named <= rules


@pytest.mark.parametrize(("document", "arguments"), [one for one in those_of("python") if not one[1].startswith("-m")], ids=str)
def test_python_is_given_what_is_there(document, arguments):
    assert (ROOT / arguments.split()[0]).is_file()


@pytest.mark.parametrize(("document", "arguments"), those_of("python -m"), ids=str)
def test_modules_understand_what_they_are_given(document, arguments, monkeypatch):
    """A command that is only named has no arguments yet."""
    module, *words = shlex.split(arguments)
    assert importlib.util.find_spec(module)
    if module == "bow2cnn":
        for name in ("_show", "_summary", "_search", "_explain", "_export"):
            monkeypatch.setattr(cli, name, lambda options: 0)
        with pytest.raises(SystemExit) as ended:
            cli.main(words if len(words) > 1 else [*words, "--help"])
        assert ended.value.code == 0


@pytest.mark.parametrize(("document", "arguments"), those_of("make"), ids=str)
def test_make_has_the_target(document, arguments):
    assert re.search(rf"^{arguments.split()[0]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)


def test_the_readme_describes_a_photo(tmp_path, monkeypatch):
    """The lines of Python in the README give a descriptor of length 1."""
    code = re.search(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S).group(1)
    monkeypatch.chdir(tmp_path)
    save_network(re.search(r'"(.*\.h5)"', code).group(1), RetrievalNetwork("efficientnet-lite0"))
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    Image.fromarray(noise).save("photo.jpg")
    found = {}
    exec(code, found)  # noqa: S102
    assert found["descriptor"].shape == (1280,)
    assert float(found["descriptor"].norm()) == pytest.approx(1, abs=1e-5)
