"""The report's pictures: SVG that stretches with the page while its marks and letters keep their size.

Places along the page are percentages, those across it pixels: a viewBox would scale the letters too, to five pixels on a
telephone. Every mark has its shape, and says what it is; colour only helps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any

from phonecheck.report.parts import moment

STEPS = (("dns", "DNS"), ("connect", "connect"), ("tls", "TLS"), ("first_byte", "wait"))
WORDS = {"match": "match", "no_match": "no match", "inconclusive": "inconclusive", "opened": "opened"}

_RUNGS = {
    "well": '<circle cx="9" cy="9" r="8"/><path d="M5 9.4l2.7 2.7L13 6.8"/>',
    "failed": '<path d="M9 1l8 8-8 8-8-8z"/><path d="M9 5v4.6M9 12.2v.6"/>',
    "unseen": '<circle cx="9" cy="9" r="8"/><path d="M6.8 7a2.3 2.3 0 1 1 3.3 2.1c-.8.4-1.1.8-1.1 1.5M9 13v.4"/>',
    "idle": '<circle cx="9" cy="9" r="8"/><path d="M5.6 9h6.8"/>',
    "hidden": '<path d="M4 2.5v6.8a2 2 0 0 0 2 2h8M11 8l3.2 3.3L11 14.6"/>',
}
_CHECKS = """<svg class="defs" width="0" height="0" aria-hidden="true"><defs>
<g id="match" class="match"><circle r="3.2"/></g>
<g id="opened" class="match"><circle r="3.2"/></g>
<g id="no_match" class="no_match"><path d="M0-4.4L4.4 0 0 4.4-4.4 0z"/></g>
<g id="inconclusive" class="inconclusive"><path d="M-3.3-3.3l6.6 6.6M3.3-3.3l-6.6 6.6"/></g>
</defs></svg>"""


def state(word: str) -> str:
    """The mark of a rung's state; the word stands beside it."""
    return (
        f'<svg class="mark" width="18" height="18" viewBox="0 0 18 18" aria-hidden="true">{_RUNGS.get(word, "")}</svg>'
    )


def checks_key() -> str:
    """The marks of the checks, with their words; other pictures use them too."""
    keys = "".join(
        f'<span><svg width="12" height="12" aria-hidden="true"><use href="#{name}" x="6" y="6"/></svg> {WORDS[name]}</span>'
        for name in ("match", "no_match", "inconclusive")
    )
    return f'{_CHECKS}<p class="key">{keys}</p>'


def durations(checks: Sequence[Mapping[str, Any]]) -> str:
    """How long each check took, the oldest at the left, on a logarithmic scale."""
    known = [ms for check in checks if isinstance(ms := check.get("ms"), int | float) and ms > 0]
    if not known:
        return ""
    low, high = math.floor(math.log10(min(known))), math.ceil(math.log10(max(known)))
    high = max(high, low + 1)
    height = 132

    def at(ms: float) -> float:
        return 12 + (high - math.log10(max(ms, 10**low))) / (high - low) * (height - 24)

    grid = "".join(_rule(at(10.0**power), milliseconds(10.0**power)) for power in range(low, high + 1))
    marks = "".join(
        f'<use href="#{_kind(check)}" x="{_x(n, len(checks))}%" y="{at(check["ms"]):.1f}">'
        f"<title>{_told(check)}</title></use>"
        for n, check in enumerate(checks)
        if isinstance(check.get("ms"), int | float) and check["ms"] > 0
    )
    desc = f"{len(known)} checks took from {milliseconds(min(known))} to {milliseconds(max(known))}."
    return _picture("How long each check took", desc, height, grid + marks)


