"""Plots of one curve each, as SVG, without a library."""

from __future__ import annotations

import math
from collections.abc import Sequence

WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 36, 44
STEPS = 4


def curve(title: str, points: Sequence[tuple[int, float]]) -> str:
    """Plot a measure, from zero, over rows on a logarithmic axis."""
    top = _rounded_up(max(value for _, value in points))
    first, last = (math.log10(points[at][0]) for at in (0, -1))

    def x(rows: int) -> float:
        return LEFT + (math.log10(rows) - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)

    parts = [_text(LEFT, 20, title, anchor="start")]
    for step in range(STEPS + 1):
        value = top * step / STEPS
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#ddd"/>'
        )
        parts.append(_text(LEFT - 8, y(value) + 4, f"{value:g}", anchor="end"))
    for rows, value in points:
        parts.append(_text(x(rows), HEIGHT - 18, f"{rows:,}", anchor="middle"))
        parts.append(f'<circle cx="{x(rows):.1f}" cy="{y(value):.1f}" r="4" fill="#2563eb"/>')
        parts.append(_text(x(rows), y(value) - 10, f"{value:.3g}", anchor="middle"))
    line = " ".join(f"{x(rows):.1f},{y(value):.1f}" for rows, value in points)
    parts.append(f'<polyline points="{line}" fill="none" stroke="#2563eb" stroke-width="2"/>')
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12">\n<rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n'
    )


def _text(x: float, y: float, text: str, *, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'


def _rounded_up(value: float) -> float:
    """Return the next 1, 2, 4, 5 or 8 times a power of ten, with room for a label."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 5, 8, 10, 20) if step * power >= value * 1.15)
