"""Reads the config: fills in defaults, checks every key, and refuses a wrong one with a message of one line.

The model (`bow2cnn.config.model`) knows every key with its meaning, limits and default. Rules that a model cannot express (folders exist,
results and photos are in different folders) are checked here.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import yaml
from pydantic import ValidationError

from bow2cnn.config.messages import ConfigError, explain
from bow2cnn.config.model import Config
from bow2cnn.config.renamed import check_renamed
from bow2cnn.network import backbones


def load(config: dict) -> dict:
    """The checked config with every default filled in, and every size that 0 stands for, as nested dicts.

    Args:
        config: as the user wrote it.

    Raises:
        ConfigError: an unknown or renamed key, a wrong value, or a path that cannot be used.
    """
    if not isinstance(config, dict):
        raise ConfigError(f"config: expected keys and values, got {config!r}")
    _check_keys(config)
    check_renamed(config)
    try:
        checked = Config.model_validate(config)
    except ValidationError as error:
        raise ConfigError(explain(error, Config)) from None
    experiments = {name: experiment.with_sizes() for name, experiment in checked.experiments.items()}
    filled = checked.model_copy(update={"experiments": experiments}).model_dump()
    _check_names(filled)
    _check_paths(filled)
    _check_networks(filled)
    _check_sources(filled)
    return filled


def check_files(paths: Iterable[str | Path]) -> None:
    """Refuse config files in which a key is given twice at one place: YAML and JSON take the last one, and Snakemake does not warn.

    Args:
        paths: config files that Snakemake has read.

    Raises:
        ConfigError: a key is given twice.
    """
    for path in paths:
        # JSON is YAML, except for tabs.
        _check_twice(yaml.compose(Path(path).read_text(encoding="utf-8").expandtabs(), yaml.SafeLoader), str(path), "")


def _check_twice(node, file, path):
    """Walk the parts of a YAML file, see `check_files`."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_twice(item, file, path)
    if not isinstance(node, yaml.MappingNode):
        return
    lines = {}
    for key, value in node.value:
        name, line = f"{path}.{key.value}".lstrip("."), key.start_mark.line + 1
        if (key.tag, str(key.value)) in lines:
            raise ConfigError(f"{name}: is given twice in {file}, in lines {lines[key.tag, str(key.value)]} and {line}")
        lines[key.tag, str(key.value)] = line
        _check_twice(value, file, name)


def _check_keys(config, path=""):
    """YAML reads `2016:` as a number and `on:` as true, but every name must be text."""
    for key, value in config.items():
        if not isinstance(key, str):
            raise ConfigError(f"{path or 'config'}: YAML does not read the name {key} as text ({type(key).__name__}); put it in quotes")
        if isinstance(value, dict):
            _check_keys(value, f"{path}.{key}".lstrip("."))


def _check_names(config):
    """Refuse names that the table and the results folder already use."""
    taken = {"benchmarks": ("collection", "validation"), "experiments": ("bow",)}
    for section, names in taken.items():
        for name in config[section]:
            if name in names or (section == "benchmarks" and name.startswith("validation-")):
                raise ConfigError(f"{section}.{name}: this name is reserved; choose another")


def _check_paths(config):
    results = Path(config["results"]).resolve()
    folders = {f"photos.{i}": folder for i, folder in enumerate(config["photos"])}
    folders |= {f"benchmarks.{name}.photos": benchmark["photos"] for name, benchmark in config["benchmarks"].items()}
    for name, benchmark in config["benchmarks"].items():
        folders |= {f"benchmarks.{name}.distractors.{i}": folder for i, folder in enumerate(benchmark["distractors"])}
    files = {f"benchmarks.{name}.gnd": benchmark["gnd"] for name, benchmark in config["benchmarks"].items()}
    files |= {f"experiments.{name}.weights": experiment["weights"] for name, experiment in config["experiments"].items()}
    files["database"] = config["database"]
    files = {key: file for key, file in files.items() if file is not None}
    for key, path in {"results": config["results"], **folders, **files}.items():
        _need_plain_name(key, path)
    for parent in (results, *results.parents):
        if parent.exists() and not parent.is_dir():
            raise ConfigError(f"results: {parent} is not a folder")
    for key, folder in folders.items():
        _need_folder(key, folder)
        _keep_apart(key, Path(folder).resolve(), results)
    for key, file in files.items():
        _need_file(key, file)
    if config["models"] is not None:
        _check_models(config, results)


def _check_models(config, results):
    """The folder of the user's models; there must be no database beside it."""
    _need_plain_name("models", config["models"])
    _need_folder("models", config["models"])
    _keep_apart("models", Path(config["models"]).resolve(), results)
    if config["database"] is not None:
        raise ConfigError("models: a database already says which photos match; give only one of the two")


def _need_plain_name(key, path):
    """Snakemake reads {} as a wildcard and <> as a variable; variables of the shell are not filled in."""
    if re.search(r"\$[\w{]", path):
        raise ConfigError(f"{key}: {path} contains a shell variable, which is not filled in; write its value (~ is your home folder)")
    if path.startswith("~"):
        raise ConfigError(f"{key}: {path} is in the home folder of an unknown user; for a folder of that name here, write ./{path}")
    if any(letter in path for letter in "{}<>"):
        raise ConfigError(f"{key}: {path} must not contain any of {{}}<>; rename it, or use a link to it")


def _need_folder(key, path):
    if not Path(path).is_dir():
        raise ConfigError(f"{key}: {path} is {'not a folder' if Path(path).exists() else 'a folder that does not exist'}")


def _need_file(key, path):
    if not Path(path).is_file():
        raise ConfigError(f"{key}: {path} is {'not a file' if Path(path).exists() else 'a file that does not exist'}")


def _keep_apart(key, folder, results):
    if folder == results or results in folder.parents:
        raise ConfigError(f"{key}: {folder} lies inside results ({results}); keep the two apart")
    if folder in results.parents:
        raise ConfigError(f"results: {results} lies inside {key} ({folder}), which is searched for photos; keep the two apart")


def _check_networks(config):
    """The pooling must fit the network, and experiments with the same network must have the same weights, because there is one untrained
    network of each kind.
    """
    weights = {}
    for name, experiment in config["experiments"].items():
        network, path = experiment["network"], experiment.get("weights")
        if experiment["pooling"] == "cls" and backbones.find(network).class_token is False:
            raise ConfigError(f"experiments.{name}.pooling: {network} has no class token; choose another pooling than cls")
        first, other = weights.setdefault(network, (name, path))
        if other != path:
            raise ConfigError(f"experiments.{name}.weights: {path} differs from that of experiment {first}, which has the same network")


def _check_sources(config):
    """Sources of pairs may need more than photos."""
    for name, experiment in config["experiments"].items():
        if experiment["pairs"]["source"] == "database" and config["database"] is None:
            raise ConfigError(f"experiments.{name}.pairs.source: there is no database; name its file by the key `database`")
