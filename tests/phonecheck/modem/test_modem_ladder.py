"""The ladder, whole: every state with every fact that may matter, every wish and everything tried, has one expected step.

The two tables are the specification. A row is found by its facts: exactly one must fit, so that nothing is left out and
nothing said twice. The last four columns are the steps where nothing is allowed, connecting, waiting, and both:
``!code`` is an error, ``~code`` a wait that ends in that error.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from phonecheck.errors import AgentError, ModemError
from phonecheck.model import Bearer, FailedReason, Lock, Modem, ModemState, Registration, Sim
from phonecheck.modem.faults import NotRunning
from phonecheck.modem.ready import Connect, Done, Enable, Ready, SendPin, Wait, Wishes, bearer_properties, next_step

GROUPS = {
    "unprobed": "unknown initializing",
    "passing": "disabling enabling",
    "seeking": "enabled searching",
    "between": "connecting disconnecting",
    "probed": "disabled disabling enabling enabled searching registered connecting disconnecting",
    "bare": "unknown initializing connected future",
    "attached": "registered connecting disconnecting",
    "served": "home costly",  # costly: roaming, which is not allowed
    "idle": "none old",
    "useless": "suspended no-interface",
    "free": "none old dedicated",
    "down": "none old dedicated suspended no-interface",
}
WITH_BEARERS = """
state       sim  registration  bearer     tried            nothing          connect          wait             both
failed      *    *             *          *                !not-connected   !not-connected   !not-connected   !not-connected
probed      no   *             *          *                !sim-missing     !sim-missing     !sim-missing     !sim-missing
probed      yes  *             up         *                ready            ready            ready            ready
bare        *    *             up         *                ready            ready            ready            ready
unprobed    *    *             down       *                !not-registered  ~not-registered  ~not-registered  ~not-registered
passing     yes  *             down       *                !not-registered  ~not-registered  ~not-registered  ~not-registered
disabled    yes  denied        down       nothing,connect  !not-registered  enable           ~not-registered  enable
disabled    yes  served        down       nothing,connect  !not-connected   enable           ~not-connected   enable
disabled    yes  unserved      down       nothing,connect  !not-connected   enable           ~not-connected   enable
disabled    yes  denied        down       enable,both      !not-registered  !not-connected   ~not-registered  !not-connected
disabled    yes  served        down       enable,both      !not-connected   !not-connected   ~not-connected   !not-connected
disabled    yes  unserved      down       enable,both      !not-connected   !not-connected   ~not-connected   !not-connected
seeking     yes  denied        down       *                !not-registered  !not-registered  ~not-registered  ~not-registered
seeking     yes  served        down       *                !not-registered  ~not-registered  ~not-registered  ~not-registered
seeking     yes  unserved      down       *                !not-registered  ~not-registered  ~not-registered  ~not-registered
attached    yes  denied        down       *                !not-registered  !not-registered  ~not-registered  ~not-registered
attached    yes  unserved      down       *                !not-registered  ~not-registered  ~not-registered  ~not-registered
connected   *    denied        down       *                !not-registered  !not-registered  ~not-registered  ~not-registered
connected   *    unserved      down       *                !not-registered  ~not-registered  ~not-registered  ~not-registered
future      *    denied        down       *                !not-registered  !not-registered  ~not-registered  ~not-registered
future      *    unserved      down       *                !not-registered  ~not-registered  ~not-registered  ~not-registered
future      *    served        down       *                !not-connected   ~not-connected   ~not-connected   ~not-connected
between     yes  served        down       *                !not-connected   ~not-connected   ~not-connected   ~not-connected
registered  yes  served        useless    *                !not-connected   !not-connected   ~not-connected   ~not-connected
connected   *    served        useless    *                !not-connected   !not-connected   ~not-connected   ~not-connected
connected   *    served        idle       *                !not-connected   ~not-connected   ~not-connected   ~not-connected
registered  yes  home          free       nothing,enable   !not-connected   connect          ~not-connected   connect
connected   *    home          dedicated  nothing,enable   !not-connected   connect          ~not-connected   connect
registered  yes  costly        free       nothing,enable   !not-connected   !not-connected   ~not-connected   !not-connected
connected   *    costly        dedicated  nothing,enable   !not-connected   !not-connected   ~not-connected   !not-connected
registered  yes  served        free       connect,both     !not-connected   !connect-failed  ~not-connected   !connect-failed
connected   *    served        dedicated  connect,both     !not-connected   !connect-failed  ~not-connected   !connect-failed
"""
LOCKED = """
lock        sim  tries  given  sent  nothing         connect         wait            both
pin         yes  2,3    yes    no    !sim-locked     pin             ~sim-locked     pin
pin         yes  ?,0,1  yes    no    !sim-locked     !sim-locked     ~sim-locked     !sim-locked
pin         no   *      yes    no    !sim-locked     !sim-locked     ~sim-locked     !sim-locked
pin         *    *      no     no    !sim-locked     !sim-locked     ~sim-locked     !sim-locked
pin         *    *      *      yes   !sim-locked     ~sim-locked     ~sim-locked     ~sim-locked
unclear     *    *      *      *     !sim-locked     ~sim-locked     ~sim-locked     ~sim-locked
other-pin   *    *      *      *     !sim-locked     !sim-locked     !sim-locked     !sim-locked
puk         *    *      *      *     !puk-required   !puk-required   !puk-required   !puk-required
"""


def rows(table: str) -> Iterator[tuple[dict[str, set[str]], list[str]]]:
    head, *lines = (line.split() for line in table.strip().splitlines())
    for line in lines:
        facts = {
            fact: {word for part in cell.split(",") for word in GROUPS.get(part, part).split()}
            for fact, cell in zip(head[:-4], line, strict=False)
        }
        yield facts, line[-4:]


class Table:
    def __init__(self, text: str) -> None:
        self.rows = list(rows(text))
        self.used = set[int]()

    def expected(self, facts: Mapping[str, str]) -> list[str]:
        fitting = [n for n, (wanted, _) in enumerate(self.rows) if all(w & {"*", facts[f]} for f, w in wanted.items())]
        assert len(fitting) == 1, (facts, [self.rows[n] for n in fitting])
        self.used.add(fitting[0])
        return self.rows[fitting[0]][1]


def seen(modem: Modem | None, wishes: Wishes, done: Done, absent: ModemError | None = None) -> str:
    try:
        step = next_step(modem, wishes, done, absent)
    except AgentError as error:
        return f"!{error.code}"
    match step:
        case Wait(words, error):
            assert words.startswith("waiting for ")
            return f"~{error.code}"
        case SendPin(sim):
            assert modem is not None
            assert modem.sim is not None
            assert sim == modem.sim.path
            return "pin"
    return {Ready: "ready", Enable: "enable", Connect: "connect"}[type(step)]


ALLOWED = ((False, False), (True, False), (False, True), (True, True))
SIM = Sim("/org/freedesktop/ModemManager1/SIM/4")
UP = Bearer("/org/freedesktop/ModemManager1/Bearer/1", "wwan0", connected=True)
BEARERS = {
    "none": (),
    "old": (replace(UP, connected=False, interface="", connection_error="Unknown APN"),),
    "up": (UP,),
    "suspended": (replace(UP, suspended=True),),
    "no-interface": (replace(UP, interface=""),),
    "dedicated": (replace(UP, default=False),),
}
TRIED = {
    "nothing": Done(),
    "enable": Done(enabled=True),
    "connect": Done(connected=True),
    "both": Done(enabled=True, connected=True),
}
R = Registration
REGISTRATIONS: dict[str, tuple[tuple[Registration, bool], ...]] = {
    "home": (
        *((r, roaming) for r in (R.HOME, R.HOME_CSFB_NOT_PREFERRED, R.UNKNOWN) for roaming in (False, True)),
        *((R.ROAMING, True), (R.ROAMING_CSFB_NOT_PREFERRED, True)),
    ),
    "costly": ((R.ROAMING, False), (R.ROAMING_CSFB_NOT_PREFERRED, False)),
    "denied": ((R.DENIED, False), (R.DENIED, True)),
    "unserved": tuple(
        (r, False)
        for r in (
            *(R.IDLE, R.SEARCHING, R.HOME_SMS_ONLY, R.ROAMING_SMS_ONLY, R.EMERGENCY_ONLY, R.ATTACHED_RLOS, R(42)),
        )
    ),
}
STATES = {
    **{state.word: state for state in ModemState if state is not ModemState.LOCKED and state <= ModemState.CONNECTED},
    "future": ModemState(42),
}


def test_every_modem_that_is_not_locked_has_its_step():
    table = Table(WITH_BEARERS)
    for state, sim, registration, bearer, tried in itertools.product(
        STATES, ("yes", "no"), REGISTRATIONS, BEARERS, TRIED
    ):
        facts = {"state": state, "sim": sim, "registration": registration, "bearer": bearer, "tried": tried}
        expected = table.expected(facts)
        for known, roaming in REGISTRATIONS[registration]:
            modem = Modem(
                *("/org/freedesktop/ModemManager1/Modem/0",),
                state=STATES[state],
                lock=Lock.NONE,
                registration=known,
                sim=SIM if sim == "yes" else None,
                bearers=BEARERS[bearer],
            )
            found = [seen(modem, Wishes(c, roaming=roaming, wait=w), TRIED[tried]) for c, w in ALLOWED]
            assert found == expected, (facts, known)
    assert len(table.used) == len(table.rows), "a row of the table fits nothing"


LOCKS = {
    "pin": (Lock.SIM_PIN,),
    "unclear": (Lock.UNKNOWN, Lock.NONE),
    "puk": tuple(lock for lock in Lock if lock.name.endswith("PUK")),
    "other-pin": (
        *(lock for lock in Lock if lock.name.startswith("PH_") and lock.name.endswith("PIN")),
        *(Lock.SIM_PIN2, Lock.SIM_PUK2, Lock(88)),
    ),
}


def test_every_lock_has_its_step():
    table = Table(LOCKED)
    assert {lock for locks in LOCKS.values() for lock in locks} > {lock for lock in Lock if lock <= 16}
    for lock, sim, tries, given, sent in itertools.product(
        LOCKS, ("yes", "no"), ("?", "0", "1", "2", "3"), ("yes", "no"), ("yes", "no")
    ):
        facts = {"lock": lock, "sim": sim, "tries": tries, "given": given, "sent": sent}
        expected = table.expected(facts)
        for known, bearers, registration in itertools.product(LOCKS[lock], ((), (UP,)), (R.UNKNOWN, R.DENIED)):
            modem = Modem(
                *("/org/freedesktop/ModemManager1/Modem/0",),
                state=ModemState.LOCKED,
                lock=known,
                retries=() if tries == "?" else ((known, int(tries)),),
                registration=registration,
                sim=SIM if sim == "yes" else None,
                bearers=bearers,
            )
            found = [
                seen(modem, Wishes(c, has_pin=given == "yes", wait=w), Done(pin=sent == "yes")) for c, w in ALLOWED
            ]
            assert found == expected, (facts, known)
    assert len(table.used) == len(table.rows), "a row of the table fits nothing"


def test_the_tries_of_another_lock_are_none_of_the_pins():
    modem = Modem("/m", state=ModemState.LOCKED, lock=Lock.SIM_PIN, retries=((Lock.SIM_PUK, 10),), sim=SIM)
    assert seen(modem, Wishes(connect=True, has_pin=True), Done()) == "!sim-locked"


def test_a_pin_and_whether_it_was_sent_matter_to_a_locked_modem_only():
    for state, bearer, tried in itertools.product(STATES, BEARERS, TRIED):
        modem = Modem("/m", state=STATES[state], registration=R.HOME, sim=SIM, bearers=BEARERS[bearer])
        for connect, wait in ALLOWED:
            plain = seen(modem, Wishes(connect, wait=wait), TRIED[tried])
            assert plain == seen(modem, Wishes(connect, has_pin=True, wait=wait), replace(TRIED[tried], pin=True))


@pytest.mark.parametrize("reason", [*FailedReason, FailedReason(77)])
def test_a_failed_modem_is_an_error_whatever_is_allowed(reason):
    failed = Modem("/m", state=ModemState.FAILED, failed_reason=reason, sim=SIM, bearers=(UP,))
    sim = {FailedReason.SIM_MISSING, FailedReason.SIM_ERROR, FailedReason.ESIM_WITHOUT_PROFILES}
    code = "!sim-missing" if reason in sim else "!not-connected"
    for (connect, wait), done in itertools.product(ALLOWED, TRIED.values()):
        assert seen(failed, Wishes(connect, has_pin=True, wait=wait), done) == code


@pytest.mark.parametrize(
    ("absent", "code", "words"),
    [
        (None, "modem-not-found", "waiting for the modem"),
        (ModemError("modem-not-found", "None."), "modem-not-found", "waiting for the modem"),
        (NotRunning("modem-manager-unavailable", "None."), "modem-manager-unavailable", "waiting for ModemManager"),
    ],
)
def test_a_modem_that_is_not_there_is_waited_for_only_where_waiting_is_allowed(absent, code, words):
    for done in TRIED.values():
        found = [seen(None, Wishes(connect, wait=wait), done, absent) for connect, wait in ALLOWED]
        assert found == [f"!{code}", f"!{code}", f"~{code}", f"~{code}"]
    step = next_step(None, Wishes(wait=True), Done(), absent)
    assert isinstance(step, Wait)
    assert step.words == words


@pytest.mark.parametrize(
    ("wishes", "asked"),
    [
        (Wishes(), {}),
        (Wishes(apn="internet", roaming=True), {"apn": ("s", "internet"), "allow-roaming": ("b", True)}),
        (Wishes(apn=""), {"apn": ("s", "")}),
        (Wishes(ip_type="4"), {"ip-type": ("u", 1)}),
        (Wishes(ip_type="6"), {"ip-type": ("u", 2)}),
        (Wishes(ip_type="4v6", family="6"), {"ip-type": ("u", 4)}),
        (Wishes(family="6"), {"ip-type": ("u", 2)}),
    ],
)
def test_what_a_bearer_is_asked_for(wishes, asked):
    assert bearer_properties(wishes) == {"allow-roaming": ("b", False)} | asked
