"""The report's page: read by a parser, and looked at in a browser."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phonecheck.report.page import page
from phonecheck.report.scrub import Surroundings, close

EMPTY: dict[str, Any] = {
    "schema": 1,
    "made_at": "2026-11-24T03:33:46Z",
    **dict.fromkeys(("diagnosis", "modem", "link", "service", "history", "versions", "configuration", "log")),
    "missing": [
        {"what": "history", "why": "The service does not run.", "cure": "Start it.", "code": "agent-unavailable"}
    ],
}


class Reader(HTMLParser):
    """The page as a browser takes it: its elements, its text, the JSON in it; every element closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.json, self.open = "", "", [""]
        self.feed(text)
        self.close()
        assert self.open == [""], self.open

    def shape(self) -> list[tuple[str, list[str]]]:
        return [(tag, list(attributes)) for tag, attributes in self.tags]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1] == "script":
            self.json += data
        else:
            self.text += data


def test_the_verdict_stands_on_top_with_cause_cure_and_command(report: dict[str, Any]) -> None:
    text = Reader(page(report)).text
    places = [
        text.index(words)
        for words in (
            "failed",
            "The network does not register the SIM: registration denied.",
            "Check antenna",
            "mmcli -m any --3gpp-scan",
            "not-registered",
            "The last check of the service",
            "What was looked at",
            "Hop by hop",
            "Configuration in force",
            "The service's log",
        )
    ]
    assert places == sorted(places)


def test_the_report_is_in_the_page_for_programs_too(report: dict[str, Any]) -> None:
    reader = Reader(page(report))
    assert json.loads(reader.json) == report
    assert ("script", {"type": "application/json", "id": "report"}) in reader.tags


def test_a_hostile_text_stays_a_text(report: dict[str, Any]) -> None:
    reader = Reader(page(report))
    assert "</script><b>a hostile line</b> &" in reader.text
    assert not any(tag == "b" for tag, _ in reader.tags)


def full_of(text: str) -> dict[str, Any]:
    """A report that has a text in every place that takes one."""
    error = {"code": text, "message": text, "hint": text, "retryable": True}
    rung = {"slug": text, "title": text, "state": text, "words": text, "command": text, "ms": 1.0}
    failed = {**rung, "state": "failed", "error": error, "facts": {"fact": [text]}}
    hop = {"n": 1, "url": f"https://{text}/", "status": text, "peer": text, "tls": text, "ms": {"total": 1.0}}
    result = {"hops": [hop], "check_id": text, "error": error, "outcome": text}
    check = {"at": text, "trigger": text, "outcome": text, "ms": 3.0, "signal": 5, "code": text}
    return EMPTY | {
        "diagnosis": {"well": False, "cause": text, "rungs": [rung, failed], "error": error, "ms": 1.0},
        "modem": {f"a{text}": text, "operator": text},
        "history": {"checks": [check], "last_failed": {"at": text, "result": result}, "last_good": None},
        "configuration": {f"server.{text}": text},
        "log": [{"at": text, "level": text, "text": text}],
        "missing": [{"what": "link", "why": text, "cure": text}],
    }


@settings(max_examples=40)
@given(st.text(alphabet="<>\"'&/!-scriptSCRIPT \\u\n{}", min_size=1, max_size=40))
def test_no_text_gets_out_of_its_place(hostile: str) -> None:
    report = close(full_of(hostile), Surroundings())
    reader = Reader(page(report))
    assert json.loads(reader.json) == report
    assert reader.shape() == Reader(page(full_of("x"))).shape()


def test_a_report_of_nothing_says_why_everywhere() -> None:
    text = Reader(page(EMPTY)).text
    assert "Nobody knows what is wrong." in text
    assert "Not collected: The service does not run. Start it." in text


@pytest.mark.parametrize("history", [{"checks": [], "last_failed": None, "last_good": None}, {}])
def test_a_service_without_checks_says_so(history: dict[str, Any]) -> None:
    assert "No check was made yet." in Reader(page(EMPTY | {"history": history})).text


def test_a_check_that_never_got_to_its_chain_is_shown(report: dict[str, Any]) -> None:
    check = {"at": None, "result": {"outcome": "inconclusive", "error": {"code": "check-hung", "message": "It hung."}}}
    history = {"checks": [{"at": None, "outcome": "inconclusive", "ms": None}], "last_failed": check, "last_good": None}
    text = Reader(page(report | {"history": history})).text
    assert "The chain was not begun." in text
    # Its clock was not set.
    assert "None" not in text


def test_a_well_device_is_said_to_be(report: dict[str, Any]) -> None:
    diagnosis = {"well": True, "cause": None, "ms": 3.0, "traffic": None, "error": None, "rungs": []}
    assert "Nothing is found to be wrong." in Reader(page(report | {"diagnosis": diagnosis})).text


