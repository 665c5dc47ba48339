"""The page's checks: how they went over time, and the hops of the last ones."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from phonecheck.report import pictures
from phonecheck.report.parts import absent, in_code, moment

_COLUMNS = ("when (UTC)", "why made", "outcome", "code", "ms", "operator", "technology", "signal")
_NUMBERS = (_COLUMNS.index("ms"), _COLUMNS.index("signal"))


def checks(report: Mapping[str, Any]) -> str:
    """The service's checks over time."""
    history = report.get("history")
    if history is None:
        return absent(report, "history")
    checks = history.get("checks") or []
    if not checks:
        return '<p class="absent">No check was made yet.</p>'
    oldest_first = list(reversed(checks))
    first, last = (escape(moment(check.get("at"))[:16]) for check in (checks[-1], checks[0]))
    span = f"<span>{first}</span><span>{last}</span>"
    counts = {word: sum(check.get("outcome") == word for check in checks) for word in pictures.WORDS}
    told = ", ".join(f"{count} {pictures.WORDS[word]}" for word, count in counts.items() if count)
    heads = "".join(_cell(name, number=n in _NUMBERS, tag="th") for n, name in enumerate(_COLUMNS))
    rows = "".join(_check_row(check) for check in checks)
    return f"""<p>The last {len(checks)}: {told}.</p>
{pictures.checks_key()}
<figure><figcaption>How long each took, from the oldest to the newest</figcaption>
{pictures.durations(oldest_first)}<p class="span">{span}</p></figure>
{_signal_figure(oldest_first)}
<details><summary>As a table</summary>
<div class="scroll"><table class="checks"><thead><tr>{heads}</tr></thead>
<tbody>{rows}</tbody></table></div></details>"""


def _signal_figure(checks: list[Mapping[str, Any]]) -> str:
    picture = pictures.signals(checks)
    return f"<figure><figcaption>Signal quality at each</figcaption>\n{picture}</figure>" if picture else ""


def _check_row(check: Mapping[str, Any]) -> str:
    ms = check.get("ms")
    cells = [
        moment(check.get("at")).removesuffix(" UTC"),
        check.get("trigger"),
        pictures.WORDS.get(str(check.get("outcome")), check.get("outcome")),
        check.get("code"),
        f"{ms:.0f}" if isinstance(ms, int | float) else None,
        check.get("operator"),
        check.get("technology"),
        check.get("signal"),
    ]
    return f"<tr>{''.join(_cell(cell, number=n in _NUMBERS) for n, cell in enumerate(cells))}</tr>"


def _cell(value: Any, *, number: bool, tag: str = "td") -> str:
    text = "" if value is None else escape(str(value))
    return f'<{tag} class="n">{text}</{tag}>' if number else f"<{tag}>{text}</{tag}>"


def hops(report: Mapping[str, Any]) -> str:
    """Where the time went, and by which way, in the last check that failed and in the last good one."""
    history = report.get("history")
    if history is None:
        return absent(report, "history")
    failed, good = history.get("last_failed"), history.get("last_good")
    figures = [_waterfall("The last check that did not match", failed), _waterfall("The last match", good)]
    key = "".join(
        f"<span>{pictures.swatch(name)} {word}</span>"
        for name, word in (*pictures.STEPS, ("rest", "the rest"), ("lost", "no answer"))
    )
    shown = "\n".join(filter(None, figures))
    return f'<p class="key">{key}</p>\n{shown}' if shown else '<p class="absent">No check was made yet.</p>'


def _waterfall(title: str, check: Mapping[str, Any] | None) -> str:
    result = (check or {}).get("result")
    if not check or not result:
        return ""
    hops = result.get("hops") or []
    totals = [float((hop.get("ms") or {}).get("total") or 0) for hop in hops]
    whole = sum(totals) or 1.0
    rows = "\n".join(_hop(hop, sum(totals[:n]), whole) for n, hop in enumerate(hops))
    error = result.get("error") or {}
    why = (
        f"<p><strong>{escape(error['message'])}</strong> {in_code(error.get('code'))}</p>"
        if error.get("message")
        else ""
    )
    dropped = f'<p class="muted">{result["hops_dropped"]} hops were left out.</p>' if result.get("hops_dropped") else ""
    facts = [
        moment(check.get("at")),
        check.get("trigger"),
        f"check {result['check_id']}" if result.get("check_id") else None,
    ]
    chain = f'<ol class="hops">\n{rows}\n</ol>' if hops else '<p class="absent">The chain was not begun.</p>'
    return f"""<figure class="waterfall"><figcaption>{title}
<span class="muted">{escape(" · ".join(str(fact) for fact in facts if fact))}</span></figcaption>
{why}{chain}{dropped}</figure>"""


def _hop(hop: Mapping[str, Any], before: float, whole: float) -> str:
    place = str(hop.get("url") or "").partition("://")[2].partition("/")[0]
    total = (hop.get("ms") or {}).get("total")
    traces = " · ".join(f"{name} {value}" for name, value in (hop.get("trace_ids") or {}).items())
    facts = [
        f"to {hop['peer']}" if hop.get("peer") else "not connected",
        f"from {hop['source']} by {hop.get('bound_to')}" if hop.get("source") else None,
        f"name from {hop['dns_server']}" if hop.get("dns_server") else None,
        "cleartext" if hop.get("cleartext") else hop.get("tls"),
        "connection kept" if hop.get("reused") else None,
        pictures.spent(hop),
    ]
    return (
        f'<li><span class="n">{escape(str(hop.get("n")))}</span><span class="place">{escape(place)}</span>'
        f'<span class="status">{escape(str(hop.get("status") or "no answer"))}</span>'
        f'<span class="ms">{total if total is not None else ""} ms</span>{pictures.bar(hop, before, whole)}'
        f'<span class="muted evidence">{escape(" · ".join(str(fact) for fact in facts if fact))}'
        f"{f'<br>{escape(traces)}' if traces else ''}</span></li>"
    )
