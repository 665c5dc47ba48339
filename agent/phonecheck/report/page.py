"""The report for people: one page that needs nothing but itself, with the same report for programs inside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from phonecheck.report import pictures
from phonecheck.report.checks import checks, hops
from phonecheck.report.parts import absent, flat, in_code, moment, said, table
from phonecheck.report.rungs import cure, ladder
from phonecheck.report.scrub import Json

# Nothing is fetched and nothing is run; the page is laid open like a letter.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_LEFT_OUT = (
    "Left out on purpose: phone numbers, IMSI, ICCID and IMEI but for their last four digits; PIN, tokens, codes, cookies "
    "and the queries of URLs; the names of the device and its users; MAC addresses and the addresses of its other networks."
)


def page(report: Mapping[str, Json]) -> str:
    """The whole page of a report that was composed, and so scrubbed, already."""
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    body = "\n".join(
        (
            _head(report),
            _section("ladder", "What was looked at", ladder(report)),
            _section("checks", "The service's checks", checks(report)),
            _section("hops", "Hop by hop", hops(report)),
            '<div class="pair"><div>',
            _section("modem", "Modem", _table(report, "modem")),
            "</div><div>",
            _section("link", "Link", _table(report, "link")),
            _section("service", "Service", _table(report, "service")),
            _section("versions", "Versions", _table(report, "versions")),
            "</div></div>",
            _section("configuration", "Configuration in force", _configuration(report)),
            _section("log", "The service's log", _log(report)),
        )
    )
    made = escape(moment(report.get("made_at")))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>phonecheck report, {made}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
<main>
{body}
</main>
<footer>
<p>{_LEFT_OUT}</p>
<p>The same report for programs is in this page's source, as JSON: the element with the id <code>report</code>.</p>
</footer>
<script type="application/json" id="report">{_inside_script(report)}</script>
</body>
</html>
"""


def _inside_script(report: Mapping[str, Json]) -> str:
    """JSON that no text in it can end: in a script element, only "<" can (HTML, "restrictions for contents of script")."""
    return json.dumps(report, ensure_ascii=False).replace("<", "\\u003c")


def _section(name: str, title: str, content: str) -> str:
    return f'<section id="{name}" aria-labelledby="h-{name}">\n<h2 id="h-{name}">{title}</h2>\n{content}\n</section>'


def _head(report: Mapping[str, Any]) -> str:
    diagnosis = report.get("diagnosis")
    error = (diagnosis or {}).get("error") or {}
    if diagnosis is None:
        kind, word, title, more = "unseen", "not looked at", "Nobody knows what is wrong.", absent(report, "diagnosis")
    elif diagnosis.get("well"):
        kind, word, title = "well", "well", "Nothing is found to be wrong."
        more = "<p>This device can verify its SIM, as far as could be seen.</p>" + _last(report)
    else:
        kind, word, title = "failed", "failed", error.get("message") or "This device cannot verify its SIM."
        more = cure(_cause(diagnosis)) + _last(report)
    return f"""<header class="{kind}">
<p class="eyebrow">phonecheck report <time>{escape(moment(report.get("made_at")))}</time></p>
<p class="verdict">{pictures.state(kind)} {word}</p>
<h1>{escape(title)}</h1>
{more}
{_at_a_glance(report)}
</header>"""


def _at_a_glance(report: Mapping[str, Any]) -> str:
    modem, versions = report.get("modem") or {}, report.get("versions") or {}
    signal = modem.get("signal")
    network = [modem.get("operator"), modem.get("operator_code"), modem.get("registration")]
    facts = {
        "Network": ", ".join(str(word) for word in network if word),
        "Signal": ", ".join(filter(None, [modem.get("technology"), f"{signal} %" if signal is not None else ""])),
        "Modem": " ".join(filter(None, [modem.get("manufacturer"), modem.get("model")])),
        "Device": versions.get("board") or versions.get("machine"),
        "System": versions.get("distribution"),
        "phonecheck": versions.get("phonecheck"),
    }
    items = "".join(f"<div><dt>{name}</dt><dd>{escape(str(fact))}</dd></div>" for name, fact in facts.items() if fact)
    return f'<dl class="glance">{items}</dl>' if items else ""


def _cause(diagnosis: Mapping[str, Any]) -> Mapping[str, Any]:
    slug = diagnosis.get("cause")
    return next((rung for rung in diagnosis.get("rungs") or () if rung.get("slug") == slug), {})


def _last(report: Mapping[str, Any]) -> str:
    checks = (report.get("history") or {}).get("checks") or []
    if not checks:
        return ""
    last = checks[0]
    word = pictures.WORDS.get(str(last.get("outcome")), "no answer")
    code = f", {in_code(last['code'])}" if last.get("code") else ""
    return f'<p class="muted">The last check of the service, {escape(moment(last.get("at")))}: {word}{code}.</p>'


def _table(report: Mapping[str, Any], part: str) -> str:
    value = report.get(part)
    if value is None:
        return absent(report, part)
    # `link show` has the link itself in a part of its own.
    return table(flat({**(value.get(part) or {}), **{key: value[key] for key in value if key != part}}))


def _configuration(report: Mapping[str, Any]) -> str:
    settings = report.get("configuration")
    if settings is None:
        return absent(report, "configuration")
    sections: dict[str, list[tuple[str, str]]] = {}
    for name, value in settings.items():
        section, _, key = name.partition(".")
        sections.setdefault(section, []).append((key, said(value)))
    tables = (f"<div><h3>[{escape(section)}]</h3>{table(rows)}</div>" for section, rows in sections.items())
    return f'<div class="side">{"".join(tables)}</div>'


def _log(report: Mapping[str, Any]) -> str:
    lines = report.get("log")
    if lines is None:
        return absent(report, "log")
    rows = "\n".join(
        f'<tr class="{escape(str(line.get("level")))}"><td>{escape(moment(line.get("at")).removesuffix(" UTC"))}</td>'
        f"<td>{escape(str(line.get('level')))}</td><td>{escape(str(line.get('text')))}</td></tr>"
        for line in lines
    )
    return f"""<details><summary>The last {len(lines)} lines</summary>
<div class="scroll"><table class="log"><thead><tr><th>when (UTC)</th><th>level</th><th>line</th></tr></thead>
<tbody>{rows}</tbody></table></div></details>"""
