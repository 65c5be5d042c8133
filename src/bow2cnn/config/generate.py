"""Writes the files that are made from the model: the schema for editors, the demo's `config.yaml`, and `docs/config.md`, the page of all
keys.

`make config` runs it. A test fails where one of these files differs from the model.
"""

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_origin

import yaml
from pydantic.json_schema import GenerateJsonSchema

from bow2cnn.config.base import MOST, Section, UserPath
from bow2cnn.config.messages import choices, expected, find, number
from bow2cnn.config.model import Config

_SCHEMA = "workflow/schemas/config.schema.yaml"
_MADE = "Made by `make config` from `src/bow2cnn/config`; do not edit it."
_WIDTH = 120
# How the demo differs from the defaults.
_DEMO = {
    "photos": ["demo-photos/photos"],
    "results": "results/demo",
    "shards.photos": 2,
    "shards.clusters": 2,
    "features.side": 640,
    "vocabulary.words": 8192,
    "vocabulary.sample": 400_000,
    "clustering.min_inliers": 18,
    "clustering.min_bridge_inliers": 45,
    "split.contamination_inliers": 30,
    "experiments.gem.test.image_size": 256,
    "benchmarks.demo.photos": "demo-photos/benchmark/photos",
    "benchmarks.demo.gnd": "demo-photos/benchmark/gnd.json",
}
_DEMO_REASONS = {"clustering.min_inliers": "The demo needs more, because rendered textures repeat more than the world does."}
_SOURCES = """## Sources

- TPAMI 2018: Radenovic, Tolias, Chum, Fine-tuning CNN image retrieval with no human annotation; "the paper". "Talk" is Chum's talk on it.
- Philbin et al., CVPR 2008: Lost in quantization.
- Schönberger et al., CVPR 2015: From single image query to detailed 3D reconstruction.
- Dosovitskiy et al., TPAMI 2016: Discriminative unsupervised feature learning with exemplar convolutional neural networks.
- Wortsman et al., CVPR 2022: Robust fine-tuning of zero-shot models.
- Hastie, Tibshirani, Friedman: The Elements of Statistical Learning, 2nd edition.
"""


class Key(NamedTuple):
    """One key of the config: its path (`*` for a name that the user gives), its annotation, its field."""

    path: tuple
    annotation: Any
    field: Any


def all_keys(model: type[Section] = Config, path: tuple = ()) -> Iterator[Key]:
    """All keys, in the order of the model."""
    for name, field in model.model_fields.items():
        inside, place = field.annotation, (*path, name)
        if get_origin(inside) is dict:
            inside, place = get_args(inside)[1], (*place, "*")
        if isinstance(inside, type) and issubclass(inside, Section):
            yield from all_keys(inside, place)
        else:
            yield Key(place, inside, field)


def texts() -> dict[str, str]:
    """Every file that is made from the model: its path in the repository, and its text."""
    return {_SCHEMA: _schema(), "config.yaml": _demo(), "docs/config.md": _page()}


def main(root: Path = Path(__file__).parents[3]) -> None:
    """Write these files."""
    for path, text in texts().items():
        (root / path).write_text(text, encoding="utf-8")


# The schema for editors.


def _schema():
    schema = Config.model_json_schema()
    schema = {"$schema": GenerateJsonSchema.schema_dialect, **_untitled(schema), "title": "config of a bow2cnn run"}
    return f"# For editors. {_MADE}\n" + yaml.safe_dump(schema, sort_keys=False, allow_unicode=True, width=_WIDTH)


def _untitled(schema):
    """A schema without titles, which only repeat the names."""
    if isinstance(schema, list):
        return [_untitled(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: _untitled(part) for name, part in schema.items() if name != "title" or isinstance(part, dict)}


# The demo's config.


def _demo():
    lines = [
        f"# yaml-language-server: $schema={_SCHEMA}",
        "# The demo's run, with all keys and what they mean. Your own run needs only `photos` and what differs from the defaults",
        "# (`snakemake --cores all --configfile my.yaml`); this file is read only when no --configfile is given.",
        "# Paths are relative to the folder where snakemake is started.",
        f"# {_MADE}",
    ]
    return "\n".join([*lines, *_demo_section(Config, ())]) + "\n"


def _demo_section(model, path):
    """Lines of a section of the demo's config."""
    indent = "  " * len(path)
    lines = []
    for name, field in model.model_fields.items():
        place, inside = (*path, name), field.annotation
        lines += [""] if not path else []
        value, note = _demo_value(place, field)
        lines += textwrap.wrap(field.description + note, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
        if get_origin(inside) is dict:
            own = {"experiments": "gem", "benchmarks": "demo"}[name]
            lines += [f"{indent}{name}:", f"{indent}  {own}:", *_demo_section(get_args(inside)[1], (*place, own))]
        elif isinstance(inside, type) and issubclass(inside, Section):
            lines += [f"{indent}{name}:", *_demo_section(inside, place)]
        else:
            lines.append(f"{indent}{name}: {_yaml(value)}")
    return lines


def _demo_value(place, field):
    """Value of a key in the demo, and for its comment the default if that is another."""
    path = ".".join(place)
    value = _DEMO.get(path, field.default)
    if value == field.default or field.is_required():
        return value, ""
    return value, f" Default: {_yaml(field.default)}. {_DEMO_REASONS.get(path, '')}".rstrip()


def _yaml(value):
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("\n").removesuffix("\n...")


# The page of all keys.


def _page():
    lines = [
        "# The keys of the config",
        "",
        _MADE,
        "",
        "Only `photos` must be given. Unknown keys, wrong kinds of values and values outside the limits are refused before any job.",
        "`~` is your home folder. Paths are relative to the folder where snakemake is started.",
    ]
    heading = None
    for key in all_keys():
        if key.path[:-1] != heading:
            heading = key.path[:-1]
            lines += ["", f"## {_heading(heading)}", "", *_about(heading), "| key | value | default | meaning |", "|---|---|---|---|"]
        default = "must be given" if key.field.is_required() else f"`{_yaml(key.field.default)}`"
        lines.append(f"| `{key.path[-1]}` | {_allowed(key)} | {default} | {key.field.description.replace('|', chr(92) + '|')} |")
    return "\n".join([*lines, "", _SOURCES])


def _heading(path):
    return "`" + ".".join(path).replace("*", "NAME") + "`" if path else "At the top"


def _about(path):
    """Description of a section, above its table."""
    if not path:
        return []
    named = path[-1] == "*"
    where = path[:-1] if named else path
    return [find(Config, where[:-1]).model_fields[where[-1]].description, ""]


def _allowed(key):
    """Kind of a value with its limits, such as "a whole number, at least 1 and at most 16"."""
    annotation, metadata = key.annotation, key.field.metadata
    if choices(annotation):
        return ", ".join(f"`{choice}`" for choice in choices(annotation))
    if get_origin(annotation) is list:
        item = get_args(annotation)[0]
        if choices(item):
            return "a list of " + ", ".join(f"`{choice}`" for choice in choices(item))
        inner = [limit for part in getattr(item, "__metadata__", ()) for limit in getattr(part, "metadata", ())]
        return f"a list of {'paths' if item is UserPath else 'numbers'}{_limits(inner)}"
    return expected(annotation).replace("text", "a path").replace("nothing", "`null`") + _limits(metadata)  # all free text is a path


def _limits(metadata):
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    found = [(words[name], getattr(part, name)) for part in metadata for name in words if hasattr(part, name)]
    limits = [f"{word} {number(value)}" for word, value in found if value != MOST]
    return f", {' and '.join(limits)}" if limits else ""


if __name__ == "__main__":
    main()
