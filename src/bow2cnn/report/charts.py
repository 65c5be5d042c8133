"""Charts as inline SVG; colours come from the page's style sheet, so that they follow its light and dark."""

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

_LABEL = 228  # width of the labels left of a bar chart
_ROW = 24  # height of a bar with the space around it
Row = tuple[str, float, float, float, str]  # label, value, ends of its interval (may be NaN), CSS class


def bars(rows: Sequence[Row], width: int = 600) -> Markup:
    """Horizontal bars with intervals, `width` wide in units of the SVG."""
    top = _nice_top(max([row[3] if math.isfinite(row[3]) else row[1] for row in rows], default=1.0))
    scale = (width - _LABEL - 60) / top
    parts = _grid([top * i / 4 for i in range(5)], lambda value: _LABEL + value * scale, len(rows) * _ROW)
    for number, (label, value, low, high, style) in enumerate(rows):
        y, end = number * _ROW, _LABEL + value * scale
        parts.append(f'<text class="label" x="{_LABEL - 10}" y="{y + 16}">{escape(label)}</text>')
        parts.append(f'<rect class="{escape(style)}" x="{_LABEL}" y="{y + 4}" width="{max(end - _LABEL, 0):.1f}" height="15" rx="2"/>')
        if math.isfinite(low) and math.isfinite(high):
            parts.append(_whisker(_LABEL + low * scale, _LABEL + high * scale, y + 11.5))
            end = max(end, _LABEL + high * scale)
        parts.append(f'<text class="value" x="{end + 6:.1f}" y="{y + 16}">{value:.1f}</text>')
    return _svg(parts, width, len(rows) * _ROW + 22)


def forest(rows: Sequence[Row], width: int = 720) -> Markup:
    """Differences around zero with their intervals; the CSS class is `better`, `worse` or `even`."""
    reach = _nice_top(max([max(abs(x) for x in row[1:4] if math.isfinite(x)) for row in rows], default=1.0), least=1.0)
    middle = _LABEL + (width - _LABEL - 70) / 2
    scale = (width - _LABEL - 70) / 2 / reach
    parts = _grid([-reach, -reach / 2, 0, reach / 2, reach], lambda value: middle + value * scale, len(rows) * _ROW, signed=True)
    parts.append(f'<line class="zero" x1="{middle:.1f}" x2="{middle:.1f}" y1="0" y2="{len(rows) * _ROW}"/>')
    for number, (label, value, low, high, style) in enumerate(rows):
        y = number * _ROW + 12
        parts.append(f'<text class="label" x="{_LABEL - 10}" y="{y + 4}">{escape(label)}</text>')
        if math.isfinite(low) and math.isfinite(high):
            parts.append(f'<line class="span {style}" x1="{middle + low * scale:.1f}" x2="{middle + high * scale:.1f}" y1="{y}" y2="{y}"/>')
        parts.append(f'<circle class="{style}" cx="{middle + value * scale:.1f}" cy="{y}" r="5"/>')
        parts.append(f'<text class="value" x="{width - 60}" y="{y + 4}">{signed(value)}</text>')
    return _svg(parts, width, len(rows) * _ROW + 22)


def curve(
    epochs: Iterable[int], values: Iterable[float], chosen: int | None, digits: int, width: int = 340, height: int = 170
) -> Markup | None:
    """A line over whole numbers, such as epochs; None if no value is finite.

    Args:
        epochs: the numbers; values: one for each, NaN for none.
        chosen: the number that is marked.
        digits: decimals of the values.
        width, height: in units of the SVG.
    """
    points = [(int(e), float(v)) for e, v in zip(epochs, values, strict=True) if math.isfinite(v)]
    if not points:
        return None
    low, high = min(v for _, v in points), max(v for _, v in points)
    margin = (high - low) * 0.12 or max(abs(high) * 0.05, 10.0**-digits)
    low, high = low - margin, high + margin
    first, last = points[0][0], max(points[-1][0], points[0][0] + 1)

    def at(epoch, value):
        return 52 + (epoch - first) / (last - first) * (width - 72), 10 + (high - value) / (high - low) * (height - 40)

    parts = []
    step = _nice_step((high - low) / 3.5)
    for i in range(math.ceil(low / step), math.floor(high / step) + 1):
        y = at(first, i * step)[1]
        parts.append(f'<line class="grid" x1="52" x2="{width - 12}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="label" x="46" y="{y + 4:.1f}">{i * step:.{digits}f}</text>')
    for epoch in range(first, last + 1, max(1, int(_nice_step((last - first) / 8)))):
        parts.append(f'<text class="tick" x="{at(epoch, low)[0]:.1f}" y="{height - 10}">{epoch}</text>')
    places = [at(*point) for point in points]
    parts.append(f'<polyline class="line" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}"/>')
    for (epoch, value), (x, y) in zip(points, places, strict=True):
        style, radius = ("chosen", 6) if epoch == chosen else ("dot", 3)
        parts.append(
            f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"><title>epoch {epoch}: {value:.{digits}f}</title></circle>'
        )
    return _svg(parts, width, height, "curve")


def signed(value: float, digits: int = 1) -> str:
    """A difference with its sign; a negative one has the character of the minus sign, not a hyphen."""
    text = f"{value:+.{digits}f}"
    return text.replace("-", "\u2212") if float(text) else f"{0:.{digits}f}"


def _grid(values, place, height, signed=False):
    parts = []
    for value in values:
        x = place(value)
        text = (f"{value:+g}" if signed and value else f"{value:g}").replace("-", "\u2212")
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{height + 16}">{text}</text>')
    return parts


def _whisker(low, high, y):
    ends = "".join(f"M{x:.1f} {y - 4}V{y + 4}" for x in (low, high))
    return f'<path class="whisker" d="M{low:.1f} {y}H{high:.1f}{ends}"/>'


def _nice_top(value, least=1e-3):
    """The next larger number that is 1, 2, 4, 6 or 8 times a power of ten, so that a quarter of it has few digits."""
    value = max(value, least)
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= value * 0.9999)


def _nice_step(value):
    """1, 2 or 5 times a power of ten, at least the value."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * 0.9999)


def _svg(parts, width, height, style="chart"):
    return Markup(f'<svg class="{style}" viewBox="0 0 {width} {height}" role="img">{"".join(parts)}</svg>')
