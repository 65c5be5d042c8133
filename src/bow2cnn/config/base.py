"""Base of all sections of the config: how a key is declared, and how the values of a YAML file or a command line are read."""

import math
import os
from typing import Annotated, Any, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

MOST = 2**31 - 1  # where the whole numbers of the libraries end

# `~` becomes the home folder, as the shell does it.
UserPath = Annotated[str, Field(min_length=1), AfterValidator(os.path.expanduser)]
# A name that the user gives: it becomes a part of file names.
Name = Annotated[str, Field(pattern="^[a-z0-9_-]+$")]


def key(default: Any, description: str, **limits: Any) -> Any:
    """A key with its default (`...` if it must be given), its meaning and its limits (`ge`, `gt`, `le`, `lt`, `min_length`).

    A whole number without an upper limit may be at most `MOST`.
    """
    if type(default) is int:
        limits.setdefault("le", MOST)
    return Field(default, description=description, **limits)


def section(kind: type["Section"]) -> Any:
    """A section of the config with all of its defaults; its docstring is its meaning."""
    return Field(default_factory=kind, description=kind.__doc__)


class Section(BaseModel):
    """Keys of one part of the config. Unknown keys are refused; an empty section (`features:`) means all of its defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _read(cls, values):
        if values is None:
            return {}
        if not isinstance(values, dict):
            return values
        kinds = {name: field.annotation for name, field in cls.model_fields.items()}
        return {name: _as_meant(value, kinds.get(name)) for name, value in values.items()}


def _as_meant(value, kind):
    """A value, or every value of a list, as the kind of value that its key asks for."""
    if get_origin(kind) is dict and value is None:  # `benchmarks:` with nothing below it
        return {}
    if get_origin(kind) is list and isinstance(value, list):
        return [_as_meant(item, get_args(kind)[0]) for item in value]
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if kind is bool and isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if kind in (int, float) and isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return _number(value, kind)
    return value


def _number(value, kind):
    """YAML reads `1e-6` as text and `3.0` as a fraction, and Snakemake's `--config` reads every nested value as text.

    Any other value becomes text, and is refused later.
    """
    if kind is int and str(value).lstrip("-").isdecimal():
        return int(value)
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return str(value)
    if not math.isfinite(number):
        return str(value)
    if kind is float:
        return number
    return int(number) if number.is_integer() else value
