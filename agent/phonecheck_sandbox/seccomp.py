"""``python -m phonecheck_sandbox.seccomp COMMAND…``: COMMAND, whose kernel does not let it bind a socket to a device.

As it is for an ordinary process before Linux 5.7, and in containers whose seccomp profile is stricter than the kernel:
setsockopt(SOL_SOCKET, SO_BINDTODEVICE) is EPERM. A filter of the kernel's own (seccomp(2)) says so, to COMMAND and to all
that it starts, root included; nothing else is refused.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys

from phonecheck_sandbox.kernel import filter_system_calls

# AUDIT_ARCH_… (linux/audit.h) with the number of setsockopt there. All of them, as one process may start programs of
# another: 32-bit ones run under many an arm64 kernel.
_SETSOCKOPT = (
    (0xC000_003E, 54),  # x86_64
    (0x4000_0003, 366),  # i386
    (0xC000_00B7, 208),  # aarch64
    (0x4000_0028, 294),  # arm
    (0xC000_00F3, 208),  # riscv64
)
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data, linux/seccomp.h
_LEVEL, _OPTION = _ARGUMENTS + 8, _ARGUMENTS + 16
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K of linux/bpf_common.h
_ALLOW, _ERRNO = 0x7FFF_0000, 0x0005_0000


def refusing_to_bind() -> bytes:
    """The filter, as an array of struct sock_filter."""
    judged = [  # reached by setsockopt alone; the lower halves of its arguments, all these machines being little-endian
        (_LOAD, 0, 0, _LEVEL),
        (_JUMP_IF_EQUAL, 0, 3, socket.SOL_SOCKET),
        (_LOAD, 0, 0, _OPTION),
        (_JUMP_IF_EQUAL, 0, 1, socket.SO_BINDTODEVICE),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    program = [(_LOAD, 0, 0, _ARCHITECTURE)]
    for left, (architecture, number) in enumerate(reversed(_SETSOCKOPT)):
        # Jumps are counted from the next instruction: over what is left of these threes, and a return.
        program[1:1] = [
            (_JUMP_IF_EQUAL, 0, 2, architecture),
            (_LOAD, 0, 0, _NUMBER),
            (_JUMP_IF_EQUAL, 3 * left + 1, 3 * left, number),
        ]
    program.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program + judged)


def main(command: list[str]) -> None:
    """Put the filter on this process, for good, and become the command."""
    filter_system_calls(refusing_to_bind())
    try:
        os.execvp(command[0], command)  # noqa: S606  the user's own command, without a shell
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(127 if error.errno == errno.ENOENT else 126)  # as a shell says it


if __name__ == "__main__":
    main(sys.argv[1:])
