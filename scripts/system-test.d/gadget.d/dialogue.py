"""What the modem answers to AT commands: a u-blox LTE modem in bridge mode, as far as ModemManager talks to one.

Sources: 3GPP TS 27.007 for the standard commands, u-blox' AT command manual (UBX-13002752) for those that begin with
``+U``, and ModemManager's own log for which of them it sends. What is not known is answered with ERROR, as by a modem
that lacks it.
"""  # noqa: INP001  a program of its own

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Interface

OPERATOR, OPERATOR_CODE = "Sandbox Mobile", "00101"
DNS = ("10.64.1.53", "10.64.2.53")
_LTE = 7
"""The access technology of +COPS and +CREG (27.007, 7.3)."""
_HOME, _NOT_REGISTERED = 1, 0
_PARTS = re.compile(r'(?:[^";]|"[^"]*")+')


@dataclass(frozen=True, slots=True)
class Sim:
    """A SIM, and the address that the network gives it."""

    imsi: str
    iccid: str
    number: str
    address: IPv4Interface


@dataclass(slots=True)
class State:
    """What the modem holds; what a power cycle takes is made anew by ``restart``."""

    sim: Sim
    imei: str = "867223029999992"
    served: bool = True
    """Whether there is a network."""
    functional: bool = True
    contexts: dict[str, str] = field(default_factory=lambda: {"1": ""})
    """The APN of each PDP context, by its <cid>."""
    active: str = ""
    """The <cid> of the context that is up, if one is."""
    characters: str = "IRA"
    reports: dict[str, int] = field(default_factory=dict)
    """Which of +CREG, +CGREG, +CEREG report changes: their <n>."""
    operator_form: str = "0"
    """How +COPS? names the operator: 0 by its name, 2 by its code."""
    echo: str = "1"

    def restart(self) -> None:
        """Power it off and on."""
        for fresh in fields(State(self.sim)):
            if fresh.name not in ("sim", "served"):
                setattr(self, fresh.name, getattr(State(self.sim), fresh.name))

    @property
    def registered(self) -> bool:
        """Whether the network has the modem."""
        return self.served and self.functional

    def changed(self) -> list[str]:
        """The unsolicited results that a change of the network brings."""
        stat = _HOME if self.registered else _NOT_REGISTERED
        if not self.registered:
            self.active = ""
        return [f"+{name}: {stat}{self._cell(n)}" for name, n in self.reports.items() if n]

    def registration(self, name: str) -> str:
        """The answer to +CREG? and its like."""
        n = self.reports.get(name, 0)
        return f"+{name}: {n},{_HOME if self.registered else _NOT_REGISTERED}{self._cell(n)}"

    def _cell(self, n: int) -> str:
        return f',"0001","0000A001",{_LTE}' if n == 2 and self.registered else ""


_FIXED: dict[str, tuple[str, ...]] = {
    "I": ("u-blox",),
    "I0": ("LARA-R6001",),
    "+GMI": ("u-blox",),
    "+CGMI": ("u-blox",),
    "+GMM": ("LARA-R6001",),
    "+CGMM": ("LARA-R6001",),
    "+GMR": ("16.19",),
    "+CGMR": ("16.19",),
    "+GCAP": ("+GCAP: +FCLASS, +CGSM",),
    "+CPIN?": ("+CPIN: READY",),
    "+UPINCNT": ("+UPINCNT: 3,3,10,10",),
    '+CLCK="SC",2': ("+CLCK: 0",),
    "+CLCK=?": ('+CLCK: ("SC","PN")',),
    "+CFUN=?": ("+CFUN: (0,1,4,15),(0,1)",),
    "+CREG=?": ("+CREG: (0-2)",),
    "+CGREG=?": ("+CGREG: (0-2)",),
    "+CEREG=?": ("+CEREG: (0-2)",),
    "+WS46=?": ("+WS46: (28)",),
    "+URAT?": ("+URAT: 3",),
    "+URAT=?": ("+URAT: (0-6),(0,2,3)",),
    "+CSQ": ("+CSQ: 22,3",),
    "+CESQ": ("+CESQ: 99,99,255,255,20,58",),
    "+CESQ=?": ("+CESQ: (0-63,99),(0-7,99),(0-96,255),(0-49,255),(0-34,255),(0-97,255)",),
    "+CGDCONT=?": tuple(f'+CGDCONT: (1-8),"{kind}",,,(0),(0)' for kind in ("IP", "IPV6", "IPV4V6")),
    "+CGACT=?": ("+CGACT: (0,1)",),
    # The USB profile: ECM; the network card's mode: 2, bridge, so that the host has the bearer's own address.
    "+UUSBCONF?": ('+UUSBCONF: 2,"ECM",,"0x1313"',),
    "+UBMCONF?": ("+UBMCONF: 2",),
    "+UAUTHREQ=?": ("+UAUTHREQ: (1-8),(0-3),,",),
    "+CSCS=?": ('+CSCS: ("IRA","UCS2","GSM")',),
    "+CMGF=?": ("+CMGF: (0,1)",),
    "+COPS=?": (f'+COPS: (2,"{OPERATOR}","SANDBOX","{OPERATOR_CODE}",{_LTE}),,(0-4),(0-2)',),
}
_ASKED: dict[str, Callable[[State], list[str]]] = {
    "+CGSN": lambda state: [state.imei],
    "+GSN": lambda state: [state.imei],
    "+CIMI": lambda state: [state.sim.imsi],
    "+CCID": lambda state: [f"+CCID: {state.sim.iccid}"],
    "+CNUM": lambda state: [f'+CNUM: "","+{state.sim.number}",145'],
    "+CFUN?": lambda state: [f"+CFUN: {int(state.functional)}"],
    "+CGATT?": lambda state: [f"+CGATT: {int(state.registered)}"],
    "+CGACT?": lambda state: [f"+CGACT: {cid},{int(cid == state.active)}" for cid in state.contexts],
    "+CGDCONT?": lambda state: [f'+CGDCONT: {cid},"IP","{apn}","0.0.0.0",0,0' for cid, apn in state.contexts.items()],
    "+CSCS?": lambda state: [f'+CSCS: "{state.characters}"'],
    "+COPS?": lambda state: [_operator(state)],
}


