"""Real processes of every bad habit, and a loop that none of them may hold up."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from phonecheck.service.children import KILL_SECONDS, SETTLE_SECONDS, Child, Children, sealed
from phonecheck.service.model import Finished
from select_loop import SelectLoop

ENV = {"PATH": os.environ["PATH"]}


@pytest.fixture
def loop() -> Iterator[SelectLoop]:
    made = SelectLoop()
    yield made
    assert made.idle
    made.close()


@pytest.fixture
def children(loop: SelectLoop) -> Iterator[Children]:
    made = Children(loop)
    yield made
    for pid in (*made._orphans.pids, *(child.pid for child in made._running)):  # of a test that failed
        os.kill(pid, signal.SIGKILL)
    loop.run(lambda: not made._orphans.pids and not made._running)
    ctypes.CDLL(None).prctl(36, 0, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: the orphans of other tests are none of ours


class Run:
    """Children of a test, each a script of Python's."""

    def __init__(self, loop: SelectLoop, children: Children) -> None:
        self.loop, self.children = loop, children
        self.ends: list[Finished] = []
        self.pids: list[int] = []

    def start(self, script: str, **options: Any) -> Child:
        return self.start_program([sys.executable, "-S", "-c", script], **options)

    def start_program(self, argv: list[str], **options: Any) -> Child:
        child = self.children.start(argv, **({"env": ENV, "seconds": 60.0, "done": self.ends.append} | options))
        self.pids.append(child.pid)
        return child

    def __call__(self, script: str, **options: Any) -> Finished:
        self.start(script, **options)
        return self.end()

    def end(self) -> Finished:
        self.loop.run(lambda: self.ends)
        self.settle()
        assert len(self.ends) == 1
        return self.ends[0]

    def settle(self) -> None:
        settled: list[bool] = []
        self.children.settle(lambda: settled.append(True))
        self.loop.run(lambda: settled)


@pytest.fixture
def run(loop: SelectLoop, children: Children) -> Run:
    return Run(loop, children)


@pytest.fixture
def ready(tmp_path: Path) -> Callable[[], bool]:
    """Whether a script has done `ready()`."""
    return (tmp_path / "ready").exists


@pytest.fixture
def says_ready(tmp_path: Path) -> str:
    return f"import os, signal, sys, time; ready = lambda: open({str(tmp_path / 'ready')!r}, 'x')\n"


def test_it_ends_well(run):
    finished = run("import sys; print('answer'); print('log', file=sys.stderr); sys.exit(3)")
    assert finished == Finished(status=3, stdout=b"answer\n", stderr=b"log\n")


def test_it_gets_its_input_its_environment_its_descriptors_and_nothing_else(run):
    fd = sealed(b"settings", "test")
    script = (
        "import os, sys\n"
        f"print(sys.stdin.read(), dict(os.environ), open('/proc/self/fd/{fd}').read(), os.getsid(0) == os.getpid(),\n"
        "      [fd for fd in map(int, os.listdir('/proc/self/fd')) if fd > 2 and os.path.exists(f'/proc/self/fd/{fd}')])"
    )
    finished = run(script, stdin=b"+447700900123", env={"LC_ALL": "C.UTF-8"}, fds=(fd,))
    os.close(fd)
    assert finished.stdout.decode().strip() == f"+447700900123 {{'LC_ALL': 'C.UTF-8'}} settings True [{fd}]"


def test_without_input_there_is_an_end_of_it(run):
    assert run("import sys; print(repr(sys.stdin.read()))").stdout == b"''\n"


def test_what_nobody_reads_holds_nobody_up(run):
    assert run("pass", stdin=b"x" * 4_000_000) == Finished(status=0)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_a_signal_that_is_not_ours(run, number):
    finished = run(f"import os; print('half an ans', flush=True); os.kill(os.getpid(), {int(number)})")
    assert finished == Finished(signal=number, stdout=b"half an ans\n")


def test_ten_megabytes_are_cut_and_ended(run):
    finished = run("while True: print('x' * 10_000_000)", cap=1000)
    assert (finished.overflow, finished.stdout) == (True, b"x" * 1000)
    assert (finished.signal, finished.hung, finished.cancelled) == (signal.SIGTERM, False, False)


def test_as_much_as_is_allowed_is_not_too_much(run):
    finished = run("import sys; sys.stdout.write('x' * 200_000)", cap=200_000)
    assert (finished.status, len(finished.stdout), finished.overflow) == (0, 200_000, False)


def test_output_that_nobody_wants_is_never_too_much(run):
    assert run("print('x' * 10_000_000)", cap=0) == Finished(status=0)


