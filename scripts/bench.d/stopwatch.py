"""Runs a command as its child and writes "SECONDS MAXRSS-KIB STATUS" as the last line of stderr.

To be run by `python -I -S`: the kernel counts the memory of whoever starts a program into that program's peak (exec_mmap
keeps the old high-water mark), so the stopwatch must be smaller than anything it times, and imports next to nothing.
"""  # noqa: INP001  a script

import os
import sys
import time

began = time.perf_counter()
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(child, 0)
took = time.perf_counter() - began
os.write(2, f"\n{took:.6f} {usage.ru_maxrss} {os.waitstatus_to_exitcode(status)}\n".encode())
