"""The command ``phonecheck-sandbox``."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import click

from phonecheck_sandbox import control, namespaces, scenarios, streams
from phonecheck_sandbox.conditions import Conditions
from phonecheck_sandbox.errors import SandboxError
from phonecheck_sandbox.ground import Ground
from phonecheck_sandbox.plan import IpType, LinkKind, Plan
from phonecheck_sandbox.scenarios import SCENARIOS, Scenario

_KNOBS = {
    "rtt": "radio_rtt",
    "jitter": "radio_jitter",
    "loss": "radio_loss",
    "rate": "radio_rate",
    "radio_wake": "radio_wake",
}

_FLAGS: dict[str, tuple[str, object]] = {
    "no_connect": ("connect", False),
    "dhcp": ("ip_method", "dhcp"),
    "no_configure": ("configure", False),
}
"""What these set in the plan; without them it is the scenario's, or ordinary."""

_WELCOME = """\
You are on a device with a modem. Its LAN is lan0; the modem's link is wwan0, which nothing uses unless bound to it.
Nothing here touches the machine outside. Leave with exit or Ctrl-D. Three things to try:
    mmcli -m any                                 the modem, as the real ModemManager sees it
    phonecheck verify +447700900123              prove over wwan0 that this is the SIM's number
    phonecheck-sandbox ctl unplug                pull the modem (here, or from another terminal)
"""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="phonecheck", prog_name="phonecheck-sandbox")
def main() -> None:
    """A carrier in a box: a device with a modem, a mobile network and the Internet, in namespaces of their own.

    Needs no root where the kernel lets users make namespaces, and leaves nothing behind.
    """


def _scenario(_: click.Context, __: click.Parameter, name: str | None) -> Scenario | None:
    try:
        return scenarios.named(name) if name else None
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _radio_options(command: Callable[..., None]) -> Callable[..., None]:
    at_least_zero = click.FloatRange(min=0)
    for option in reversed(
        (
            click.option("--rtt", type=at_least_zero, metavar="MS", help="Round-trip time that the radio adds."),
            click.option("--jitter", type=at_least_zero, metavar="MS", help="Up to so much more for a packet."),
            click.option("--loss", type=click.FloatRange(0, 100), metavar="P", help="Per cent of packets lost."),
            click.option("--rate", type=at_least_zero, metavar="KBIT", help="Kilobits a second each way."),
            click.option("--radio-wake", type=at_least_zero, metavar="MS", help="What a packet waits after silence."),
            click.option("--set", "pairs", multiple=True, metavar="KEY=VALUE", help="Any one condition."),
            click.option("-v", "--verbose", is_flag=True, help="Say where the logs are."),
        )
    ):
        command = option(command)
    return command


def _sandbox_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(
        (
            _radio_options,
            click.option(
                "--scenario",
                metavar="NAME",
                callback=_scenario,
                shell_complete=lambda _context, _option, begun: [name for name in SCENARIOS if name.startswith(begun)],
                help="A situation that has a name: see phonecheck-sandbox scenarios.",
            ),
            click.option("--modems", type=click.IntRange(1, 2), help="How many; 1 without it."),
            click.option("--no-connect", is_flag=True, help="Leave the modems without a data session."),
            click.option("--ip", type=click.Choice(get_args(IpType)), help="Families of a session; 4 without it."),
            click.option(
                *("--link", "link_kind"),
                type=click.Choice(get_args(LinkKind)),
                help="What wwanN is, raw-ip without it; hat is a router of its own at usb0, no modem.",
            ),
            click.option("--dhcp", is_flag=True, help="Leave IPv4 to a lease; wants --link ethernet."),
            click.option("--no-configure", is_flag=True, help="Leave wwanN bare and down when its session comes up."),
            click.option(
                "--manager",
                type=click.Choice(["networkmanager"]),
                help="Who connects and configures, in the sandbox's own place.",
            ),
        )
    ):
        command = option(command)
    return command


@main.command("run", context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False})
@_sandbox_options
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run_command(command: tuple[str, ...], **options: Any) -> None:
    """Run COMMAND on the device; its exit status is this one's."""
    from phonecheck_sandbox import device

    if not shutil.which(command[0], path=device.path()):
        raise click.UsageError(f"{command[0]!r} is not a program on this machine. Check its name, or give its path.")
    _start(command=command, **options)


@main.command()
@_sandbox_options
def shell(**options: Any) -> None:
    """Open your shell on the device."""
    from phonecheck_sandbox import device

    program = os.environ.get("SHELL") or "/bin/bash"
    arguments = ("--rcfile", str(device.BASHRC)) if Path(program).name == "bash" else ()
    chosen = options["scenario"]
    welcome = f"{_WELCOME}The scenario: {chosen.does}\n" if chosen else _WELCOME
    _start(command=(program, *arguments), welcome=welcome, **options)