def signals(checks: Sequence[Mapping[str, Any]]) -> str:
    """The signal quality at each check, the oldest at the left; nothing where nobody knew it."""
    points = [
        (_x(n, len(checks)), float(check["signal"]), check)
        for n, check in enumerate(checks)
        if isinstance(check.get("signal"), int | float)
    ]
    if not points:
        return ""
    height = 96

    def at(percent: float) -> float:
        return 12 + (100 - min(max(percent, 0), 100)) / 100 * (height - 24)

    grid = "".join(_rule(at(percent), f"{percent} %") for percent in (0, 50, 100))
    line = "".join(
        f'<line x1="{x1}%" y1="{at(s1):.1f}" x2="{x2}%" y2="{at(s2):.1f}"/>'
        for (x1, s1, _), (x2, s2, _) in pairwise(points)
    )
    dots = "".join(f'<circle cx="{x}%" cy="{at(s):.1f}" r="2"><title>{_told(c)}</title></circle>' for x, s, c in points)
    least, most = min(s for _, s, _ in points), max(s for _, s, _ in points)
    desc = f"The signal quality was between {least:.0f} and {most:.0f} percent."
    return _picture("Signal quality at each check", desc, height, f'{grid}<g class="signal">{line}{dots}</g>')


def swatch(name: str) -> str:
    """A step's colour, for the key; each bar says its steps in words as well."""
    return f'<svg width="12" height="12" aria-hidden="true"><rect class="{name}" width="12" height="12"/></svg>'


def bar(hop: Mapping[str, Any], before: float, whole: float) -> str:
    """One hop's steps on the axis of the whole chain; ``before`` is what the hops before it took, in milliseconds."""
    ms = hop.get("ms") or {}
    at, parts = before, []
    end = before + _known(ms.get("total"))
    for name, _ in STEPS:
        took = _known(ms.get(name))
        if took:
            parts.append(_part(name, at, took, whole))
            at += took
    if end - at > whole / 1000:
        parts.append(_part("rest" if hop.get("status") else "lost", at, end - at, whole))
    title = f"Hop {escape(str(hop.get('n')))}: {spent(hop)}"
    return (
        f'<svg class="bar" width="100%" height="16" role="img" aria-label="{title}"><title>{title}</title>'
        f'<line class="grid" x1="0" x2="100%" y1="8" y2="8"/>{"".join(parts)}</svg>'
    )


def spent(hop: Mapping[str, Any]) -> str:
    """Where a hop's time went, in words."""
    ms = hop.get("ms") or {}
    steps = [f"{word} {_known(ms[name]):.0f}" for name, word in STEPS if ms.get(name) is not None]
    return f"{' · '.join(steps)} ms" if steps else "no step came to its end"


def milliseconds(value: float) -> str:
    """A time in the unit that suits it."""
    return f"{value / 1000:g} s" if value >= 1000 else f"{value:g} ms"


def _part(name: str, at: float, took: float, whole: float) -> str:
    # Half a percent, so that a step that hardly took any time is seen to have been there.
    return f'<rect class="{name}" x="{at / whole:.3%}" y="1" width="{max(took / whole, 0.005):.3%}" height="14"/>'


def _known(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and value > 0 else 0.0


def _picture(title: str, desc: str, height: int, inside: str) -> str:
    return (
        f'<svg class="chart" width="100%" height="{height}" role="img" aria-label="{title}. {desc}">'
        f"<title>{title}</title><desc>{desc}</desc>{inside}</svg>"
    )


def _rule(y: float, label: str) -> str:
    return f'<line class="grid" x1="0" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/><text x="0" y="{y - 3:.1f}">{label}</text>'


def _x(n: int, count: int) -> float:
    """Percent, beside the labels of the scale."""
    return round(9 + 89 * (n + 0.5) / count, 2)


def _kind(check: Mapping[str, Any]) -> str:
    outcome = check.get("outcome")
    return outcome if isinstance(outcome, str) and outcome in WORDS else "inconclusive"


def _told(check: Mapping[str, Any]) -> str:
    signal, ms = check.get("signal"), check.get("ms")
    facts = [
        moment(check.get("at")),
        WORDS[_kind(check)],
        check.get("code"),
        f"{ms:.0f} ms" if isinstance(ms, int | float) else None,
        check.get("technology"),
        f"signal {signal} %" if signal is not None else None,
    ]
    return escape(", ".join(str(fact) for fact in facts if fact))
