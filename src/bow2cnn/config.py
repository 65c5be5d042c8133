"""The one module that reads the config: fills in defaults, checks every key and says in one line what is wrong.

The schema (`workflow/schemas/config.schema.yaml`) knows every key with its meaning, limits and default. What a schema cannot say
(folders that exist, results that lie apart from the photos) is checked here too.
"""

import copy
import difflib
import math
import os
import re
from pathlib import Path

import jsonschema
import yaml

from bow2cnn.network import backbones


class ConfigError(Exception):
    """A wrong config; the message names the key and what is allowed, in one line."""


def load(config, schema_path):
    """The checked config with every default filled in.

    Args:
        config: what the user wrote, as a dict.
        schema_path: the JSON schema (YAML).

    Raises:
        ConfigError: an unknown key, a wrong value, or a path that cannot be used.
    """
    schema = yaml.safe_load(Path(schema_path).read_text(encoding="utf-8"))
    if not isinstance(config, dict):
        raise ConfigError(f"config: expected keys and values, got {config!r}")
    _check_keys(config)
    filled = _fill(copy.deepcopy(config), schema, schema)
    validator = jsonschema.Draft202012Validator(schema)
    errors = sorted(validator.iter_errors(filled), key=lambda error: (_order(error), list(map(str, error.absolute_path))))
    if errors:
        raise ConfigError(_explain(errors[0]))
    _check_names(filled)
    _check_paths(filled)
    _check_networks(filled)
    return filled


def check_files(paths):
    """See to it that no key stands twice at one place of a config file: YAML and JSON would take the last, and Snakemake says nothing.

    Args:
        paths: config files that Snakemake has read.

    Raises:
        ConfigError: one does.
    """
    for path in paths:
        # JSON is YAML but for tabs.
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
            raise ConfigError(f"{name}: stands twice in {file}, in lines {lines[key.tag, str(key.value)]} and {line}")
        lines[key.tag, str(key.value)] = line
        _check_twice(value, file, name)


def _check_keys(config, path=""):
    """YAML reads `2016:` as a number and `on:` as true; as names of ours they would be texts here and not there."""
    for key, value in config.items():
        if not isinstance(key, str):
            raise ConfigError(f"{path or 'config'}: the name {key} is no text to YAML ({type(key).__name__}); put it in quotes")
        if isinstance(value, dict):
            _check_keys(value, f"{path}.{key}".lstrip("."))


def _fill(value, schema, root):
    """Fill the defaults of a part of the config, in depth. An empty section (`features:`) means all of its defaults."""
    schema = _resolve(schema, root)
    kinds = schema.get("type")
    if kinds == "object" or "properties" in schema:
        if value is None:
            value = {}
        if not isinstance(value, dict):
            return value
        for key, part in schema.get("properties", {}).items():
            part = _resolve(part, root)
            if key not in value and ("default" in part or part.get("type") == "object"):
                value[key] = copy.deepcopy(part.get("default", {}))
            if key in value:
                value[key] = _fill(value[key], part, root)
        others = schema.get("additionalProperties")
        if isinstance(others, dict):
            known = schema.get("properties", {})
            value.update({key: _fill(item, others, root) for key, item in value.items() if key not in known})
        return value
    if kinds == "array" and isinstance(value, list):
        return [_fill(item, schema["items"], root) for item in value]
    if schema.get("format") == "path" and isinstance(value, str):
        return os.path.expanduser(value)  # what the shell would do, had the path come from there
    return _number(value, kinds)


def _number(value, kinds):
    """YAML reads `1e-6` as text and `3.0` as a fraction, and Snakemake's `--config` reads all that is nested as text; read them as the
    number or truth value that the schema asks for. What is no such number stays, or becomes, text, which the schema refuses."""
    if kinds == "boolean" and isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if kinds not in ("integer", "number") or not isinstance(value, (str, int, float)) or isinstance(value, bool):
        return value
    if kinds == "integer" and str(value).lstrip("-").isdecimal():
        return int(value)
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return str(value)
    if not math.isfinite(number):
        return str(value)
    if kinds == "number":
        return number
    return int(number) if number.is_integer() else value


def _resolve(schema, root):
    """Follow a `$ref` into the schema's own `$defs`; keys beside it (a default, a description) win."""
    if "$ref" not in schema:
        return schema
    target = root
    for step in schema["$ref"].removeprefix("#/").split("/"):
        target = target[step]
    return {**target, **{key: value for key, value in schema.items() if key != "$ref"}}


def _order(error):
    """Unknown keys first (they often explain the rest), then missing ones, then values."""
    return {"additionalProperties": 0, "required": 1}.get(error.validator, 2)