def test_the_page_needs_nothing_but_itself(report: dict[str, Any]) -> None:
    reader = Reader(page(report))
    links = [value for _, attributes in reader.tags for name, value in attributes.items() if name in ("src", "href")]
    assert all(value is not None and value.startswith(("data:", "#")) for value in links)
    policy = next(
        a["content"] for t, a in reader.tags if t == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
    assert not re.search(r"url\(|@import|\son\w+=", page(report))


def test_the_page_can_be_read_without_seeing_it(report: dict[str, Any]) -> None:
    reader = Reader(page(report))
    assert ("html", {"lang": "en"}) in reader.tags
    assert [tag for tag, _ in reader.tags].count("h1") == 1
    pictures = [
        attributes for tag, attributes in reader.tags if tag == "svg" and attributes.get("aria-hidden") != "true"
    ]
    assert pictures
    assert all(picture.get("role") == "img" and picture.get("aria-label") for picture in pictures)
    for word in ("failed", "well", "not seen", "not needed", "follows"):
        assert word in reader.text, "a state by its mark alone"


@pytest.fixture
def file(report: dict[str, Any], tmp_path: Path) -> Path:
    file = tmp_path / "report.html"
    file.write_text(page(report), encoding="utf-8")
    return file


def test_a_browser_lays_it_open_without_a_word(browser: Any, file: Path, report: dict[str, Any]) -> None:
    browser.open(file)
    browser.ask("Runtime.evaluate", expression="1")  # whatever was under way has been told by now
    told = [event for event in browser.events if event["method"] in ("Log.entryAdded", "Runtime.consoleAPICalled")]
    assert told == []
    asked = [e["params"]["request"]["url"] for e in browser.events if e["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]
    assert json.loads(browser.value("document.getElementById('report').textContent")) == report


def test_the_browsers_silence_means_something(browser: Any, file: Path) -> None:
    text = file.read_text().replace("</main>", '<img src="https://platform.invalid/x.png"><script>1</script></main>')
    file.write_text(text)
    browser.open(file)
    assert any(event["method"] == "Log.entryAdded" for event in browser.events), "the policy refused nothing"


def test_dark_differs_from_light(browser: Any, file: Path) -> None:
    grounds = []
    for dark in (False, True):
        browser.open(file, dark=dark)
        grounds.append(browser.value("getComputedStyle(document.body).backgroundColor"))
    light, dark_ground = ([int(part) for part in re.findall(r"\d+", ground)[:3]] for ground in grounds)
    assert min(light) > 200
    assert max(dark_ground) < 60


@pytest.mark.parametrize("width", [360, 1200])
def test_nothing_is_wider_than_the_window(browser: Any, file: Path, width: int) -> None:
    browser.open(file, width=width)
    assert browser.value("document.documentElement.scrollWidth") == width


def test_a_word_without_end_is_no_wider_either(browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "long.html"
    file.write_text(page(full_of("x" * 400)), encoding="utf-8")
    browser.open(file, width=360)
    browser.value("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.value("document.documentElement.scrollWidth") == 360


# WCAG 2.2, 1.4.3, of every letter on the ground that is painted behind it.
CONTRAST = """
(() => {
  const lum = c => { const v = c.map(x => (x /= 255) <= .04045 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4);
                     return .2126 * v[0] + .7152 * v[1] + .0722 * v[2]; };
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const over = (colours) => { canvas.clearRect(0, 0, 1, 1);
    for (const c of colours) { canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3); };
  const bad = [];
  for (const e of document.querySelectorAll("main *, footer *")) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || e.closest("title, desc, defs")) continue;
    const grounds = []; for (let p = e; p; p = p.parentElement) grounds.unshift(getComputedStyle(p).backgroundColor);
    const style = getComputedStyle(e), ink = e instanceof SVGElement ? style.fill : style.color;
    const a = lum(over(grounds)), b = lum(over([...grounds, ink]));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) bad.push(`${e.tagName}.${e.className} ${ratio.toFixed(2)} ${e.textContent.slice(0, 30)}`);
  }
  return bad;
})()
"""


@pytest.mark.parametrize("dark", [False, True])
def test_every_letter_stands_out_from_its_ground(browser: Any, file: Path, dark: bool) -> None:
    browser.open(file, dark=dark)
    assert browser.value(CONTRAST) == []


def test_paper_shows_what_a_screen_folds_away(browser: Any, file: Path) -> None:
    browser.open(file)
    shown = "document.querySelector('#log').innerText.includes('hostile')"
    assert browser.value(shown) is False
    browser.ask("Emulation.setEmulatedMedia", media="print")
    try:
        assert browser.value(shown) is True
        assert browser.printed().startswith(b"%PDF")
    finally:
        browser.ask("Emulation.setEmulatedMedia", media="")
