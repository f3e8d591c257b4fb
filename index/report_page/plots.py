"""Plots as inline SVG: static, coloured by the page's style, and described for who cannot see."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from html import escape

from index.report_page.style import SERIES

_WIDTH, _HEIGHT = 400, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 68, 12, 12, 48
_BASE = _HEIGHT - _BOTTOM
# Times that differ by more than this stand on a logarithmic axis.
_WIDE_RANGE = 20


@dataclasses.dataclass(frozen=True, slots=True)
class Frame:
    """What a plot is called and what its axes show, all plain text.

    Attributes:
        ident: id in the page.
        title: what it shows, in a few words.
        description: what there is to see, for who cannot see it.
        x_label, y_label: name and unit of the axes.
    """

    ident: str
    title: str
    description: str
    x_label: str
    y_label: str


@dataclasses.dataclass(frozen=True, slots=True)
class Scale:
    """An axis: values from low to high stand at start to end, in units of the drawing.

    Attributes:
        logarithmic: whether equal factors are equal distances.
        whole: whether the values are counts, which have no ticks between them.
    """

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False
    whole: bool = False

    def place(self, value: float) -> float:
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values on the axis."""
        if not self.logarithmic:
            step = _round_step((self.high - self.low) / 4)
            step = max(step, 1.0) if self.whole else step
            first = math.ceil(self.low / step - 1e-9)
            last = math.floor(self.high / step + 1e-9)
            return [round(i * step, 12) for i in range(first, last + 1)]
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        steps = (1, 3) if self.high / self.low < 1000 else (1,)
        every = [step * 10.0**decade for decade in decades for step in steps]
        return [tick for tick in every if self.low * 0.999 <= tick <= self.high * 1.001]


