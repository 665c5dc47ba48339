from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from phonecheck.service.hooks import HookRunner, hooks_in
from phonecheck.service.model import Finished
from phonecheck.service.ports import Cancel
from select_loop import SelectLoop


@dataclass
class Program:
    argv: Sequence[str]
    env: Mapping[str, str]
    seconds: float
    done: Callable[[Finished], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class FakeChildren:
    loop: SelectLoop
    started: list[Program] = field(default_factory=list)

    def start(
        self, argv: Sequence[str], *, env: Mapping[str, str], seconds: float, cap: int, done: Callable[[Finished], None]
    ) -> Cancel:
        assert cap == 0
        self.started.append(Program(argv, env, seconds, done))
        return self.started[-1]

    @property
    def last(self) -> Program:
        return self.started[-1]


@pytest.fixture
def children() -> Iterator[FakeChildren]:
    loop = SelectLoop()
    yield FakeChildren(loop)
    loop.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "hooks.d"
    made.mkdir(mode=0o755)
    return made


@pytest.fixture
def hook(directory: Path) -> Callable[..., Path]:
    def make(name: str, mode: int = 0o755) -> Path:
        file = directory / name
        file.write_text("#!/bin/sh\n")
        file.chmod(mode)
        return file

    return make


@pytest.fixture
def runner(children: FakeChildren, directory: Path) -> HookRunner:
    return HookRunner(children, lambda: directory)


def found(directory: Path) -> tuple[list[str], dict[str, str]]:
    refused: dict[str, str] = {}
    names = sorted(hook.name for hook in hooks_in(directory, refused.__setitem__))
    return names, {Path(name).name: why for name, why in refused.items()}


def test_one_after_the_other_by_name_with_the_facts_and_nothing_of_ours(runner, children, hook, monkeypatch):
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    second, first = hook("20-two"), hook("10-one")
    runner.run("check-completed", {"PHONECHECK_MATCH": "yes"})
    assert len(children.started) == 1
    children.last.done(Finished(status=0))
    assert [list(program.argv) for program in children.started] == [
        [str(first), "check-completed"],
        [str(second), "check-completed"],
    ]
    assert children.last.env.keys() == {"PATH", "LANG", "PHONECHECK_MATCH"}
    assert (children.last.env["LANG"], children.last.seconds) == ("de_DE.UTF-8", 30)


def test_events_keep_their_order_and_see_what_is_there_then(runner, children, hook):
    hook("one")
    runner.run("a", {})
    runner.run("b", {})
    hook("two")
    for _ in range(3):
        children.last.done(Finished(status=0))
    assert [(Path(p.argv[0]).name, p.argv[1]) for p in children.started] == [("one", "a"), ("one", "b"), ("two", "b")]


def test_facts_are_those_of_the_moment(runner, children, hook):
    hook("one")
    runner.run("a", {})
    facts = {"PHONECHECK_ID": "1"}
    runner.run("b", facts)
    facts["PHONECHECK_ID"] = "2"
    children.last.done(Finished(status=0))
    assert children.last.env["PHONECHECK_ID"] == "1"


def test_too_many_events_lose_the_oldest(runner, children, hook, caplog):
    hook("one")
    for n in range(40):
        runner.run(str(n), {})
    for _ in range(40):
        if len(children.started) == 33:
            break
        children.last.done(Finished(status=0))
    assert [p.argv[1] for p in children.started] == ["0", *(str(n) for n in range(8, 40))]
    assert "too slow" in caplog.text


@pytest.mark.parametrize(
    ("finished", "said"),
    [
        (Finished(status=3, stderr=b"first\nlast\n"), "ended with exit status 3. It said: last"),
        (Finished(signal=signal.SIGTERM, hung=True), "was ended after 30 s"),
        (Finished(signal=signal.SIGSEGV), "was ended by signal 11"),
        (Finished(failed="Exec format error"), "could not be run: Exec format error"),
    ],
)
def test_one_that_fails_is_told_and_holds_up_no_other(runner, children, hook, caplog, finished, said):
    hook("10-bad")
    hook("20-good")
    runner.run("check-completed", {})
    children.last.done(finished)
    assert f"The hook 10-bad {said}" in caplog.text
    assert Path(children.last.argv[0]).name == "20-good"
    caplog.clear()
    children.last.done(Finished(status=0, stderr=b"chatter"))
    assert not caplog.text


def test_names_that_are_no_hooks(directory, hook):
    for name in (".hidden", "x~", "x.bak", "x.dpkg-old", "x.dpkg-dist", "a b", "ü", "x#"):
        hook(name)
    (directory / "directory").mkdir()
    hook("10-led.sh")
    hook("_A.b-c9")
    assert found(directory) == (["10-led.sh", "_A.b-c9"], {})


def test_what_others_may_write_to_is_left_out(directory, hook):
    hook("group", 0o775)
    hook("world", 0o757)
    hook("plain", 0o644)
    hook("good")
    (directory / "link").symlink_to(directory / "good")
    os.mkfifo(directory / "fifo", 0o755)
    assert found(directory) == (
        ["good"],
        {
            "group": "may be written to by others",
            "world": "may be written to by others",
            "plain": "is not executable",
            "link": "is not a regular file",
            "fifo": "is not a regular file",
        },
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_what_belongs_to_others_is_left_out(directory, hook):
    os.chown(hook("foreign"), 64321, 0)
    assert found(directory) == ([], {"foreign": "belongs neither to root nor to the service's user"})
    os.chown(directory, 64321, 0)
    assert found(directory) == ([], {"hooks.d": "belongs neither to root nor to the service's user"})


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775])
def test_nothing_is_run_of_a_directory_that_others_may_write_to(runner, children, directory, hook, caplog, mode):
    hook("good")
    directory.chmod(mode)
    runner.run("check-completed", {})
    runner.run("check-completed", {})
    assert not children.started
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (
        logging.WARNING,
        f"Hooks: {directory} may be written to by others.",
    )
    directory.chmod(0o755)
    runner.run("check-completed", {})
    assert children.started