@main.command()
@click.option(
    "--rtt", type=click.FloatRange(min=0), default=60.0, show_default=True, metavar="MS", help="Of the radio."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def demo(rtt: float, as_json: bool) -> None:
    """Verify a SIM end to end, step by step, and prove by which interface it went.

    The exit status is 0 only if all of it held.
    """
    command = (sys.executable, "-P", "-m", "phonecheck_sandbox.demo", *(["--json"] if as_json else []))
    _start(command=command, rtt=rtt)


@main.command()
@_sandbox_options
@click.option("--while-stdin", is_flag=True, help="End when standard input does.")
def up(**options: Any) -> None:
    """Start a sandbox, print "ready" and its pid, and stay until SIGTERM or Ctrl-C. Act on it with ctl."""
    _start(**options)


@main.command()
@click.option("--throw-away", is_flag=True, help="Yes, this machine is thrown away afterwards.")
@_radio_options
@click.option(
    "--modems", type=click.IntRange(0, 2), default=1, show_default=True, help="Virtual ones, beside real ones."
)
@click.option("--link", "gateway", metavar="IFACE", help="The carrier's end of a real modem's link; wants --modems 0.")
@click.option("--ip", type=click.Choice(get_args(IpType)), help="Families of a session; 4 without it.")
@click.option("--connect", is_flag=True, help="Bring the modems' sessions up.")
@click.option("--configure", is_flag=True, help="Configure wwanN when its session comes up.")
def here(throw_away: bool, gateway: str | None, **options: Any) -> None:
    """Make THIS MACHINE the device, and put a carrier and an Internet around it; ends like up.

    For a container or a virtual machine that is thrown away: its network, its nftables and its resolv.conf are changed
    and stay so, and the modems are on its own system bus, under its own polkit.
    """
    from phonecheck_sandbox.here import STATE, ThisMachine

    if not throw_away:
        raise click.UsageError("This changes the machine itself. Say --throw-away where it is thrown away afterwards.")
    if gateway and options["modems"]:
        raise click.UsageError("One link is of one modem. Say --modems 0 with --link, or leave --link out.")
    _start(ground=ThisMachine(gateway or ""), here=True, gateway=gateway or "", state=STATE, **options)


@main.command()
@click.argument("root", type=click.Path(file_okay=False, exists=True, path_type=Path), default="/")
def provision(root: Path) -> None:
    """Write below ROOT what a machine needs for here: settings, token, and the CA for update-ca-certificates."""
    from phonecheck_sandbox.provision import provision

    provision(root)


def _start(
    *, ground: Ground = namespaces, scenario: Scenario | None = None, pairs: Sequence[str] = (), **options: Any
) -> None:
    from phonecheck_sandbox import lifetime

    chosen = scenario or Scenario("")
    given = {name: value for name, value in options.items() if value is not None}
    given |= {name: value for option, (name, value) in _FLAGS.items() if given.pop(option, False)}
    knobs = {name: given.pop(option) for option, name in _KNOBS.items() if option in given}
    try:
        conditions = Conditions(**chosen.conditions)
        conditions.update(knobs)
        conditions.check()  # what an option alone cannot see: "nan" and "inf" are floats too
        conditions = Conditions.parse(list(pairs), conditions)
    except ValueError as error:
        raise click.UsageError(f"The condition cannot be: {error}.") from None
    plan = Plan(**{"conditions": conditions, **chosen.plan, "acts": chosen.acts, **given})
    _check(plan)

    def supervise(link: Any, keeper: int) -> int:
        from phonecheck_sandbox.supervisor import supervise

        return supervise(plan, link, keeper)

    sys.exit(lifetime.hold(supervise, ground))


def _check(plan: Plan) -> None:
    if plan.ip_method == "dhcp" and (plan.link_kind != "ethernet" or plan.ip == "6"):
        raise click.UsageError("A lease is of IPv4 and over Ethernet. Say --link ethernet, and not --ip 6.")
    if plan.link_kind == "hat" and (plan.modems > 1 or plan.manager):
        raise click.UsageError("A HAT is no modem that anybody manages, and stands alone. Leave out the other options.")


@main.command("scenarios")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_scenarios(as_json: bool) -> None:
    """List what --scenario takes, a line each."""
    if as_json:
        click.echo(json.dumps({name: dataclasses.asdict(one) for name, one in SCENARIOS.items()}))
        return
    width = max(map(len, SCENARIOS))
    for name, one in SCENARIOS.items():
        click.echo(f"{name:{width}}  {one.does}")


@main.group()
@click.option("--pid", type=int, help="Of the sandbox that is meant, where several run.")
def ctl(pid: int | None) -> None:
    """Act on a running sandbox, from another terminal or from the device itself."""
    click.get_current_context().obj = pid


def _verb(name: str, verb: control.Verb) -> click.Command:
    @click.argument("words", nargs=-1, metavar=verb.takes, type=click.UNPROCESSED)
    @click.pass_obj
    def ask(pid: int | None, words: tuple[str, ...]) -> None:
        try:
            answer = control.ask(control.find(pid), [name, *words])
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        if answer:
            click.echo(json.dumps(answer, indent=2 if sys.stdout.isatty() else None))

    return click.command(name, help=verb.does)(ask)


for _name, _one in control.VERBS.items():
    ctl.add_command(_verb(_name, _one))


@ctl.command("exec", context_settings={"allow_interspersed_args": False})
@click.option("--node", default="device", show_default=True, help="device, lan, carrier or internet.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_obj
def exec_(pid: int | None, node: str, command: tuple[str, ...]) -> None:
    """Run COMMAND on a node; its exit status is this one's. It ends when this does."""
    env = {name: os.environ[name] for name in ("TERM", "COLUMNS", "LINES") if name in os.environ}
    with control.dial(control.find(pid)) as line:
        control.begin_exec(line, command, node=node, env=env, stdio=(0, 1, 2))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda number, _: line.sendall(control.encode({"signal": number})))
        try:
            sys.exit(control.receive(line)["status"])
        except ValueError as error:
            raise click.UsageError(str(error)) from None


def run() -> None:
    """The entry point."""
    streams.make_sound()
    try:
        main()
    except SandboxError as error:
        from phonecheck_sandbox.lifetime import FAILED_START, report

        print(report(error), file=sys.stderr)
        sys.exit(FAILED_START)


if __name__ == "__main__":
    run()
