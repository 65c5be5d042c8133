"""The messages for a wrong config, of one line each."""

import difflib
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import ValidationError

from bow2cnn.config.base import Section

_LIMITS = {
    "greater_than_equal": ("must be at least", "ge"),
    "greater_than": ("must be more than", "gt"),
    "less_than_equal": ("must be at most", "le"),
    "less_than": ("must be less than", "lt"),
}
_KINDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false", NoneType: "nothing", list: "a list"}


class ConfigError(Exception):
    """A wrong config; the message names the key and what is allowed, in one line."""


def explain(error: ValidationError, model: type[Section]) -> str:
    """The first problem of a config in one line: unknown keys come first (they often explain the rest), then missing ones, then values.

    Args:
        error: the one that pydantic raised.
        model: the section that was read.
    """
    problem = min(error.errors(include_url=False), key=_rank)
    kind, place, value = problem["type"], problem["loc"], problem["input"]
    path = ".".join(map(str, place))
    if kind == "extra_forbidden":
        return f"{path}: no such key{_nearest(str(place[-1]), find(model, place[:-1]).model_fields)}"
    if kind == "missing":
        return f"{path}: missing ({_in_short(find(model, place[:-1]).model_fields[place[-1]].description)})"
    if kind == "string_pattern_mismatch":
        return f"{'.'.join(map(str, place[:-2]))}: the name {value!r} may contain only small letters, digits, - and _"
    at = f"{path}: " if path else ""
    if kind == "literal_error":
        return at + not_one_of(value, choices(find(model, place)))
    if kind in _LIMITS:
        words, limit = _LIMITS[kind]
        return f"{at}{words} {number(problem['ctx'][limit])}, got {value!r}"
    if kind in ("too_short", "string_too_short"):
        return f"{at}must not be empty"
    if kind.endswith("_type"):
        return f"{at}expected {expected(find(model, place))}, got {value!r}"
    said = problem["ctx"]["error"] if kind == "value_error" else problem["msg"]
    return f"{at}{said}".splitlines()[0]


def not_one_of(value: Any, choices: list[str]) -> str:
    """A message that a value is not one of the choices, with the nearest one."""
    guess = difflib.get_close_matches(str(value), choices, 1)
    return f"{value!r} is not one of {', '.join(choices)}" + (f"; did you mean {guess[0]}?" if guess else "")


def choices(kind: Any) -> list[str]:
    """The values that a key may have, as a user would write them; none where they cannot be listed."""
    if get_origin(kind) is Literal:
        return [str(choice) for choice in get_args(kind)]
    found = [choice for part in get_args(kind) for choice in choices(part)] if get_origin(kind) in (Union, UnionType) else []
    return [*found, "null"] if found and NoneType in get_args(kind) else found


def find(model: type[Section], place: tuple[str | int, ...]) -> Any:
    """The part of the config at a place: a `Section`, or the annotation of a key or of an item of a list."""
    inside: Any = model
    for step in place:
        if isinstance(inside, type) and issubclass(inside, Section):
            inside = inside.model_fields[str(step)].annotation
        else:  # a name that the user gives, or a number in a list
            inside = get_args(inside)[-1]
    return inside


def number(value: float) -> str:
    """A limit as a user would write it: 1, not 1.0."""
    return str(int(value) if float(value).is_integer() else value)


def _rank(problem):
    order = {"extra_forbidden": 0, "missing": 1}.get(problem["type"], 2)
    place = problem["loc"] if order == 2 else problem["loc"][:-1]  # of several at one place, the first
    return order, list(map(str, place))


def _nearest(word, known):
    guess = difflib.get_close_matches(word, known, 1, 0.5)
    return f"; did you mean {guess[0]}?" if guess else f"; known here: {', '.join(known)}"


def _in_short(description):
    """The first sentence of a description, as a part of another one."""
    sentence = description.split(". ")[0].rstrip(".")
    return sentence[0].lower() + sentence[1:]


def expected(kind: Any) -> str:
    """The kind of value that is expected, in words."""
    origin = get_origin(kind)
    if origin is Annotated:
        return expected(get_args(kind)[0])
    if origin in (Union, UnionType):
        return " or ".join(map(expected, get_args(kind)))
    if origin is Literal:
        return _KINDS[str]
    return _KINDS.get(origin or kind, "keys and values")