def test_of_a_long_log_the_end_is_kept(run):
    finished = run("import sys\nfor n in range(100_000): print(n, file=sys.stderr)")
    assert len(finished.stderr) == 4096
    assert finished.stderr.endswith(b"99998\n99999\n")


def test_one_that_hangs_is_ended_when_its_time_is_up(run, loop, ready, says_ready):
    run.start(says_ready + "ready(); time.sleep(60)", seconds=30)
    loop.run(ready)
    loop.pass_time(31)
    assert run.end() == Finished(signal=signal.SIGTERM, hung=True)


def test_one_that_ignores_sigterm_is_killed(run, loop, children, ready, says_ready):
    child = run.start(says_ready + "signal.signal(signal.SIGTERM, signal.SIG_IGN); ready(); time.sleep(60)")
    loop.run(ready)
    child.cancel()
    child.cancel()
    loop.turn()
    assert not run.ends
    loop.pass_time(KILL_SECONDS + 1)
    assert run.end() == Finished(signal=signal.SIGKILL, cancelled=True)
    child.cancel()
    assert not children.overdue


def test_one_that_takes_its_time_to_end_has_its_last_word(run, loop, ready, says_ready):
    script = says_ready + "signal.signal(15, lambda *_: (print('last'), sys.exit(7))); ready(); time.sleep(60)"
    child = run.start(script)
    loop.run(ready)
    child.cancel()
    assert run.end() == Finished(status=7, stdout=b"last\n", cancelled=True)


def test_one_that_was_killed_and_lives_is_told(loop, children, run, ready, says_ready):
    # What a kernel does to a process in a call that cannot be interrupted: here nobody looks whether it ended.
    run.start(says_ready + "ready(); time.sleep(60)", seconds=30)
    loop.run(ready)
    child = next(iter(children._running))
    pidfd = child._watches[child._pidfd]
    pidfd.live = False
    for seconds in (31, KILL_SECONDS + 1, 5):
        loop.pass_time(seconds)
        loop.turn(0)
        assert not children.overdue
    loop.pass_time(6)
    loop.turn(0)
    assert children.overdue
    pidfd.live = True
    assert run.end().hung
    assert not children.overdue


def test_its_own_children_end_with_it_where_they_are_of_its_group(run, loop, ready, says_ready, tmp_path):
    script = says_ready + "signal.signal(15, signal.SIG_DFL)\nos.fork() or ready()\ntime.sleep(60)"
    child = run.start(script)
    loop.run(ready)
    child.cancel()
    run.end()  # settles: the other one is gone as well


def test_a_closed_stdout_is_no_end(run, loop, ready, says_ready):
    script = says_ready + "print('{}', flush=True); os.close(1); os.close(2); ready(); time.sleep(60)"
    child = run.start(script)
    loop.run(ready)
    for _ in range(5):
        loop.turn(0.01)
    assert not run.ends
    child.cancel()
    assert run.end() == Finished(signal=signal.SIGTERM, stdout=b"{}\n", cancelled=True)


GRANDCHILD = (
    "if os.fork() == 0:\n    os.setsid()\n    ready()\n    time.sleep(60)\n    os._exit(0)\n"
    f"while not os.path.exists({'{path!r}'}): time.sleep(0.01)\n"
)


def test_a_grandchild_that_holds_the_pipe_holds_nobody_up(run, loop, children, ready, says_ready, tmp_path):
    (path,) = (str(tmp_path / "ready"),)
    run.start(says_ready + GRANDCHILD.format(path=path) + "print(os.getpid(), 'x' * 50_000)")
    loop.run(lambda: run.ends)
    assert (run.ends[0].status, len(run.ends[0].stdout)) == (0, len(str(run.pids[0])) + 50_002)
    loop.turn(0)
    (orphan,) = children._orphans.pids
    assert Path(f"/proc/{orphan}/stat").read_text().rpartition(")")[2].split()[1] == str(os.getpid())
    os.kill(orphan, signal.SIGKILL)
    run.settle()
    assert not Path(f"/proc/{orphan}").exists()


def test_what_it_leaves_behind_is_waited_for(run, loop, ready, says_ready, tmp_path):
    """As a check leaves the process that takes down its bearer."""
    over = tmp_path / "over"
    child = run.start(
        says_ready
        + f"if os.fork() == 0:\n    ready()\n    sys.stdin.read()\n    while not os.path.exists({str(over)!r}): "
        "time.sleep(0.01)\n    os._exit(0)\n"
    )
    other = run.start("import time; time.sleep(60)")
    loop.run(lambda: run.ends)
    gone: list[bool] = []
    child.left(lambda: gone.append(True))
    loop.run(ready)
    for _ in range(3):
        loop.turn(0.01)
    assert not gone
    over.touch()
    loop.run(lambda: gone)  # although the other one runs
    other.cancel()
    loop.run(lambda: len(run.ends) == 2)
    run.settle()


