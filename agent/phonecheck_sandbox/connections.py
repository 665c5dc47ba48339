"""The device's connection manager: configures a modem's interface when its session comes up, as NetworkManager would."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from phonecheck_sandbox import leases, mobile_link, world
from phonecheck_sandbox.mobile_link import Session


class Connections:
    """The modems' interfaces and what they are in. One change at a time, in the order of the events.

    Args:
        sessions: one for each modem.
        configure: whether interfaces are configured at all; where not, whatever is on them is somebody else's and stays.
    """

    def __init__(self, sessions: Sequence[Session], *, configure: bool = True) -> None:
        self.configure = configure
        self._sessions = list(sessions)
        self._up = [False for _ in sessions]
        self._plugged = [True for _ in sessions]
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def on_session(self, modem: int, up: bool) -> None:
        """A modem's session has come up or gone down."""
        self._up[modem] = up
        if not self.configure:
            return
        change = _set_up if up else _take_down
        task = asyncio.ensure_future(self._change(change, modem))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Return once every event so far has been acted on.

        Raises:
            OSError, NetlinkError: the kernel refused.
        """
        await asyncio.gather(*self._tasks)

    async def pull(self, modem: int) -> None:
        """Take the interface away."""
        self._plugged[modem] = False
        await self._change(mobile_link.pull, modem)

    async def put_back(self, modem: int) -> None:
        """Give it back: down and bare, or configured where the session has outlived its absence."""
        await self._change(mobile_link.put_back, modem)
        self._plugged[modem] = True
        if self._up[modem] and self.configure:
            await self._change(_set_up, modem)

    async def hand_over(self, modem: int, subscriber: world.Subscriber) -> None:
        """Have a modem, which is unplugged, come back as another subscriber's."""
        self._sessions[modem] = mobile_link.handed_over(self._sessions[modem], subscriber)
        await self._change(mobile_link.serve, modem)

    async def link_down(self, modem: int) -> None:
        """Set it down, and tell nobody."""
        await self._change(mobile_link.link_down, modem)

    async def address_lost(self, modem: int) -> None:
        """Take its addresses, and tell nobody."""
        await self._change(mobile_link.address_lost, modem)

    async def route_lost(self, modem: int) -> None:
        """Take its default routes, and tell nobody."""
        await self._change(mobile_link.route_lost, modem)

    def show(self) -> list[dict[str, object]]:
        """Each modem's interface, whether it is plugged in, and whether its session is up."""
        return [
            {
                "interface": session.interface,
                "plugged": self._plugged[session.modem],
                "session": self._up[session.modem],
            }
            for session in self._sessions
        ]

    async def _change(self, change: Callable[[Session], None], modem: int) -> None:
        async with self._turn:  # first come, first served
            await asyncio.to_thread(change, self._sessions[modem])


def _set_up(session: Session) -> None:
    mobile_link.session_up(session)
    if session.leased:
        leases.note(session)


def _take_down(session: Session) -> None:
    mobile_link.session_down(session)
    leases.forget(session)
