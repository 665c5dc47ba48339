"""`phonecheck explain`: every code has its page, every page is true to the command line, and fits every terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest

from phonecheck import config
from phonecheck.cli import explain
from phonecheck.cli.main import cli, main

PAGES = explain.pages()
KINDS = explain.kinds()
DOCS = Path(__file__).parents[3] / "docs"


def test_every_code_has_its_page_and_every_page_its_code() -> None:
    assert list(PAGES) == [*[code for code in KINDS if code != "internal-error"], "internal-error"]
    assert {"not-connected", "deadline-exceeded", "check-hung", "internal-error", "captive-network"} <= set(KINDS)


@pytest.mark.parametrize("code", PAGES)
def test_a_page_says_what_it_means_why_and_what_to_do(code: str) -> None:
    text = PAGES[code]
    assert explain.summary(text).endswith(".")
    assert len(explain.summary(text)) <= 140
    assert "\nUsual reasons" in text
    assert "\nWhat to do: " in text
    assert re.search(r"^1\. ", text, re.MULTILINE)
    assert re.search(r"^    \S", text, re.MULTILINE), "a command to type"
    assert 5 <= len([line for line in text.splitlines() if line]) <= 22
    assert "—" not in text


def typed(text: str) -> Iterator[list[str]]:
    """The command lines of ours in a page: those of its blocks, and those between backticks."""
    blocks = re.findall(r"^    (.+)$", text, re.MULTILINE)
    for line in (*blocks, *re.findall(r"`([^`]+)`", text)):
        for part in re.split(r" [|] |; | [0-9]?> | < ", line):
            words = shlex.split(part)
            if words[:1] == ["sudo"]:
                words = words[1:]
            if words[:1] == ["phonecheck"] and words[1:]:  # alone it is the name of the group
                yield words[1:]


LINES = sorted({(code, shlex.join(words)) for code, text in PAGES.items() for words in typed(text)})


@pytest.mark.parametrize(("code", "line"), LINES)
def test_a_page_names_only_verbs_and_options_that_exist(code: str, line: str) -> None:
    words = shlex.split(line)
    if words in (["--version"], ["explain", "CODE"]):
        return
    command: click.Command = cli
    while isinstance(command, click.Group) and words:
        below = command.get_command(click.Context(command), words.pop(0))
        assert below is not None, code
        command = below
    command.make_context(command.name, words)


@pytest.mark.parametrize("code", PAGES)
def test_a_page_names_only_settings_that_exist(code: str) -> None:
    sections = {section.name: section.default_factory for section in fields(config.Settings)}
    for section, setting in re.findall(r"`([a-z]+)\.([a-z_]+)(?: = [^`]*)?`", PAGES[code]):
        assert setting in {one.name for one in fields(sections[section])}, f"{section}.{setting}"  # type: ignore[arg-type]


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_every_page_fits_and_none_of_markdown_is_left(columns: int) -> None:
    for code in PAGES:
        lines = explain.page(code, columns).splitlines()
        prose = [line for line in lines if not line.startswith("    ") and " " in line.strip()]
        # A word that is longer than the line is left whole, to be copied; a command is a line whatever its length.
        assert all(len(line) <= columns or " " not in line.strip() for line in prose[1:]), code
        assert not re.search(r"`|\*\*|\]\(", "\n".join(prose))


def test_commands_are_left_as_they_are() -> None:
    assert "\n    sudo ip route add default dev wwan0 metric 700" in explain.page("no-route", 20)


def test_a_page_says_the_exit_status_and_whether_another_try_is_worth_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "not-connected"]) == 0
    assert capsys.readouterr().out.startswith("not-connected  (exit status 4)\n\nThe modem is there")
    assert main(["explain", "resolver_SILENT"]) == 0
    assert capsys.readouterr().out.startswith("resolver-silent  (exit status 5, worth another try)\n")
    assert main(["explain", "deadline-exceeded"]) == 0
    assert capsys.readouterr().out.startswith("deadline-exceeded  (the exit status of the step, worth another try)\n")


@pytest.mark.parametrize("columns", [20, 40, 80, 120])
def test_all_codes_are_listed_by_exit_status(columns: int) -> None:
    text = explain.contents(columns)
    heads = re.findall(r"^Exit status (\d+): ", text, re.MULTILINE)
    assert heads == ["3", "4", "5", "6", "7", "8", "70"]
    for code in KINDS:
        assert re.search(rf"^  {code}\*?(?: |$)", text, re.MULTILINE), code
    assert "  interface-gone*" in text
    if columns >= 40:
        assert max(map(len, text.splitlines())) <= columns


def test_json_has_the_page_and_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "hop-timeout", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["schema"], found["code"], found["exit_status"], found["retryable"]) == (1, "hop-timeout", 6, True)
    assert "chain.hop_timeout" in found["text"]
    assert main(["explain", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["codes"]
    assert [one["code"] for one in listed] == list(KINDS)
    assert {one["code"] for one in listed if one["exit_status"] is None} == {"deadline-exceeded"}


def test_troubleshooting_leads_to_every_page_and_to_no_other() -> None:
    text = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    assert set(re.findall(r"explanations\.md#([a-z-]+)\)", text)) == set(KINDS)


def test_the_readers_of_errors_are_led_to_the_page_at_a_terminal_only(capfd: pytest.CaptureFixture[str]) -> None:
    from phonecheck.cli.console import print_cause

    print_cause("No.", "Do.", "not-connected", 4, retryable=False)
    assert capfd.readouterr().err.splitlines()[-1] == "  code  not-connected (exit status 4)"


def test_troubleshooting_lists_every_code_with_its_exit_status() -> None:
    rows = dict(
        re.findall(r"^\| (\d+) \| (.+) \|$", (DOCS / "troubleshooting.md").read_text(encoding="utf-8"), re.MULTILINE)
    )
    for status, codes in rows.items():
        if status in ("2", "70"):
            continue
        wanted = [
            code + "*" * kind(code, "").retryable
            for code, kind in KINDS.items()
            if int(kind.exit_status) == int(status) and code != "deadline-exceeded"
        ]
        assert sorted(codes.split(" · ")) == sorted(wanted)


@pytest.mark.parametrize(
    ("columns", "env", "end"),
    [
        (200, {}, "(exit status 4, worth another try) · more: phonecheck explain modem-manager-unavailable"),
        (200, {"PYTHONIOENCODING": "ascii"}, "another try) - more: phonecheck explain modem-manager-unavailable"),
        (80, {}, "another try)\r\n  more  phonecheck explain modem-manager-unavailable"),
        (0, {"TERM": "dumb"}, "another try)\r\n  more  phonecheck explain modem-manager-unavailable"),
    ],
)
def test_an_error_at_a_terminal_names_its_page(columns: int, env: dict[str, str], end: str) -> None:
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    child = subprocess.Popen(
        [sys.executable, "-m", "phonecheck", "modem", "list"],
        stderr=follower,
        env=os.environ | {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent/bus", "TERM": "xterm", **env},
    )
    os.close(follower)
    with open(leader, "rb", buffering=0) as terminal:  # noqa: PTH123  a descriptor
        seen = b""
        try:
            while data := terminal.read(65536):
                seen += data
        except OSError:  # EIO: the other end was closed
            pass
    assert child.wait(30) == 4
    assert seen.decode().rstrip().endswith(end)