def test_nobody_is_waited_for_without_end(run, loop, children, ready, says_ready):
    child = run.start(says_ready + "if os.fork() == 0: time.sleep(60)")
    loop.run(lambda: run.ends)
    told: list[str] = []
    child.left(lambda: told.append("left"))
    children.settle(lambda: told.append("settled"))
    loop.turn(0)
    loop.turn(0)
    assert not told
    loop.pass_time(SETTLE_SECONDS + 1)
    loop.run(lambda: told == ["left", "settled"])
    (orphan,) = children._orphans.pids
    os.kill(orphan, signal.SIGKILL)
    run.settle()


def test_who_made_himself_independent_is_not_waited_for_with_the_child(run, loop, children, says_ready, tmp_path):
    child = run.start(says_ready + GRANDCHILD.format(path=str(tmp_path / "ready")))
    loop.run(lambda: run.ends)
    gone: list[bool] = []
    child.left(lambda: gone.append(True))
    loop.run(lambda: gone)
    (orphan,) = children._orphans.pids
    os.kill(orphan, signal.SIGKILL)
    run.settle()


def test_no_children_are_settled_at_once(run):
    run.settle()


def test_two_at_once_do_not_meet(run, loop):
    run.start("print('one')")
    run.start("print('two')")
    loop.run(lambda: len(run.ends) == 2)
    assert {end.stdout for end in run.ends} == {b"one\n", b"two\n"}
    run.settle()


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["/nowhere/phonecheck"], os.strerror(errno.ENOENT)),
        (["/"], os.strerror(errno.EACCES)),
        ([sys.executable, "a\0b"], "an argument or a variable is no text"),
    ],
)
def test_what_cannot_be_started(run, loop, argv, reason):
    child = run.start_program(argv, stdin=b"x")
    assert not run.ends, "told only from the loop"
    child.cancel()
    assert run.end() == Finished(failed=reason)


def descriptors() -> set[int]:
    return {int(entry.name) for entry in Path("/proc/self/fd").iterdir()}


def test_no_more_processes(run):
    """Of an ordinary user, for root has no limit: RLIMIT_NPROC, as TasksMax= of a unit, refuses the fork with EAGAIN."""
    script = (
        "import os, resource, sys\n"
        "from phonecheck.service.children import Children\n"
        "from select_loop import SelectLoop\n"
        "loop = SelectLoop(); ends = []\n"
        "if os.geteuid() == 0: os.setgroups([]); os.setresgid(64321, 64321, 64321); os.setresuid(64321, 64321, 64321)\n"
        "resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))\n"
        "Children(loop).start(['/bin/true'], stdin=b'x', env={}, seconds=9, done=ends.append)\n"
        "loop.run(lambda: ends)\n"
        "print(ends[0].failed, loop.idle)"
    )
    path = os.pathsep.join(part for part in sys.path if part)
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=False,
        env=ENV | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stdout == f"{os.strerror(errno.EAGAIN)} True\n", done.stderr


def test_no_more_descriptors(run, loop):
    before = descriptors()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(before)
    for spare in range(1, 12):
        ends: list[Finished] = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + spare, hard))
        try:
            run.children.start(["/bin/true"], stdin=b"x", env={}, seconds=9, done=ends.append)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        loop.run(lambda ends=ends: ends)
        assert ends[0] in (Finished(failed=os.strerror(errno.EMFILE)), Finished(status=0))
    assert ends[0] == Finished(status=0)
    run.settle()
    assert descriptors() == before


def test_nothing_is_left_of_a_hundred(run, loop):
    before = len(descriptors())
    for _ in range(100):
        run.start_program(["/bin/sh", "-c", "(exec sleep 0.01) & echo done"], stdin=b"x")
        loop.run(lambda: run.ends)
        assert run.ends.pop().stdout == b"done\n"
    run.settle()
    assert len(descriptors()) == before


def test_a_sealed_file_stays_as_it_is():
    fd = sealed(b"[server]\n", "test")
    with os.fdopen(fd, "r+b", buffering=0) as file:
        assert file.read() == b"[server]\n"
        with pytest.raises(PermissionError):
            file.write(b"x")
        with pytest.raises(PermissionError):
            file.truncate(0)
