"""The profiles name options and rules that exist, and the rules leave to them what is the cluster's business."""

import re
from pathlib import Path

import pytest
import yaml
from snakemake.cli import get_argument_parser

ROOT = Path(__file__).parents[2]
PROFILES = sorted((ROOT / "profiles").glob("*/profile.yaml"))
RULE_FILES = [ROOT / "Snakefile", *(ROOT / "workflow/rules").glob("*.smk")]
RULES = {name for path in RULE_FILES for name in re.findall(r"^ *(?:use )?(?:rule|checkpoint) .*?(\w+)(?: with)?:", path.read_text(), re.M)}


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.parent.name)
def test_every_option_exists(path):
    options = {option for action in get_argument_parser()._actions for option in action.option_strings}
    assert not {key for key in yaml.safe_load(path.read_text()) if f"--{key}" not in options}


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.parent.name)
def test_every_rule_exists(path):
    profile = yaml.safe_load(path.read_text())
    assert {"scan", "extract_benchmark_features", "evaluate_systems"} <= RULES
    named = {*profile.get("groups", {}), *profile.get("set-resources", {}), *profile.get("set-threads", {})}
    assert named <= RULES


def test_the_slurm_profile_has_what_the_default_has():
    default, slurm = (yaml.safe_load((ROOT / f"profiles/{name}/profile.yaml").read_text()) for name in ("default", "slurm"))
    resources = default.pop("resources")
    assert {key: slurm.get(key) for key in default} == default
    # What one machine has; a cluster has more, and knows it.
    assert set(resources) == {"gpu"} and "resources" not in slurm


def test_retries_are_no_matter_of_the_rules():
    """There, all attempts would be one job of the cluster, with the memory of the first."""
    assert not [path for path in RULE_FILES if re.search(r"^\s*retries:", path.read_text(), re.M)]


def test_every_rule_with_a_script_says_how_much_memory_it_needs():
    for path in RULE_FILES:
        text = path.read_text()
        assert len(re.findall(r"^ *script:", text, re.M)) == len(re.findall(r"^ *mem_mb=memory(?:_of_source|\(\d+.*\))", text, re.M)), path
