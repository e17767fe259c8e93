"""Hit ratio against memory as a picture: one HTML file with an SVG inside, that loads nothing."""

from html import escape

from rich.filesize import decimal

from tools.plan.curve import Curve
from tools.plan.plan import Plan

_WIDTH, _HEIGHT = 860, 460
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 160, 20, 50
_COLOURS = ("#0b6e4f", "#c1440e", "#3d5a98", "#8f6a00", "#6d3b8e", "#444444")


def chart(plan: Plan) -> str:
    """The page, as text."""
    top = max(point.memory for curve in plan.curves.values() for point in curve.points)
    lines = [
        _line(name, curve, _COLOURS[number % len(_COLOURS)], top, number)
        for number, (name, curve) in enumerate(plan.curves.items())
    ]
    target = plan.asked.target
    if target.p95_ms is None:
        lines.append(
            f'<path d="M{_x(0, top)} {_y(target.hit_ratio)}H{_x(top, top)}" stroke="#999" stroke-dasharray="4 4"/>'
        )
    return _PAGE.format(
        width=_WIDTH,
        height=_HEIGHT,
        axes="\n".join(_axes(top)),
        lines="\n".join(lines),
        about=escape(
            f"{len(plan.asked.trace.tenants):,} tenants, {len(plan.asked.trace.calls):,} calls replayed exactly; the "
            f"first third fills the memory and is not counted."
        ),
    )


def _axes(top: int) -> list[str]:
    parts = []
    for tenth in range(0, 11, 2):
        y = _y(tenth / 10)
        parts.append(f'<path d="M{_x(0, top)} {y}H{_x(top, top)}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{tenth * 10} %</text>')
    for quarter in range(5):
        memory = top * quarter // 4
        parts.append(
            f'<text x="{_x(memory, top)}" y="{_HEIGHT - _BOTTOM + 20}" text-anchor="middle">{decimal(memory)}</text>'
        )
    middle = (_LEFT + _WIDTH - _RIGHT) // 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle">memory for models</text>')
    return parts


def _line(name: str, curve: Curve, colour: str, top: int, number: int) -> str:
    path = "L".join(f"{_x(point.memory, top)} {_y(point.hit_ratio)}" for point in curve.points)
    dots = "".join(
        f'<circle cx="{_x(point.memory, top)}" cy="{_y(point.hit_ratio)}" r="3" fill="{colour}">'
        f"<title>{escape(name)}: {point.hit_ratio:.1%} with {decimal(point.memory)}</title></circle>"
        for point in curve.points
    )
    y = _TOP + 20 + 22 * number
    key = (
        f'<rect x="{_WIDTH - _RIGHT + 20}" y="{y - 10}" width="14" height="4" fill="{colour}"/>'
        f'<text x="{_WIDTH - _RIGHT + 40}" y="{y - 4}">{escape(name)}</text>'
    )
    return f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}{key}'


def _x(memory: int, top: int) -> int:
    return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * memory / top)


def _y(ratio: float) -> int:
    return round(_HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * ratio)


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Orchard: hit ratio against memory</title>
<style>body {{ font: 14px sans-serif; margin: 2em }} text {{ font: 12px sans-serif }}</style>
<h1>Hit ratio against memory</h1>
<p>{about}</p>
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">
{axes}
{lines}
</svg>
</html>
"""