def _explain(error):
    path = ".".join(map(str, error.absolute_path))
    at = f"{path}: " if path else ""
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        unknown = next(key for key in error.instance if key not in known)
        name = f"{path}.{unknown}" if path else str(unknown)
        return f"{name}: no such key{_nearest(str(unknown), known)}"
    if error.validator == "required":
        missing = next(key for key in error.validator_value if key not in error.instance)
        meaning = error.schema["properties"][missing].get("description", "").split(";")[0]
        name = f"{path}.{missing}" if path else missing
        return f"{name}: missing ({meaning})"
    if error.validator == "enum":
        return f"{at}{_not_one_of(error.instance, [str(choice) for choice in error.validator_value])}"
    if error.validator == "type":
        kinds = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
        return f"{at}expected {' or '.join(map(_kind, kinds))}, got {error.instance!r}"
    limits = {
        "minimum": "must be at least",
        "maximum": "must be at most",
        "exclusiveMinimum": "must be more than",
        "exclusiveMaximum": "must be less than",
    }
    if error.validator in limits:
        return f"{at}{limits[error.validator]} {error.validator_value}, got {error.instance!r}"
    if error.validator in ("minItems", "minLength", "minProperties"):
        return f"{at}must not be empty"
    if error.validator == "pattern":
        return f"{at}the name {error.instance!r} may hold only small letters, digits, - and _"
    return f"{at}{error.message}".splitlines()[0]


def _not_one_of(value, choices):
    guess = difflib.get_close_matches(str(value), choices, 1)
    return f"{value!r} is not one of {', '.join(choices)}" + (f"; did you mean {guess[0]}?" if guess else "")


def _nearest(word, known):
    guess = difflib.get_close_matches(word, known, 1, 0.5)
    return f"; did you mean {guess[0]}?" if guess else f"; known here: {', '.join(known)}"


def _kind(name):
    return {
        "array": "a list",
        "object": "keys and values",
        "integer": "a whole number",
        "number": "a number",
        "string": "text",
        "boolean": "true or false",
        "null": "nothing",
    }[name]


def _check_names(config):
    """Names of ours in the table and in the results folder cannot be a user's as well."""
    taken = {"benchmarks": ("collection", "validation"), "experiments": ("bow",)}
    for section, names in taken.items():
        for name in names:
            if name in config[section]:
                raise ConfigError(f"{section}.{name}: this name has a meaning of its own in the results; choose another")


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
    """A folder of models, which alone says what matches."""
    _need_plain_name("models", config["models"])
    _need_folder("models", config["models"])
    _keep_apart("models", Path(config["models"]).resolve(), results)
    if config["database"] is not None:
        raise ConfigError("models: the database says already what matches; give one of the two")


def _need_plain_name(key, path):
    """Snakemake reads {} as a wildcard and <> as a variable, and nobody fills in the shell's variables."""
    if re.search(r"\$[\w{]", path):
        raise ConfigError(f"{key}: {path} names a variable of the shell, which a config cannot; write its value (~ is your home folder)")
    if path.startswith("~"):
        raise ConfigError(f"{key}: {path} is in the home folder of nobody known here; a folder of that name in this one is ./{path}")
    if any(letter in path for letter in "{}<>"):
        raise ConfigError(f"{key}: {path} may not hold any of {{}}<>; rename it, or name a link to it")


def _need_folder(key, path):
    if not Path(path).is_dir():
        raise ConfigError(f"{key}: {path} is {'not a folder' if Path(path).exists() else 'no folder that exists'}")


def _need_file(key, path):
    if not Path(path).is_file():
        raise ConfigError(f"{key}: {path} is {'not a file' if Path(path).exists() else 'no file that exists'}")


def _keep_apart(key, folder, results):
    if folder == results or results in folder.parents:
        raise ConfigError(f"{key}: {folder} lies inside results ({results}); keep the two apart")
    if folder in results.parents:
        raise ConfigError(f"results: {results} lies inside {key} ({folder}), all of which is looked through; keep them apart")


def _check_networks(config):
    """Networks are those that there are, with what they have. Off the shelf, a network has one set of weights, so experiments that share a
    network share those.
    """
    weights = {}
    for name, experiment in config["experiments"].items():
        network, path = experiment["network"], experiment.get("weights")
        if not backbones.is_known(network):
            raise ConfigError(f"experiments.{name}.network: {_not_one_of(network, [*backbones.BACKBONES, 'timm:NAME'])}")
        if experiment["pooling"] == "cls" and backbones.find(network).class_token is False:
            raise ConfigError(f"experiments.{name}.pooling: {network} has no class token; choose another pooling than cls")
        first, other = weights.setdefault(network, (name, path))
        if other != path:
            raise ConfigError(f"experiments.{name}.weights: {path} differs from that of experiment {first}, which has the same network")