def test_a_wrong_one_is_told_once_and_again_when_it_comes_back(runner, children, hook, caplog):
    hook("good")
    bad = hook("bad", 0o777)
    for mode in (0o777, 0o777, 0o755, 0o777):
        bad.chmod(mode)
        before = len(children.started)
        runner.run("a", {})
        while len(children.started) > before:
            before = len(children.started)
            children.last.done(Finished(status=0))
    assert caplog.text.count("may be written to by others") == 2


def test_no_directory_is_no_hooks(children, tmp_path, caplog):
    HookRunner(children, lambda: tmp_path / "nowhere").run("a", {})
    file = tmp_path / "file"
    file.touch(0o755)
    HookRunner(children, lambda: file).run("a", {})
    assert not children.started
    assert [record.getMessage() for record in caplog.records] == [f"Hooks: {file} cannot be read: Not a directory."]


def settled(runner: HookRunner) -> list[Any]:
    told: list[Any] = []
    runner.settle(lambda: told.append(True))
    return told


def test_without_a_running_one_it_is_settled_in_the_next_turn(runner, children):
    told = settled(runner)
    assert not told
    children.loop.turn(0)
    assert told


def test_the_end_waits_for_the_one_that_runs_and_starts_no_other(runner, children, hook):
    hook("one")
    hook("two")
    runner.run("a", {})
    runner.run("b", {})
    told = settled(runner)
    runner.run("c", {})
    children.loop.turn(0)
    assert not told
    children.last.done(Finished(status=0))
    assert (told, len(children.started)) == ([True], 1)


def test_the_end_does_not_wait_for_long(runner, children, hook):
    hook("one")
    runner.run("a", {})
    told = settled(runner)
    children.loop.turn(0)
    assert not children.last.cancelled
    children.loop.pass_time(6)
    children.loop.turn(0)
    assert children.last.cancelled
    children.last.done(Finished(signal=15, cancelled=True))
    assert told
