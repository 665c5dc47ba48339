"""A Debian machine in qemu, and how the tests act inside: by qemu's guest agent, over a virtio port."""

from __future__ import annotations

import base64
import itertools
import json
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

_POLL = 0.05
_BOOT = 180.0
_COMMON = (
    # Never another accelerator: /dev/kvm may open and yet run no guest.
    *("-accel", "tcg,thread=multi", "-smp", "2", "-m", "1024"),
    *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
    *("-device", "virtio-rng-pci", "-device", "virtio-serial-pci"),
    *("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
)
_QEMU: dict[str, tuple[tuple[str, ...], str]] = {
    "amd64": (("qemu-system-x86_64", "-machine", "pc,usb=off,vmport=off,hpet=off", "-cpu", "max"), "ttyS0"),
    "arm64": (("qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a72"), "ttyAMA0"),
}
"""For each architecture the machine, and the console's name."""


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    status: int
    out: str
    err: str


class VirtualMachine:
    """A machine, from ``with`` to its end. What is written in it is gone then.

    Args:
        image: the directory with kernel, initramfs and disk.
        arch: Debian's name of the architecture.
    """

    def __init__(self, image: Path, arch: str) -> None:
        self._image = image
        self._arch = arch
        self._console = image / "console"
        self._ids = itertools.count(1)
        self._heard = b""
        self._line = socket.socket(socket.AF_UNIX)

    def __enter__(self) -> Self:
        agent = self._image / "agent"
        # Of its own pid's death it hears from the kernel: nothing outlives the tests, however those end.
        self._process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", *self._argv(agent)])
        try:
            self._connect(agent)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._line.close()
        self._process.kill()
        self._process.wait()

    def _argv(self, agent: Path) -> list[str]:
        command, tty = _QEMU[self._arch]
        return [
            *(*command, *_COMMON),
            *("-kernel", str(self._image / "kernel"), "-initrd", str(self._image / "initramfs")),
            # mitigations=off: they cost much in software, and guard nothing here.
            *("-append", f"console={tty} root=/dev/vda rw quiet mitigations=off systemd.show_status=0 panic=-1"),
            *("-drive", f"if=none,id=disk,file={self._image / 'disk'},format=raw,snapshot=on,cache=unsafe"),
            *("-device", "virtio-blk-pci,drive=disk"),
            *("-serial", f"file:{self._console}"),
            *("-chardev", f"socket,id=agent,path={agent},server=on,wait=off"),
        ]

    def _connect(self, agent: Path) -> None:
        while True:
            self._check_process()
            try:
                self._line.connect(str(agent))
            except (FileNotFoundError, ConnectionRefusedError):  # not there, or there and not listened to yet
                time.sleep(_POLL)
            else:
                break
        self._meet(_BOOT)

    def _meet(self, seconds: float) -> None:
        """Wait until the agent inside answers. What is said to one that does not listen is kept or lost, as it happens."""
        deadline = time.monotonic() + seconds
        self._line.settimeout(1)
        while True:
            try:
                self._ask("guest-sync", id=next(self._ids))
            except TimeoutError:
                if time.monotonic() > deadline:
                    raise AssertionError(
                        f"After {seconds:g} s the machine does not answer.\n{self.console()}"
                    ) from None
            else:
                self._line.settimeout(60)
                return

    def _check_process(self) -> None:
        if (status := self._process.poll()) is not None:
            raise AssertionError(f"qemu ended with status {status}.\n{self.console()}")

    def console(self) -> str:
        """The end of what the kernel and systemd said on the console."""
        return self._console.read_text(errors="replace")[-4000:] if self._console.exists() else ""

    def _ask(self, execute: str, **arguments: Any) -> Any:
        message = json.dumps({"execute": execute, "arguments": arguments}).encode() + b"\n"
        try:
            self._line.sendall(message)
            while True:
                answer = json.loads(self._hear())
                if "error" in answer:
                    raise AssertionError(f"{execute}: {answer['error']}")
                # Late answers to earlier askings may be on their way.
                if execute != "guest-sync" or answer["return"] == arguments["id"]:
                    return answer["return"]
        except ConnectionError:
            self._process.wait(10)
            self._check_process()
            raise

    def _hear(self) -> bytes:
        while b"\n" not in self._heard:
            part = self._line.recv(1 << 20)
            if not part:
                raise ConnectionResetError
            self._heard += part
        line, _, self._heard = self._heard.partition(b"\n")
        return line

    def run(self, command: str, *, check: bool = True, timeout: float = 120, stdin: str = "") -> Done:
        """Run a shell command as root, and wait for its end; a status other than 0 fails the test, unless not ``check``."""
        pid = self._ask(
            "guest-exec",
            path="/bin/sh",
            arg=["-c", command],
            **{"capture-output": True, "input-data": base64.b64encode(stdin.encode()).decode()},
        )["pid"]
        deadline = time.monotonic() + timeout
        while not (state := self._ask("guest-exec-status", pid=pid))["exited"]:
            if time.monotonic() > deadline:
                raise AssertionError(f"{command} took longer than {timeout:g} s.")
            time.sleep(_POLL)
        status = state.get("exitcode", 128 + state.get("signal", 0))
        out, err = (base64.b64decode(state.get(name, "")).decode(errors="replace") for name in ("out-data", "err-data"))
        if check and status:
            raise AssertionError(f"{command} ended with status {status}:\n{out}{err}")
        return Done(status, out, err)

    def suspend(self) -> None:
        """Have it sleep and wake up, as far as an emulated machine can: its programs and devices do, its clocks do not.

        For qemu 7.2 without KVM wakes some machines to a kernel panic (suspended to memory), and others never (to idle).
        Meanwhile nothing is said to the agent: its port sleeps too, and would lose it.
        """
        self.run("echo devices >/sys/power/pm_test; echo 7 >/proc/sys/kernel/printk")
        before = len(self._console.read_bytes())
        self.run("systemd-run --on-active=1 systemctl suspend")
        deadline = time.monotonic() + 60
        while b"PM: suspend exit" not in self._console.read_bytes()[before:]:
            self._check_process()
            assert time.monotonic() < deadline, f"The machine did not sleep and wake up.\n{self.console()}"
            time.sleep(_POLL)
        self._meet(60)
