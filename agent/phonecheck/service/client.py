"""The service as its clients see it: asked over D-Bus, waited for by its signals."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from phonecheck import redact
from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError, ExitStatus, ModemError, ServiceError
from phonecheck.model import PhoneNumber
from phonecheck.modem import faults, names
from phonecheck.modem.bus import ModemBus
from phonecheck.service import results

_NAME = "org.phonecheck.Agent1"
_PATH = "/org/phonecheck/Agent1"
_HEARS = (
    names.Rule(_NAME, _NAME, "CheckCompleted"),
    names.Rule(_NAME, names.PROPERTIES, "PropertiesChanged"),
    names.Rule(names.BUS, names.BUS, "NameOwnerChanged", _NAME),
)
_SECONDS = 5.0
_SECONDS_OF_VERIFY = 60.0  # the service may have to be started, and polkit be asked
_UNAVAILABLE = ("ServiceUnknown", "NameHasNoOwner", "NoReply", "Disconnected", "Spawn.")
_DENIED = ("AccessDenied", "AuthFailed", "InteractiveAuthorizationRequired")


class AgentClient:
    """The service that runs on this device.

    Every method raises ServiceError: agent-unavailable where it does not run or does not answer, not-allowed where this
    user may not ask, or what the service itself says.

    Args:
        address: a D-Bus address; None for the system bus, which ``DBUS_SYSTEM_BUS_ADDRESS`` may move.
        patience: seconds that a service which stops may take to be back.
    """

    def __init__(self, address: str | None = None, *, patience: float = 10.0) -> None:
        self._bus = ModemBus(address, _HEARS)
        self._patience = patience

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bus.close()

    def verify(self, number: PhoneNumber | None = None, modem: str | None = None, timeout: float | None = None) -> str:
        """Have a check made, or join one that is under way, and return its id; the service is started if need be.

        Args:
            number: None for the one of the service's configuration.
            modem: ``iccid:…``, ``imei:…`` or a device path; None as configured.
            timeout: seconds for the check; None as configured.

        Raises:
            ServiceError: agent-busy, not-configured, bad-option.
        """
        asked = {
            "number": ("s", f"+{number.digits}") if number else None,
            "modem": ("s", modem) if modem is not None else None,
            "timeout": ("d", timeout) if timeout is not None else None,
        }
        options = {name: value for name, value in asked.items() if value is not None}
        seconds = _SECONDS_OF_VERIFY
        return str(self._call("Verify", "(a{sv})", (options,), reply="(s)", seconds=seconds, start=True))

    def check(self, id: str) -> dict[str, Any]:  # noqa: A002  the API's own word
        """A check's ``state`` (queued, running, done), and what CheckCompleted says of it when it is done.

        Raises:
            ServiceError: unknown-check.
        """
        return dict(self._call("Check", "(s)", (id,), reply="(a{sv})"))

    def history(self, limit: int) -> list[dict[str, Any]]:
        """The checks that were made, the newest first, at most so many; 0 for as many as the service tells."""
        return list(self._call("History", "(u)", (limit,), reply="(aa{sv})"))

    def running(self) -> bool:
        """Whether the service runs; where it does not, :meth:`watch` tells when it does."""
        try:
            return self._bus.owner(_NAME, _SECONDS) != ""
        except ModemError as error:
            raise _of_this_side(error) from None

    def properties(self) -> dict[str, Any]:
        """State, LastResult, NextRun and the other properties of the interface, by name."""
        interface = names.PROPERTIES
        return dict(self._call("GetAll", "(s)", (_NAME,), reply="(a{sv})", interface=interface))

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call ``changed`` whenever a property or the service itself may be another, as :meth:`ModemBus.watch` does.

        Returns:
            What ends it.
        """
        try:
            return self._bus.watch(changed, _SECONDS)
        except ModemError as error:
            raise _of_this_side(error) from None

    def wait(self, id: str, deadline: Deadline) -> dict[str, Any]:  # noqa: A002  the API's own word
        """A check when it is done, as :meth:`check` has it. A service that is restarted meanwhile is waited for.

        Raises:
            ServiceError: unknown-check; agent-unavailable, the service stopped and did not come back.
            DeadlineExceeded: the check goes on all the same.
        """
        happened = threading.Event()
        end = self.watch(happened.set)
        gone: Deadline | None = None
        try:
            while True:
                happened.clear()
                try:
                    check = self.check(id)
                    gone = None
                except ServiceError as error:
                    gone = gone or Deadline(self._patience)
                    if error.code != "agent-unavailable" or gone.expired:
                        raise
                else:
                    if check.get("state") == "done":
                        return check
                step = "the service was done with the check"
                left = deadline.require(step, ExitStatus.SERVICE)
                happened.wait(min(left, gone.remaining()) if gone else left)
        finally:
            end()

    def _call(
        self,
        method: str,
        signature: str,
        arguments: tuple[Any, ...],
        *,
        reply: str,
        interface: str = _NAME,
        seconds: float = _SECONDS,
        start: bool = False,
    ) -> Any:
        try:
            (value,) = self._bus.call(
                *(_PATH, interface, method, seconds, signature, arguments),
                reply=reply,
                service=_NAME,
                fault=_of_reply,
                start=start,
            )
        except ModemError as error:
            raise _of_this_side(error) from None
        return value


def _of_this_side(error: ModemError) -> ServiceError:
    """The bus knows its own failures as ModemManager's."""
    if isinstance(error, faults.Late):
        hint = "See what it does: systemctl status phonecheck-agent."
        return ServiceError("agent-unavailable", "The service did not answer in time.", hint=hint)
    return ServiceError("agent-unavailable", error.message, hint=error.hint)


def _of_reply(name: str, message: str) -> AgentError:
    word = name.removeprefix(names.BUS_ERROR)
    said = redact.text("".join(c for c in message[:300] if c.isprintable()))
    code = results.error_code(name)
    if code in ServiceError.cures:
        return ServiceError(code, said)
    if word in _DENIED:
        return ServiceError("not-allowed", "This user may not ask the service.")
    if word.startswith(_UNAVAILABLE) or name.startswith("org.freedesktop.systemd1."):
        return ServiceError("agent-unavailable", "The service does not run.")
    hint = "Look into its log: journalctl -u phonecheck-agent."
    last = name.rpartition(".")[2]
    return ServiceError("agent-unavailable", f"The service refused, with {last}: {said.rstrip('.')}.", hint=hint)
