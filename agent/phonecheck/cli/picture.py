"""The outcome for a person: a verdict, the facts, and the waterfall of the hops, as wide as the terminal is."""

from __future__ import annotations

import sys
import textwrap

from phonecheck import document
from phonecheck.cli.console import as_written, columns, style
from phonecheck.cli.waterfall import waterfall
from phonecheck.model import Outcome


def of_outcome(outcome: Outcome) -> str:
    """The whole answer, several lines, without the error, which goes to stderr."""
    width = columns(sys.stdout)
    blocks = [_verdict(outcome, width), _facts(outcome, width)]
    if outcome.hops:
        blocks.append(waterfall(document.of_outcome(outcome)["hops"], width))
    return "\n\n".join(block for block in blocks if block)


def _verdict(outcome: Outcome, width: int) -> str:
    word, colour, sentence = _judged(outcome)
    # Folded before it is painted: colours have no width, and textwrap counts them.
    folded = textwrap.fill(as_written(sys.stdout, f"{word}  {sentence}"), max(width, 20))
    return style(sys.stdout, word, fg=colour, bold=True) + folded.removeprefix(word)


def _judged(outcome: Outcome) -> tuple[str, str, str]:
    number = f"the number {outcome.number}" if outcome.number else "that number"
    if outcome.word == "match":
        return "MATCH", "green", f"The SIM in this device has {number}."
    if outcome.word == "no_match":
        return "NO MATCH", "red", f"The SIM in this device does not have {number}."
    if outcome.word == "opened":
        return "OPENED", "green", f"The chain came to its end with HTTP {outcome.http_status}."
    code = outcome.error.code if outcome.error else "unknown"
    if outcome.number:
        what = f"The number {outcome.number} could not be verified"
    else:
        what = "The chain did not end well" if outcome.hops else "No check URL was opened"
    return "INCONCLUSIVE", "yellow", f"{what}: {code}."


def _facts(outcome: Outcome, width: int) -> str:
    lines = []
    if outcome.check_id:
        lines.append(f"check  {outcome.check_id}")
    modem = outcome.modem
    if modem:
        operator = f"{modem.operator_name} ({modem.operator_code})" if modem.operator_code else modem.operator_name
        signal = f"signal {modem.signal} %" if modem.signal is not None else ""
        facts = [modem.id, operator, modem.registration.word, "/".join(modem.technologies), signal]
        lines.append("modem  " + "  ".join(fact for fact in facts if fact))
    if outcome.link:
        link = outcome.link
        source = next((hop.path.source for hop in outcome.hops if hop.path), None)
        source = source or (link.addresses[0].ip if link.addresses else None)
        dns = f"DNS {', '.join(map(str, link.dns))}" if link.dns else ""
        lines.append("link   " + "  ".join(str(fact) for fact in (link.interface, source, dns) if fact))
    return "\n".join(_folded(as_written(sys.stdout, f"  {line}"), max(width, 20)) for line in lines)


def _folded(line: str, width: int) -> str:
    return textwrap.fill(
        line,
        width,
        subsequent_indent=" " * (9 if width >= 60 else 4),
        break_long_words=False,
        break_on_hyphens=False,
    )
