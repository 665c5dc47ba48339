"""The page's ladder: every rung with its mark, its word, and what was seen."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from phonecheck.report import pictures
from phonecheck.report.parts import absent, flat, in_code, table

_STATES = {
    "well": "well",
    "failed": "failed",
    "unseen": "not seen",
    "idle": "not needed",
    "hidden": "follows",
}


def ladder(report: Mapping[str, Any]) -> str:
    """What the doctor looked at, in its order."""
    diagnosis = report.get("diagnosis")
    if diagnosis is None:
        return absent(report, "diagnosis")
    rungs = diagnosis.get("rungs") or []
    titles = {rung.get("slug"): rung.get("title") for rung in rungs}
    items = "\n".join(_rung_item(rung, titles) for rung in rungs)
    traffic = diagnosis.get("traffic")
    over = f"; {traffic} bytes went over the link meanwhile" if traffic is not None else ""
    took = pictures.milliseconds(round(diagnosis.get("ms") or 0))
    return f'<ol class="ladder">\n{items}\n</ol>\n<p class="muted">Looked at in {took}{over}.</p>'


def _rung_item(rung: Mapping[str, Any], titles: Mapping[Any, Any]) -> str:
    state = str(rung.get("state"))
    words = escape(rung.get("words") or "")
    if state == "failed":
        error = rung.get("error") or {}
        words = f"<strong>{escape(error.get('message') or '')}</strong> {words}{cure(rung)}"
    elif state == "hidden":
        because = rung.get("because")
        words = f"from: {escape(str(titles.get(because) or because))}"
    elif rung.get("command"):
        words += _command(rung)
    took = pictures.milliseconds(round(rung["ms"])) if rung.get("ms") else ""
    return (
        f'<li class="{escape(state)}">{pictures.state(state)}<div class="title">{escape(str(rung.get("title")))}</div>'
        f'<div class="state">{_STATES.get(state, escape(state))}</div>'
        f'<div class="ms">{took}</div><div class="words">{words}{_facts(rung.get("facts"))}</div></li>'
    )


def cure(rung: Mapping[str, Any]) -> str:
    """What to do about a rung that failed."""
    error = rung.get("error") or {}
    again = ", worth another try" if error.get("retryable") else ""
    code = f'<p class="muted">{in_code(error["code"])}{again}</p>' if error.get("code") else ""
    return f"<p>{escape(error.get('hint') or '')}</p>{_command(rung)}{code}"


def _command(rung: Mapping[str, Any]) -> str:
    return f'<pre class="command">{escape(rung["command"])}</pre>' if rung.get("command") else ""


def _facts(facts: Mapping[str, Any] | None) -> str:
    return f"<details><summary>facts</summary>{table(flat(facts))}</details>" if facts else ""
