"""The templates of the pages, with what all pages have in common."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_HERE = Path(__file__).parent


def environment():
    """Jinja's environment. Names of photos and reasons are not ours: everything is escaped."""
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


def duration(seconds):
    """Seconds as people say them."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
