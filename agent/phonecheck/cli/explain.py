"""`phonecheck explain`: the page of an error code, from explanations.md, for a terminal."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from phonecheck import errors
from phonecheck.cli.console import columns, print_answer, print_json, style
from phonecheck.cli.verbs import NoSuchWordError, Verb
from phonecheck.errors import AgentError

PAGES = Path(__file__).parents[1] / "explanations.md"
_WIDEST = 88
"""Characters of a line: longer ones are hard to read, however wide the terminal is."""
_WIDEST_TABLE = 120
_STEPS = {
    3: "configuration",
    4: "modem, SIM or bearer",
    5: "link or name resolution",
    6: "check",
    7: "app server",
    8: "service",
    70: "a bug",
}
_OF_THE_STEP = "deadline-exceeded"


def kinds() -> dict[str, type[AgentError]]:
    """Every code there is, in the order of errors.py, with the class that has it."""
    classes = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, AgentError)]
    return {code: kind for kind in classes for code in vars(kind).get("cures", ())}


def pages() -> dict[str, str]:
    """The page of each code, in Markdown."""
    _, *sections = re.split(r"^## ", PAGES.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {head.strip(): text.strip() for head, _, text in (section.partition("\n") for section in sections)}


def _complete(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    return [code for code in kinds() if code.startswith(incomplete)]


@click.command(
    "explain",
    cls=Verb,
    short_help="What an error code means, and what to do.",
    examples=(
        ("phonecheck explain not-connected", "What it means, why it usually happens, what to do."),
        ("phonecheck explain", "All codes, by exit status."),
    ),
)
@click.argument("code", required=False, shell_complete=_complete)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(code: str | None, as_json: bool) -> int:
    """Explain the error code CODE: what it means, the usual reasons, what to do, whom to tell what.

    Without CODE, all codes are listed by their exit status. '*' marks those that are worth another try with nothing mended.
    """
    known = kinds()
    if code is None:
        if as_json:
            return print_json({"schema": 1, "codes": [_object(each) for each in known]})
        return print_answer(contents(min(columns(sys.stdout), _WIDEST_TABLE)))
    word = code.strip().lower().replace("_", "-")
    if word not in known:
        raise NoSuchWordError(f"There is no error code {code!r}.", word, known, click.get_current_context(silent=True))
    if as_json:
        return print_json({"schema": 1, **_object(word), "text": pages()[word]})
    return print_answer(page(word, min(columns(sys.stdout), _WIDEST)))


def _object(code: str) -> dict[str, Any]:
    error = kinds()[code](code, "")
    status = None if code == _OF_THE_STEP else int(error.exit_status)
    return {
        "code": code,
        "exit_status": status,
        "retryable": error.retryable,
        "summary": summary(pages()[code]),
        "hint": error.hint,
    }


def contents(width: int) -> str:
    """All codes with a line each, grouped by exit status."""
    groups: dict[int | None, list[str]] = {}
    texts = pages()
    for code, kind in kinds().items():
        status = None if code == _OF_THE_STEP else int(kind.exit_status)
        mark = "*" if kind(code, "").retryable else ""
        groups.setdefault(status, []).append(_entry(code + mark, _plain(summary(texts[code])), width))
    blocks = []
    for status in sorted(groups, key=lambda status: 1000 if status is None else status):
        head = (
            f"Exit status {status}: {_STEPS[status]}" if status is not None else "The exit status of the step it struck"
        )
        blocks.append("\n".join([style(sys.stdout, head, bold=True), *groups[status]]))
    return "\n\n".join([*blocks, textwrap.fill("* worth another try with nothing mended.", max(width, 10))])


def _entry(code: str, words: str, width: int) -> str:
    if width < 60:
        return f"  {code}\n" + textwrap.fill(words, max(width, 16), initial_indent="    ", subsequent_indent="    ")
    indent = " " * 29
    return textwrap.fill(words, width, initial_indent=f"  {code:<26} ", subsequent_indent=indent)


def summary(text: str) -> str:
    """The first sentence of a page."""
    first = " ".join(text.partition("\n\n")[0].split())
    return re.split(r"(?<=\.) (?=[A-Z])", first)[0]


def page(code: str, width: int) -> str:
    """A code's page as plain text of so many columns; its commands are left as long as they are."""
    again = ", worth another try" if kinds()[code](code, "").retryable else ""
    status = "the exit status of the step" if code == _OF_THE_STEP else f"exit status {int(kinds()[code].exit_status)}"
    head = f"{style(sys.stdout, code, bold=True)}  ({status}{again})"
    return "\n\n".join([head, *_blocks(pages()[code], max(width, 16))])


_ITEM = re.compile(r"(?:\d+\.|[-*]) +")


def _blocks(text: str, width: int) -> Iterator[str]:
    for block in re.split(r"\n\s*\n", text):
        lines = block.splitlines()
        if all(line.startswith("    ") for line in lines):
            yield "\n".join(style(sys.stdout, line, fg="cyan") for line in lines)
            continue
        parts = re.split(rf"\n(?={_ITEM.pattern})", block)
        yield "\n".join(_filled(part, width) for part in parts)


def _filled(part: str, width: int) -> str:
    item = _ITEM.match(part)
    hang = len(item[0]) if item else 0
    return textwrap.fill(
        " ".join(_plain(part).split()),
        width,
        initial_indent="  " if item else "",
        subsequent_indent=" " * (hang + 2) if item else "",
        # What is cut or hyphenated cannot be copied.
        break_long_words=False,
        break_on_hyphens=False,
    )


def _plain(text: str) -> str:
    """Markdown's own signs taken out: of code, emphasis and links."""
    text = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text)
    return re.sub(r"\*\*(.+?)\*\*", r"\1", text).replace("`", "")
