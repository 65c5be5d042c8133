"""The templates of the pages, and the style and the script that all pages share."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_HERE = Path(__file__).parent


def environment() -> Environment:
    """Jinja's environment. Everything is escaped, because names of photos and reasons may hold anything."""
    templates = Environment(
        loader=FileSystemLoader([_HERE, _HERE / "sections", _HERE / "pages"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["duration"] = duration
    for name, file in (("style", "style.css"), ("viewer", "viewer.js")):
        templates.globals[name] = Markup((_HERE / file).read_text(encoding="utf-8"))
    return templates


def duration(seconds: float) -> str:
    """A time as text, such as `3 min 05 s`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
