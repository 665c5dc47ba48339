"""The outcome for a person: a verdict, the facts, and a waterfall of the hops that fits 80 columns."""

from __future__ import annotations

import shutil
import sys
from functools import partial

from phonecheck.cli.console import fit, style
from phonecheck.model import Hop, Outcome
from phonecheck.redact import url as redact_url

_STEPS = (("dns", "d", "cyan"), ("connect", "c", "yellow"), ("tls", "t", "magenta"), ("first_byte", "w", "green"))
_WIDEST = 120


def of_outcome(outcome: Outcome) -> str:
    """The whole answer, several lines, without the error, which goes to stderr."""
    blocks = [_verdict(outcome), _facts(outcome)]
    if outcome.hops:
        blocks.append(waterfall(outcome.hops, min(shutil.get_terminal_size((80, 24)).columns, _WIDEST)))
    return "\n\n".join(block for block in blocks if block)


def _verdict(outcome: Outcome) -> str:
    paint = partial(style, sys.stdout)
    number = f"the number {outcome.number}" if outcome.number else "that number"
    if outcome.word == "match":
        return f"{paint('MATCH', fg='green', bold=True)}  The SIM in this device has {number}."
    if outcome.word == "no_match":
        return f"{paint('NO MATCH', fg='red', bold=True)}  The SIM in this device does not have {number}."
    if outcome.word == "opened":
        return f"{paint('OPENED', fg='green', bold=True)}  The chain came to its end with HTTP {outcome.http_status}."
    code = outcome.error.code if outcome.error else "unknown"
    what = f"The number {outcome.number} could not be verified" if outcome.number else "The chain did not end well"
    return f"{paint('INCONCLUSIVE', fg='yellow', bold=True)}  {what}: {code}."


def _facts(outcome: Outcome) -> str:
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
    return "\n".join(f"  {line}" for line in lines)


def waterfall(hops: tuple[Hop, ...], columns: int) -> str:
    """One line a hop: number, status, place, peer, milliseconds, and where its time went on the axis of the whole.

    ``d`` DNS, ``c`` connect, ``t`` TLS, ``w`` waiting for the first byte, ``.`` the rest; ``!`` marks cleartext,
    ``+`` a connection that was kept.
    """
    paint = partial(style, sys.stdout)
    total = sum(hop.timings.total for hop in hops) or 1.0
    # 2 indent, 2 number, 4 status, 1 mark, 7 ms and the spaces between.
    room = columns - 21
    peers = [f"{hop.path.peer} " if hop.path else "- " for hop in hops]
    peer_width = max(len("peer "), *map(len, peers))
    if room - peer_width < 24:  # an IPv6 peer takes half of the line: it is in --json
        peer_width = 0
    room -= peer_width
    place_width = min(max(len(_place(hop)) for hop in hops), max(14, room // 2))
    bar_width = max(10, room - place_width)
    lines = []
    elapsed = 0.0
    for hop, peer in zip(hops, peers, strict=True):
        mark = "!" if hop.cleartext else "+" if hop.reused else " "
        place = fit(_place(hop), place_width)
        bar = _bar(hop, elapsed / total, total, bar_width)
        lines.append(
            f"  {hop.n:>2} {hop.status or '---':>4} {mark} {place:<{place_width}} {peer[:peer_width]:<{peer_width}}"
            f"{hop.timings.total:>6.0f} {bar}"
        )
        elapsed += hop.timings.total
    heads = f"{'place':<{place_width}} {'peer '[:peer_width]:<{peer_width}}"
    head = f"  {'hop':>2}{'HTTP':>5}   {heads}{'ms':>6} 0{total:>{bar_width - 4}.0f} ms"
    return "\n".join([paint(head, dim=True), *lines, *(paint(f"     {line}", dim=True) for line in _legend(hops))])


def _legend(hops: tuple[Hop, ...]) -> list[str]:
    marks = ["d dns  c connect  t tls  w wait"]
    if any(hop.cleartext for hop in hops):
        marks.append("! cleartext")
    if any(hop.reused for hop in hops):
        marks.append("+ connection kept")
    bound = sorted({hop.path.bound_to for hop in hops if hop.path})
    return ["   ".join(marks), *([f"all bound to {', '.join(bound)}"] if bound else [])]


def _place(hop: Hop) -> str:
    # Hosts tell the chain's story; scheme is the mark's, paths are in --json, and the query is nobody's.
    return redact_url(hop.url).partition("://")[2].partition("/")[0]


def _bar(hop: Hop, start: float, total: float, width: int) -> str:
    offset = min(round(start * width), width - 1)
    parts = []
    at = 0.0
    drawn = 0
    for name, letter, colour_name in _STEPS:
        at += getattr(hop.timings, name) or 0.0
        # Rounding the running sum keeps the whole bar as long as the hop, however many steps it has.
        upto = round(at / total * width)
        parts.append(style(sys.stdout, letter * (upto - drawn), fg=colour_name))
        drawn = max(drawn, upto)
    rest = round(hop.timings.total / total * width) - drawn
    parts.append("." * rest)
    if drawn + max(rest, 0) == 0:
        parts = ["|"]
    return " " * offset + "".join(parts)
