"""A device booted by systemd-nspawn: real systemd, D-Bus, polkit and the packages, and the sandbox around it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

AGENT = "phonecheck-agent.service"
API = ("org.phonecheck.Agent1", "/org/phonecheck/Agent1", "org.phonecheck.Agent1")
SETTINGS = "/etc/phonecheck/agent.toml"
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
_ENDED = ("running", "degraded")
_T = TypeVar("_T")


class Device:
    """A container, from ``with`` to its end. What is written in it is gone then.

    Args:
        root: the file system to boot; it is not changed.
        cgroups: the hierarchies' directories for this level.
        prepare: files to be there before it boots, by their path.
    """

    _count = 0

    def __init__(self, root: Path, cgroups: list[Path], prepare: dict[str, str | None] | None = None) -> None:
        Device._count += 1
        self._name = f"device{Device._count}"
        self._layer = root.with_name(self._name)
        self._root = root
        self._cgroups = [place / self._name for place in cgroups]
        self._prepare = prepare or {}
        self._log = root.with_name(f"{self._name}.log")
        self.leader = 0

    def __enter__(self) -> Self:
        for place in self._cgroups:
            place.mkdir()
        self._lay()
        enter = " ".join(f"echo 0 >{place}/cgroup.procs;" for place in self._cgroups)
        with self._log.open("wb") as log:
            self._nspawn = subprocess.Popen(
                ["sh", "-c", f'{enter} exec "$@"', "sh", *self._argv()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Where the host still has cgroups of the first version, the container is to have none: its devices and its
                # network are held by BPF programs, which want the second, CAP_BPF and bpf(2).
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
                start_new_session=True,
            )
        try:
            self.leader = self.until(self._find_leader, 10, "the container's PID 1")
            self.until(self._state, 60, "the end of the boot")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._nspawn.kill()  # its payload goes with it; an orderly power-off takes two seconds more
        self._nspawn.wait()
        for place in (self._layer, self._layer.with_suffix(".work")):
            subprocess.run(["umount", "-q", str(place)], check=False)

    def _lay(self) -> None:
        """Lay a layer that takes all writes over the root, and write into it what is to be prepared."""
        self._layer.mkdir()
        memory = self._layer.with_suffix(".work")
        memory.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(memory)], check=True)
        upper, work = memory / "upper", memory / "work"
        upper.mkdir()
        work.mkdir()
        options = f"lowerdir={self._root},upperdir={upper},workdir={work}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(self._layer)], check=True)
        for path, content in self._prepare.items():
            place = self._layer / path.lstrip("/")
            if content is None:
                place.unlink(missing_ok=True)
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(content)

    def _argv(self) -> list[str]:
        return [
            *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot", "-D", str(self._layer)),
            *("-M", f"phonecheck-{self._name}", "--console=pipe", "--link-journal=no"),
            *("--private-network", "--resolv-conf=off", "--timezone=off"),
            *("--capability=CAP_NET_ADMIN,CAP_BPF", "--system-call-filter=bpf"),
        ]

    def _find_leader(self) -> int | None:
        """The payload's PID 1: nspawn forks an outer child first, which is none."""
        if self._nspawn.poll() is not None:
            raise AssertionError(f"systemd-nspawn ended:\n{self._log.read_text(errors='replace')[-2000:]}")
        for task in Path(f"/proc/{self._nspawn.pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                try:
                    status = Path(f"/proc/{child}/status").read_text()
                except FileNotFoundError:
                    continue
                numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()
                if numbers[-1] == "1":
                    return int(child)
        return None

    def _state(self) -> str | None:
        state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return state if state in _ENDED else None

    # Acting on it

    def argv(self, *words: object) -> list[str]:
        """The command line that runs a command in it, as root."""
        return [
            "nsenter",
            "-t",
            str(self.leader),
            "-a",
            "env",
            "-i",
            *(f"{k}={v}" for k, v in _ENVIRONMENT.items()),
            *map(str, words),
        ]

    def run(
        self,
        *words: object,
        check: bool = True,
        timeout: float = 60,
        input: str | None = None,  # noqa: A002  as subprocess names it
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in it, as root; a status other than 0 fails the test with what it said, unless not ``check``."""
        done = subprocess.run(
            self.argv(*words), capture_output=True, text=True, timeout=timeout, input=input, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"{words} ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def out(self, *words: object, **options: Any) -> str:
        """What a command prints."""
        return self.run(*words, **options).stdout.strip()

    def path(self, inside: str) -> Path:
        """Where a path of its is from outside."""
        return Path(f"/proc/{self.leader}/root", inside.lstrip("/"))

    def pid(self, inside: int) -> int:
        """The pid here of a process whose pid in it is given."""
        for place in Path("/proc").glob("[0-9]*/status"):
            try:
                numbers = next(line for line in place.read_text().splitlines() if line.startswith("NSpid:")).split()
                namespace = (place.parent / "ns/pid").readlink()
            except (OSError, StopIteration):
                continue
            if numbers[-1] == str(inside) and namespace == Path(f"/proc/{self.leader}/ns/pid").readlink():
                return int(place.parent.name)
        raise AssertionError(f"There is no process {inside} in the container.")

    def show(self, what: str, unit: str = AGENT) -> str:
        """A property of a unit."""
        return self.out("systemctl", "show", unit, f"--property={what}", "--value")

    def ctl(self, *words: object) -> dict[str, Any]:
        """Act on the sandbox around it."""
        said = self.out("phonecheck-sandbox", "ctl", *words)
        return json.loads(said) if said else {}

    def verify(self, *command: str, check: bool = True) -> str:
        """Ask the service for a check by D-Bus, through a command such as runuser where one is given; its id."""
        asked = self.run(*command, "busctl", "call", *API, "Verify", "a{sv}", "0", check=check)
        return asked.stdout.partition('"')[2].partition('"')[0]

    def property(self, name: str) -> str:
        """A property of the service's API, as busctl prints it."""
        return self.out("busctl", "get-property", *API, name)

    def come(self, id: str, seconds: float = 40) -> dict[str, Any]:  # noqa: A002  the API's own word
        """Wait until a check was made, and return it."""
        return self.until(
            lambda: next((one for one in self.history() if one["id"] == id), None), seconds, f"check {id}"
        )

    def at_rest(self) -> list[dict[str, Any]]:
        """Wait until the SIM is verified, all is reported, and nothing is due soon; the checks, the newest first."""

        def verified() -> list[dict[str, Any]] | None:
            checks = self.history()
            done = checks and checks[0]["result"]["outcome"] == "match"
            rests = done and (self.property("State"), self.property("Outbox")) == ('s "idle"', "u 0")
            return checks if rests and self.history() == checks else None

        return self.until(verified, 60, "a service at rest")

    def in_the_box(self) -> None:
        """Wait until the sandbox around it is ready."""
        wait = ("phonecheck-sandbox", "ctl", "wait-ready")
        self.until(lambda: self.run(*wait, check=False).returncode == 0, 60, "the sandbox")

    def drop_in(self, name: str, text: str, unit: str = AGENT) -> None:
        """Change a unit until the device's end, and tell systemd."""
        place = self.path(f"/etc/systemd/system/{unit}.d/{name}.conf")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        self.run("systemctl", "daemon-reload")

    def set_up(self, *lines: str) -> None:
        """Add lines to the settings, as ``section.key = value``."""
        with self.path(SETTINGS).open("a") as file:
            file.write("".join(f"{line}\n" for line in lines))

    # Seeing what came of it

    def until(self, ask: Callable[[], _T | None], seconds: float, what: str) -> _T:
        """Ask until there is an answer that is true, and return it."""
        end = time.monotonic() + seconds
        while not (answer := ask()):
            if time.monotonic() > end:
                raise AssertionError(f"After {seconds:g} s there is not yet: {what}.\n{self.told()}")
            time.sleep(0.05)
        return answer

    def told(self) -> str:
        """The end of the journal, for whoever reads why a test failed."""
        if not self.leader:
            return self._log.read_text(errors="replace")[-2000:]
        return self.run("journalctl", "--no-pager", "-n", "40", "-o", "short-monotonic", check=False).stdout

    def history(self) -> list[dict[str, Any]]:
        """The checks that were made, the newest first."""
        done = self.run("phonecheck", "history", "-n", "0", "--json", check=False)
        if done.returncode:
            return []
        answer = json.loads(done.stdout)
        return answer["checks"] if isinstance(answer, dict) else answer

    def reports(self) -> list[dict[str, Any]]:
        """The reports that the app server has, the oldest first."""
        return self.ctl("state")["reports"]

    def checked(self, number: int, seconds: float = 40) -> list[dict[str, Any]]:
        """Wait until so many checks were made; all of them, the newest first."""
        return self.until(
            lambda: found if len(found := self.history()) >= number else None, seconds, f"{number} checks"
        )

    def journal(self, *words: str, unit: str = AGENT) -> list[dict[str, Any]]:
        """The entries of a unit's journal."""
        said = self.out("journalctl", "--no-pager", "-o", "json", f"--unit={unit}", *words)
        return [json.loads(line) for line in said.splitlines()]

    def messages(self, *words: str, unit: str = AGENT) -> str:
        """The same as text."""
        return "\n".join(str(entry["MESSAGE"]) for entry in self.journal(*words, unit=unit))


Boot = Callable[..., Device]