class Refused(Exception):
    """A command that fails, and ends its line; the text is the modem's final answer."""


def answer(state: State, line: str) -> str:
    """What the modem says to a line without its ``AT``; several commands are divided by semicolons (V.250, 5.2.1)."""
    said: list[str] = []
    try:
        for command in _PARTS.findall(line) or [""]:
            said += _one(state, command)
        said.append("OK")
    except Refused as refused:
        said.append(str(refused))
    return "".join(f"\r\n{text}\r\n" for text in said)


def _one(state: State, command: str) -> list[str]:
    if command in _FIXED:
        return list(_FIXED[command])
    if command in _ASKED:
        return _ASKED[command](state)
    for form, act in _ACTS:
        if found := form.fullmatch(command):
            return act(state, *found.groups())
    raise Refused("ERROR")


def _registration(state: State, name: str, n: str | None) -> list[str]:
    if n is None:
        return [state.registration(name)]
    state.reports[name] = int(n)
    return []


def _define(state: State, cid: str, apn: str) -> list[str]:
    state.contexts[cid] = apn
    return []


def _activate(state: State, on: str, cid: str) -> list[str]:
    if on == "1" and not state.registered:
        raise Refused("+CME ERROR: 30")  # no network service (27.007, 9.2)
    state.active = cid if on == "1" else ""
    return []


def _gateway(state: State, cid: str) -> list[str]:
    own = _session(state, cid)
    return [f'+UIPADDR: {cid},"","{own.network[1]}","{own.netmask}","",""']


def _addresses(state: State, cid: str) -> list[str]:
    own = _session(state, cid)
    servers = ",".join(f'"{server}"' for server in DNS)
    return [f'+CGCONTRDP: {cid},5,"{state.contexts[cid]}","{own.ip}.{own.netmask}","{own.network[1]}",{servers}']


def _session(state: State, cid: str) -> IPv4Interface:
    if cid != state.active:
        raise Refused("+CME ERROR: 4")  # operation not supported
    return state.sim.address


def _power(state: State, level: str) -> list[str]:
    state.functional = level == "1"
    state.active = state.active if state.functional else ""
    return []


def _set(name: str) -> Callable[[State, str], list[str]]:
    def act(state: State, value: str) -> list[str]:
        setattr(state, name, value)
        return []

    return act


def _read_file(_: State, number: str) -> list[str]:
    """READ BINARY of an elementary file (27.007, 8.18; 3GPP TS 31.102, 4.2): of EF_AD alone, the length of the MNC.

    6A 82 is "file not found" (TS 102 221, 10.2.1.5).
    """
    return ['+CRSM: 144,0,"00000002"' if number == "28589" else "+CRSM: 106,130"]


def _operator(state: State) -> str:
    if not state.registered:
        return "+COPS: 0"
    numeric = state.operator_form == "2"
    return f'+COPS: 0,{state.operator_form},"{OPERATOR_CODE if numeric else OPERATOR}",{_LTE}'


_ACTS: tuple[tuple[re.Pattern[str], Callable[..., list[str]]], ...] = (
    (re.compile(r"\+(CREG|CGREG|CEREG)(?:\?|=([0-2]))"), _registration),
    (re.compile(r'\+CGDCONT=(\d+),"\w+","([^"]*)".*'), _define),
    (re.compile(r"\+CGACT=([01]),(\d+)"), _activate),
    (re.compile(r"\+UIPADDR=(\d+)"), _gateway),
    (re.compile(r"\+CGCONTRDP=(\d+)"), _addresses),
    (re.compile(r"\+CFUN=(\d).*"), _power),
    (re.compile(r'\+CSCS="(\w+)"'), _set("characters")),
    (re.compile(r"\+COPS=3,(\d)"), _set("operator_form")),
    (re.compile(r"E([01]?)"), _set("echo")),
    (re.compile(r"\+CRSM=176,(\d+),.*"), _read_file),
    # Taken, and nothing comes of it: forms of the answers, how errors are told, hanging up, automatic registration.
    (re.compile(r"|[VXZQSH&][0-9=&CD]*|\+(?:CMEE|UAUTHREQ|COPS|CGATT)=[^?].*"), lambda _state: []),
)