@dataclasses.dataclass(frozen=True, slots=True)
class Series:
    """Points of one kind: their name, and where they stand."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Interval:
    """A value with its interval, and a second value beside it."""

    name: str
    value: float
    low: float
    high: float
    second: float


def scatter_plot(
    frame: Frame,
    series: Sequence[Series],
    path: Sequence[tuple[float, float]],
    ring: tuple[float, float] | None,
) -> str:
    """Values up to 1 against positive ones, as points.

    Args:
        frame: what it is called.
        series: the points.
        path: those that are joined, in this order; beneath the points.
        ring: a point that stands out.
    """
    points = [point for one in series for point in one.points]
    x, y = _wide_scale([p[0] for p in points]), _share_scale([p[1] for p in points])
    drawn = [_path(path, x, y)] if len(path) > 1 else []
    drawn += [_points(number, one, x, y) for number, one in enumerate(series)]
    if ring is not None:
        place = f'cx="{x.place(ring[0]):.1f}" cy="{y.place(ring[1]):.1f}"'
        drawn.append(f'<circle class="ring" {place} r="9"/>')
    ticks = [(x.place(tick), _tick(tick)) for tick in x.ticks()]
    return _plot(frame, ticks, y, "".join(drawn))


def line_plot(frame: Frame, series: Sequence[Series]) -> str:
    """Values up to 1 against positive ones, the points of each series joined in their order."""
    points = [point for one in series for point in one.points]
    x, y = _wide_scale([p[0] for p in points]), _share_scale([p[1] for p in points])
    drawn = []
    for number, one in enumerate(series):
        places = [(x.place(left), y.place(up)) for left, up in one.points]
        line = "L".join(f"{left:.1f} {up:.1f}" for left, up in places)
        marks = "".join(_shape(number, *place) for place in places)
        drawn.append(f'<g class="s{number % SERIES}"><path class="lines" d="M{line}"/>{marks}</g>')
    ticks = [(x.place(tick), _tick(tick)) for tick in x.ticks()]
    return _plot(frame, ticks, y, "".join(drawn))


def scatter_legend(series: Sequence[Series], path: str, ring: str) -> str:
    """What stands in a `scatter_plot`; `path` and `ring` are "" where there is none."""
    items = [
        _key(f"s{number % SERIES}", _shape(number, 20, 8), one.name)
        for number, one in enumerate(series)
    ]
    if path:
        items.append(_key("", '<path class="path" d="M0 8H40"/>', path))
    if ring:
        items.append(_key("", '<circle class="ring" cx="20" cy="8" r="6.5"/>', ring))
    return f'<ul class="legend">{"".join(items)}</ul>'


def interval_plot(frame: Frame, intervals: Sequence[Interval]) -> str:
    """Values with their intervals, side by side; the second value is a diamond beside each."""
    every = [v for one in intervals for v in (one.low, one.second, one.value)]
    y = _share_scale(every)
    step = (_WIDTH - _LEFT - _RIGHT) / len(intervals)
    drawn, ticks = [], []
    for number, one in enumerate(intervals):
        middle = _LEFT + (number + 0.5) * step
        low, high, at = (y.place(v) for v in (one.low, one.high, one.value))
        left = middle - 9
        drawn.append(
            f'<g class="s0"><path class="lines" d="M{left:.1f} {low:.1f}V{high:.1f}'
            f'M{left - 6:.1f} {low:.1f}h12M{left - 6:.1f} {high:.1f}h12"/>'
            f'<circle class="mark" cx="{left:.1f}" cy="{at:.1f}" r="5"/></g>'
            f'<g class="s1">{_shape(1, middle + 11, y.place(one.second))}</g>'
        )
        ticks.append((middle, one.name))
    return _plot(frame, ticks, y, "".join(drawn))


def interval_legend(value: str, second: str) -> str:
    """What the marks of `interval_plot` are."""
    first = f'<path class="lines" d="M20 1V15M16 1h8M16 15h8"/>{_shape(0, 20, 8)}'
    return (
        f'<ul class="legend">{_key("s0", first, value)}{_key("s1", _shape(1, 20, 8), second)}</ul>'
    )


def histogram(frame: Frame, bars: Sequence[tuple[str, int]]) -> str:
    """Counts as bars; each has its name below it, as far as there is room."""
    top = max(count for _, count in bars) or 1
    step = _round_step(top / 4) if top > 4 else 1
    y = Scale(0, math.ceil(top / step) * step, _BASE, _TOP, whole=True)
    width = (_WIDTH - _LEFT - _RIGHT) / len(bars)
    every = math.ceil(len(bars) * max(len(name) for name, _ in bars) * 9 / (_WIDTH - _LEFT))
    drawn, ticks = [], []
    for number, (name, count) in enumerate(bars):
        left, height = _LEFT + number * width, _BASE - y.place(count)
        drawn.append(
            f'<rect class="mark" x="{left + width * 0.08:.1f}" y="{_BASE - height:.1f}" '
            f'width="{width * 0.84:.1f}" height="{height:.1f}"/>'
        )
        if number % every == 0:
            ticks.append((left + width / 2, name))
    return _plot(frame, ticks, y, f'<g class="s0">{"".join(drawn)}</g>')


def strip_plot(frame: Frame, points: Sequence[tuple[str, float]]) -> str:
    """A few named values on one axis from 0; equal ones share a mark."""
    top = max([value for _, value in points] + [1.0])
    step = _round_step(top / 4)
    x = Scale(0, math.ceil(top / step * 1.05) * step, _LEFT - 30, _WIDTH - 40)
    base = 96
    drawn, names = [f'<path class="axis" d="M{x.start} {base}H{x.end}"/>'], []
    for tick in x.ticks():
        at = x.place(tick)
        drawn.append(f'<path class="axis" d="M{at:.1f} {base}v5"/>')
        drawn.append(_label(at, base + 20, _tick(tick), "tick"))
    # The largest stands highest, so that the names, left of their lines, cross none.
    for row, (name, value) in enumerate(sorted(points, key=lambda point: -point[1])):
        at, height = x.place(value), 18 + row * 22
        end = "end" if at > 9 * len(f"{name} {_tick(value)}") else "start"
        shift = -8 if end == "end" else 8
        drawn.append(
            f'<g class="s{row}"><path class="lines" d="M{at:.1f} {height - 4}V{base}"/>'
            f'<circle class="mark" cx="{at:.1f}" cy="{base}" r="5"/></g>'
        )
        names.append(_label(at + shift, height, f"{name} {_tick(value)}", "", end))
    drawn.append(_label((x.start + x.end) / 2, base + 42, frame.x_label, ""))
    return _svg(frame, base + 48, "".join(drawn + names))


def _plot(frame: Frame, ticks: Sequence[tuple[float, str]], y: Scale, drawn: str) -> str:
    parts = []
    for tick in y.ticks():
        at = y.place(tick)
        parts.append(f'<path class="grid" d="M{_LEFT} {at:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(_label(_LEFT - 8, at + 5, _tick(tick), "tick", "end"))
    parts.append(f'<path class="axis" d="M{_LEFT} {_BASE}H{_WIDTH - _RIGHT}"/>')
    for at, name in ticks:
        parts.append(f'<path class="axis" d="M{at:.1f} {_BASE}v4"/>')
        parts.append(_label(at, _BASE + 19, name, "tick"))
    parts.append(_label((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, frame.x_label, ""))
    middle = (_TOP + _BASE) / 2
    parts.append(
        f'<text text-anchor="middle" transform="translate(18 {middle}) rotate(-90)">'
        f"{escape(frame.y_label)}</text>"
    )
    return _svg(frame, _HEIGHT, "".join(parts) + drawn)


def _svg(frame: Frame, height: float, drawn: str) -> str:
    names = f"{frame.ident}-title {frame.ident}-description"
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-labelledby="{names}">'
        f'<title id="{frame.ident}-title">{escape(frame.title)}</title>'
        f'<desc id="{frame.ident}-description">{escape(frame.description)}</desc>{drawn}</svg>'
    )


def _label(x: float, y: float, name: str, kind: str, anchor: str = "middle") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text{style} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(name)}</text>'


def _path(points: Sequence[tuple[float, float]], x: Scale, y: Scale) -> str:
    places = "L".join(f"{x.place(a):.1f} {y.place(b):.1f}" for a, b in points)
    return f'<path class="path" d="M{places}"/>'


def _points(number: int, series: Series, x: Scale, y: Scale) -> str:
    marks = "".join(_shape(number, x.place(a), y.place(b)) for a, b in series.points)
    return f'<g class="s{number % SERIES}">{marks}</g>'


def _shape(number: int, x: float, y: float) -> str:
    """Series differ in shape, too: not everyone tells their colours apart."""
    match number % 5:
        case 0:
            return f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'
        case 1:
            return f'<path class="mark" d="M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6 -6z"/>'
        case 2:
            return f'<rect class="mark" x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"/>'
        case 3:
            return f'<path class="mark" d="M{x:.1f} {y - 6:.1f}l6 10h-12z"/>'
    return f'<path class="mark" d="M{x:.1f} {y + 6:.1f}l6 -10h-12z"/>'


def _key(kind: str, drawn: str, name: str) -> str:
    style = f' class="{kind}"' if kind else ""
    return (
        f'<li{style}><svg viewBox="0 0 40 16" aria-hidden="true">{drawn}</svg>{escape(name)}</li>'
    )


def _share_scale(values: Sequence[float]) -> Scale:
    """From a round number below the smallest up to 1."""
    # Never a narrower range: it would make a drama of the last thousandth.
    room = max(1 - min(values), 0.09)
    step = _round_step(room / 4)
    low = 1 - step * (math.floor(room / step) + 1)
    return Scale(max(low, 0.0), 1.0, _BASE, _TOP)


def _wide_scale(values: Sequence[float]) -> Scale:
    start, end = _LEFT + 10, _WIDTH - _RIGHT - 10
    low, high = min(values), max(values)
    if low > 0 and high / low > _WIDE_RANGE:
        return Scale(low / 1.3, high * 1.3, start, end, logarithmic=True)
    step = _round_step(high / 4) if high > 0 else 1.0
    return Scale(0.0, step * math.ceil(high / step) if high > 0 else 1.0, start, end)


def _round_step(rough: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is not below `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= rough * 0.999)


def _tick(value: float) -> str:
    return f"{value:,.10g}" if abs(value) < 1000 else f"{value:,.0f}"
