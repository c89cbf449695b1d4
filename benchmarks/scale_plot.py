"""The picture of `python -m benchmarks.scale`, legible on light and dark pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

COLORS = {"rate limit": "limit", "latency": "wait", "CPU": "busy"}


def picture(results: Mapping[tuple[int, int, float, int], Mapping[str, Any]]) -> str:
    """Return the minutes of each scenario as bars, in the color of what bounds it."""
    shown = [(case, result) for case, result in results.items() if case[3] == 64]
    longest = max(result["seconds"] for _, result in shown)
    parts, y, group = list[str](), 34, 0
    for name, x in zip(COLORS, (20, 260, 400), strict=True):
        label = "rate limit of the largest firm" if name == "rate limit" else name
        parts += [f'<rect class="{COLORS[name]}" x="{x}" y="{y - 11}" width="12" height="12"/>']
        parts += [f'<text x="{x + 18}" y="{y}">{label}</text>']
    for (processes, rate, latency, _), result in shown:
        if processes != group:
            group = processes
            y += 36
            title = f"{processes} process{'es' if processes > 1 else ''}"
            parts.append(f'<text class="head" x="20" y="{y}">{title}</text>')
        y += 20
        width = max(2, 330 * result["seconds"] / longest)
        name = f"{rate} requests/s, {latency * 1000:.0f} ms"
        parts += [f'<text class="small" x="166" y="{y}" text-anchor="end">{name}</text>']
        parts += [
            f'<rect class="{COLORS[result["bound"]]}" x="174" y="{y - 11}" width="{width:.1f}" height="13"/>'
        ]
        parts += [
            f'<text class="small" x="{180 + width:.1f}" y="{y}">{result["seconds"] / 60:.1f} min</text>'
        ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 580 {y + 20}" width="580" height="{y + 20}"'
    label = "Minutes of each scenario, by what bounds it"
    panel = f'<rect class="panel" x="0.5" y="0.5" width="579" height="{y + 19}" rx="8"/>'
    return "\n".join([f'{head} role="img" aria-label="{label}">', STYLE, panel, *parts, "</svg>\n"])


STYLE = """<style>
  text { font: 14px system-ui, sans-serif; fill: #1f2430 }
  .small { font-size: 12px; fill: #55607a } .head { font-weight: 600 }
  .panel { fill: #ffffff; stroke: #d5d9e4 }
  .limit { fill: #4051b5 } .wait { fill: #d9822b } .busy { fill: #2e8b6f }
  @media (prefers-color-scheme: dark) {
    text { fill: #e4e7f0 } .small { fill: #a3acc4 }
    .panel { fill: #14161d; stroke: #343a4a }
    .limit { fill: #7183ea } .wait { fill: #f0a050 } .busy { fill: #4fc09c }
  }
</style>"""
