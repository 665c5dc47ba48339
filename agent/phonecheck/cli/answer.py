"""Prints an outcome, or the failure that left none, and gives its exit status."""

from __future__ import annotations

from phonecheck import document
from phonecheck.cli import picture
from phonecheck.cli.console import print_answer, print_error, print_json, say
from phonecheck.errors import AgentError, ExitStatus
from phonecheck.model import Outcome

_STATUS = {"match": ExitStatus.MATCH, "opened": ExitStatus.MATCH, "no_match": ExitStatus.NO_MATCH}


def answer(outcome: Outcome, *, as_json: bool) -> int:
    """The answer of `verify` and `open` on stdout, its error on stderr; returns the exit status."""
    if as_json:
        print_json(document.of_outcome(outcome))
    else:
        print_answer(picture.of_outcome(outcome))
    if outcome.error is None:
        return int(_STATUS[outcome.word])
    if not as_json:
        say("")
        print_error(outcome.error)
    return int(outcome.error.exit_status)


def fail(error: AgentError, *, as_json: bool) -> int:
    """The same for a `verify` or `open` that failed before its first step: one object of the same shape."""
    if as_json:
        print_json(document.of_outcome(Outcome("inconclusive", error=error)))
    else:
        print_error(error)
    return int(error.exit_status)
