"""The whole story on the device of a sandbox: what the agent does, what goes wrong without it, and the proof of the path.

Runs on the device, as COMMAND of a sandbox, with nothing but commands that a user has too: mmcli, phonecheck, curl.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

import click

from phonecheck_sandbox import control, streams, world

SIM_NUMBER = f"+{world.SUBSCRIBER.msisdn}"
OTHER_NUMBER = f"+{world.OTHER_SUBSCRIBER.msisdn}"

_PICTURE = """\
                  lan0 ── home router ──────────────────── the Internet
                 /        (default route)                  platform, app server, DNS
   this device ─┤                                         /
                 \\
                  wwan0 ~~~ radio ~~~ mobile operator ───┘
                  (modem)             own DNS, header enrichment, CGNAT"""

_INDENT = "   "

PRIVATE = ("platform", "mno", "carrier-dns")
"""Where the chain and its DNS lead; none of it may leave by lan0."""


@dataclass
class Demo:
    """What has been found out so far. ``quiet`` for ``--json``, whose answer comes at the end."""

    quiet: bool
    claims: dict[str, bool] = field(default_factory=dict)
    evidence: dict[str, Any] = field(default_factory=dict)

    def say(self, text: str = "") -> None:
        """Tell the reader."""
        if not self.quiet:
            print(text, flush=True)

    def title(self, text: str) -> None:
        """Begin a part of the story."""
        self.say(f"\n{_bold(text)}\n")

    def claim(self, key: str, holds: bool) -> None:
        """Note whether something held that the demo is there to show."""
        self.claims[key] = holds
        if not holds:
            self.say(f"   NOT SO: {key}")

    @property
    def held(self) -> bool:
        """Whether all of it did."""
        return all(self.claims.values())


def main(*, as_json: bool) -> int:
    """Tell the story; the exit status is 0 if all of it held."""
    demo = Demo(quiet=as_json)
    demo.say(f"{_bold('phonecheck: a SIM verified over a mobile link')}\n\n{_PICTURE}")
    _show_modem(demo)
    _count(reset=True)
    _verify(demo, 2, SIM_NUMBER, "Does this device hold the SIM of this number?", "match", 0)
    _verify(demo, 3, OTHER_NUMBER, "And of this one, which is another customer's?", "no_match", 1)
    counted = _count()
    _over_lan(demo)
    _prove(demo, counted, _count())
    if as_json:
        print(json.dumps({"held": demo.held, "claims": demo.claims, **demo.evidence}, indent=2))
    else:
        demo.say(
            "\nAll of it held. Next: phonecheck-sandbox shell, or docs/sandbox.md for radios, scenarios and faults."
            if demo.held
            else "\nNot all of it held: see NOT SO above."
        )
    return 0 if demo.held else 1


def _show_modem(demo: Demo) -> None:
    demo.title("1  The modem and its SIM, as ModemManager sees them")
    found = json.loads(_run(["mmcli", "-m", "any", "-J"]).stdout)["modem"]
    generic, gpp = found["generic"], found["3gpp"]
    demo.say(f"   $ mmcli -m any          {generic['manufacturer']} {generic['model']}, {generic['state']}")
    demo.say(f"   SIM                     number {' '.join(generic['own-numbers'])}")
    demo.say(f"   network                 {gpp['operator-name']} ({gpp['operator-code']}), {gpp['registration-state']}")
    demo.say(
        f"   signal                  {generic['signal-quality']['value']} %, {' '.join(generic['access-technologies'])}"
    )
    demo.claim("ModemManager sees the modem connected", generic["state"] == "connected")
    demo.claim("the SIM stores its number", SIM_NUMBER in generic["own-numbers"])


def _verify(demo: Demo, part: int, number: str, question: str, outcome: str, status: int) -> None:
    demo.title(f"{part}  {question}")
    command = ["phonecheck", "verify", number, *(["--json"] if demo.quiet else [])]
    demo.say(f"   $ {shlex.join(command)}")
    done = _run(command)
    if demo.quiet:
        answer = demo.evidence[outcome] = _object(done.stdout)
        bound = {hop["bound_to"] for hop in answer.get("hops", [])} == {"wwan0"}
    else:
        _indent(f"{done.stderr}\n{done.stdout}")
        bound = "all bound to wwan0" in done.stdout
    demo.claim(f"{outcome} is what phonecheck says of {world.PLATFORM_HOST}'s answer", done.returncode == status)
    demo.claim(f"every hop of the {outcome} was bound to wwan0", bound)


def _over_lan(demo: Demo) -> None:
    demo.title("4  A check URL of the same number over lan0, as any other program would open it")
    token = _credential("server-token")
    created = _run(
        ["curl", "-sS", "-m", "10", "-K", "-", "-H", "Content-Type: application/json", "-d",
         json.dumps({"phone_number": world.SUBSCRIBER.msisdn}), f"https://{world.APP_SERVER_HOST}/v0.2/phone-check"],
        # The token through curl's standard input: a command line is everybody's to read.
        stdin=f'header = "Authorization: Bearer {token}"\n',
    )  # fmt: skip
    check_url = _object(created.stdout).get("check_url", "")
    demo.say("   $ curl -L CHECK_URL")
    done = _run(["curl", "-sS", "-L", "-m", "10", "-w", "\n%{http_code}", check_url])
    body, _, status = done.stdout.rpartition("\n")
    word = str(_object(body).get("type", "")).rpartition("#")[2]
    demo.say(
        f"   HTTP {status}, {word}: the request came from the LAN's address, and the platform cannot see whose SIM it is."
    )
    demo.say("   That is why the agent exists: it sends this one exchange over the modem, and moves nothing else.")
    demo.evidence["over_lan"] = {"http_status": int(status or 0), "problem": word}
    demo.claim("over lan0 the platform answers not_mobile_ip", (status, word) == ("412", "not_mobile_ip"))


def _prove(demo: Demo, agent: dict[str, dict[str, int]], both: dict[str, dict[str, int]]) -> None:
    demo.title("5  The proof: packets that left the device, counted by nftables in its kernel")
    names = {
        "platform": "platform",
        "mno": "operator's hops",
        "carrier-dns": "operator's DNS",
        "app-server": "app server",
    }
    demo.say(f"   {'to':<18}{'by lan0':>10}{'by wwan0':>10}{'   curl of part 4 by lan0':>26}")
    for key, name in names.items():
        curl = both["lan0"][key] - agent["lan0"][key]
        demo.say(f"   {name:<18}{agent['lan0'][key]:>10}{agent['wwan0'][key]:>10}{curl:>26}")
    demo.evidence["packets"] = agent
    demo.claim("no packet of the chain or its DNS left by lan0", not any(agent["lan0"][key] for key in PRIVATE))
    demo.claim("the chain and its DNS left by wwan0", all(agent["wwan0"][key] for key in PRIVATE))
    # Counters that never count would prove nothing.
    demo.claim("the counters see what does leave by lan0", both["lan0"]["platform"] > agent["lan0"]["platform"])
    demo.claim(
        "only the app server was reached by the LAN", agent["lan0"]["app-server"] > 0 == agent["wwan0"]["app-server"]
    )
    if demo.held:
        demo.say("\n   The chain and its DNS went by wwan0 alone; the app server by the device's normal route.")


def _object(text: str) -> dict[str, Any]:
    """A JSON object; what is none is empty, and a claim will miss what should be in it."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _count(*, reset: bool = False) -> dict[str, dict[str, int]]:
    address = control.find(None)
    counted: dict[str, dict[str, int]] = control.ask(address, ["counters", *(["reset"] if reset else [])])["counters"]
    return counted


def _credential(name: str) -> str:
    with open(os.path.join(os.environ["CREDENTIALS_DIRECTORY"], name)) as file:  # noqa: PTH118, PTH123  one line, once
        return file.read().strip()


def _run(command: list[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
    # What it prints is shown indented, on this terminal.
    env = os.environ | {"COLUMNS": str(max(20, shutil.get_terminal_size().columns - len(_INDENT)))}
    return subprocess.run(
        command, input=stdin, env=env, capture_output=True, text=True, errors="replace", timeout=60, check=False
    )


def _indent(text: str) -> None:
    print("\n".join(f"{_INDENT}{line}" for line in text.splitlines()), flush=True)


def _bold(text: str) -> str:
    return click.style(text, bold=True) if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else text


def run(words: list[str]) -> int:
    """The entry point: tell the story to whoever listens to the end."""
    streams.make_sound()
    try:
        return main(as_json="--json" in words)
    except BrokenPipeError:
        # As "| head" does. Python would try to write the rest once more at its end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
