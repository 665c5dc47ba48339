"""Writes the manual pages and the completion scripts of commands into a tree, from what click knows of them.

    python3 pages.py ROOT COMMAND...

A command has a page, and so has each of its verbs; the verbs of a verb are sections of its page.
"""  # noqa: INP001  a script

from __future__ import annotations

import importlib
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from phonecheck import __version__
from phonecheck.cli.completion import script

COMMANDS = {
    "phonecheck": "phonecheck.cli.main:cli",
    "phonecheck-sandbox": "phonecheck_sandbox.cli:main",
    "phonecheck-server": "phonecheck_server.cli:run",
}
_COMPLETION = {
    "bash": "usr/share/bash-completion/completions/{}",
    "zsh": "usr/share/zsh/vendor-completions/_{}",
    "fish": "usr/share/fish/vendor_completions.d/{}.fish",
}
_FILES = {
    "phonecheck": {
        "/etc/phonecheck/agent.toml": "The settings.",
        "/etc/phonecheck/hooks.d": "Programs that the service runs after each outcome.",
        "/etc/credstore/phonecheck.server-token": "The service's token for the app server.",
        "/etc/credstore/phonecheck.sim-pin": "The PIN with which the service unlocks the SIM.",
        "/var/lib/phonecheck": "The service's history, and reports that were not delivered yet.",
        "/usr/share/doc/phonecheck-agent": "Settings, service, JSON and D-Bus in full; troubleshooting by symptom.",
    }
}


def main(root: Path, names: list[str]) -> None:
    """Write all that the commands have."""
    for name in names:
        module, _, attribute = COMMANDS[name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        for words, context in _walk(_context(command, name)):
            page = "-".join(words)
            _write(root / f"usr/share/man/man1/{page}.1", "\n".join(_page(page, context)) + "\n")
        for shell, place in _COMPLETION.items():
            _write(root / place.format(name), script(command, name, shell))


def _walk(context: click.Context) -> Iterator[tuple[list[str], click.Context]]:
    """The contexts that have a page: the command's, and those of its verbs."""
    yield [str(context.info_name)], context
    for verb in _verbs(context):
        yield [str(context.info_name), str(verb.info_name)], verb


def _verbs(context: click.Context) -> list[click.Context]:
    group = context.command
    if not isinstance(group, click.Group):
        return []
    found = ((name, group.get_command(context, name)) for name in group.list_commands(context))
    return [_context(c, name, context) for name, c in found if c is not None and not c.hidden]


def _context(command: click.Command, name: str, parent: click.Context | None = None) -> click.Context:
    return command.context_class(command, parent, info_name=name, **command.context_settings)


def _page(page: str, context: click.Context) -> Iterator[str]:
    date = time.strftime("%Y-%m-%d", time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))))
    yield f'.TH {page.upper()} 1 {date} "phonecheck {__version__}" "User Commands"'
    yield from (".SH NAME", f"{_text(page)} \\- {_text(_summary(context.command))}")
    yield from (".SH SYNOPSIS", *_synopsis(context))
    yield from (".SH DESCRIPTION", *_paragraphs(context.command))
    yield from _options(".SH OPTIONS", context)
    verbs = _verbs(context)
    if verbs:
        yield ".SH COMMANDS"
    for verb in verbs:
        if context.parent is None:  # it has a page of its own
            yield from (".TP", f".BR {_text(page)}\\-{_text(str(verb.info_name))} (1)", _text(_summary(verb.command)))
        else:
            yield from (f".SS {_text(str(verb.info_name))}", *_synopsis(verb), ".PP", *_paragraphs(verb.command))
            yield from _options(".PP", verb)
            yield from _examples((".PP", "Examples:"), verb)
    yield from _examples((".SH EXAMPLES",), context)
    variables = {str(p.envvar): p for c in (context, *verbs) for p in c.command.params if p.envvar}
    if variables:
        yield ".SH ENVIRONMENT"
    for variable, parameter in variables.items():
        yield from (".TP", f".B {variable}", f"In place of \\fB{_text(parameter.opts[-1])}\\fR.")
    files = _FILES.get(page, {})
    if files:
        yield ".SH FILES"
    for file, what in files.items():
        yield from (".TP", f".I {_text(file)}", _text(what))
    if context.parent is not None:
        yield from (".SH SEE ALSO", f".BR {_text(str(context.parent.info_name))} (1)")


def _summary(command: click.Command) -> str:
    text = command.get_short_help_str(limit=200).strip().removesuffix(".")
    return text[:1].lower() + text[1:]


def _synopsis(context: click.Context) -> Iterator[str]:
    yield f".B {_text(context.command_path.split()[0])}"
    words: list[str] = []
    chain = context
    while chain.parent is not None:
        words.insert(0, str(chain.info_name))
        chain = chain.parent
    if words:
        yield f".B {_text(' '.join(words))}"
    yield _text(" ".join(context.command.collect_usage_pieces(context)))


def _paragraphs(command: click.Command) -> Iterator[str]:
    for number, paragraph in enumerate(re.split(r"\n\s*\n", (command.help or "").strip())):
        if number:
            yield ".PP"
        lines = [line.strip() for line in paragraph.splitlines() if line.strip()]
        if lines[:1] == ["\b"]:  # click's mark of a paragraph that is not to be filled
            yield from (".nf", *map(_text, lines[1:]), ".fi")
        else:
            yield from map(_text, lines)


def _options(heading: str, context: click.Context) -> Iterator[str]:
    # Newer clicks give arguments such a record, too, and older ones do not.
    options = [p for p in context.command.get_params(context) if isinstance(p, click.Option)]
    records = [record for option in options if (record := option.get_help_record(context))]
    if records:
        yield heading
    for names, what in records:
        yield from (".TP", f".B {_text(names)}", _text(what))


def _examples(heading: tuple[str, ...], context: click.Context) -> Iterator[str]:
    # Only the agent's verbs have them (phonecheck/cli/verbs.py).
    for number, (line, what) in enumerate(getattr(context.command, "examples", ())):
        yield from (*(() if number else heading), ".TP", f".B {_text(line)}", _text(what))


def _text(text: str) -> str:
    """Text that roff prints as it is; a hyphen may be an option's, which must stay one that can be copied."""
    escaped = re.sub(r"\s+", " ", text.replace("\\", "\\e").replace("-", "\\-"))
    return "\\&" + escaped if escaped[:1] in (".", "'") else escaped


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
