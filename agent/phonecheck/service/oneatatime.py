"""One user of the modem at a time: a check, or a delivery where the app server is reached over the modem.

Each is a process that brings a bearer up where there is none, and at its end takes down what it brought up: under whoever
came to use it meanwhile, who then ends with interface-gone (seen in the sandbox, with a check that was next to a delivery).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

from phonecheck.service.model import Delivery, Finished, Report, Request
from phonecheck.service.ports import Cancel, Checks, Courier, Loop

_log = logging.getLogger("phonecheck.service")


class OneAtATime:
    """Who uses the modem, and who waits for it.

    Args:
        loop: where everything is called from.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._user: _Use | None = None
        self._waiting: list[_Use] = []

    def use(
        self, start: Callable[[Callable[[], None]], Cancel], called_off: Callable[[], None], *, first: bool = False
    ) -> Cancel:
        """Start something now, or when the modem is free.

        Args:
            start: starts it; is given what it has to call when it is over.
            called_off: called, from the loop, in place of ``start`` where it was called off while it waited.
            first: it goes before those that wait already.
        """
        use = _Use(self, start, called_off)
        if self._user is None:
            self._begin(use)
        else:
            self._waiting.insert(0 if first else len(self._waiting), use)
        return use

    def give_up(self, use: _Use) -> None:
        """Call off a use that waits; one that does not is left alone."""
        if use in self._waiting:
            self._waiting.remove(use)
            self._loop.soon(use.called_off)

    def _begin(self, use: _Use) -> None:
        self._user = use
        try:
            use.under_way = use.start(partial(self._over, use))
        except BaseException:
            self._user = None
            raise

    def _over(self, use: _Use) -> None:
        if self._user is not use:
            return
        self._user = None
        while self._waiting and self._user is None:
            following = self._waiting.pop(0)
            try:
                self._begin(following)
            except Exception:  # noqa: BLE001  whatever it is, whoever is over has no part in it
                _log.exception(
                    "A bug in phonecheck: a process could not be started; please report it with these lines."
                )
                self._loop.soon(following.called_off)


class _Use:
    under_way: Cancel | None = None

    def __init__(
        self, modem: OneAtATime, start: Callable[[Callable[[], None]], Cancel], called_off: Callable[[], None]
    ) -> None:
        self._modem, self.start, self.called_off = modem, start, called_off

    def cancel(self) -> None:
        if self.under_way is not None:
            self.under_way.cancel()
        else:
            self._modem.give_up(self)


class ChecksInTurn:
    """Checks that wait for a delivery over the modem, and go before one that waits.

    Args:
        checks: makes them.
        modem: who uses it.
    """

    def __init__(self, checks: Checks, modem: OneAtATime) -> None:
        self._checks, self._modem = checks, modem

    def start(self, request: Request, done: Callable[[Finished], None]) -> Cancel:
        """Start a check, or have it wait; ``done`` is called once, from the loop, also after a cancel."""

        def start(over: Callable[[], None]) -> Cancel:
            return self._checks.start(request, partial(_then, done, over))

        return self._modem.use(start, lambda: done(Finished(cancelled=True)), first=True)


class CourierInTurn:
    """A courier that waits for checks, where its way is the modem's.

    Args:
        courier: brings reports.
        modem: who uses it.
        over_modem: whether that is the way now.
    """

    def __init__(self, courier: Courier, modem: OneAtATime, over_modem: Callable[[], bool]) -> None:
        self._courier, self._modem, self._over_modem = courier, modem, over_modem

    def start(self, reports: Sequence[Report], done: Callable[[Sequence[Delivery]], None]) -> Cancel:
        """Bring reports, or have them wait; ``done`` is called once, from the loop, with none where it was called off."""
        if not self._over_modem():
            return self._courier.start(reports, done)

        def start(over: Callable[[], None]) -> Cancel:
            return self._courier.start(reports, partial(_then, done, over))

        return self._modem.use(start, lambda: done(()))


def _then(done: Callable[..., None], over: Callable[[], None], result: object) -> None:
    """Pass a result on, and the modem after it: what follows from a result may be a check, which goes first."""
    try:
        done(result)
    finally:
        over()
