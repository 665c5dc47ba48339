"""Every verb's help: examples that can be typed, and the nearest right word for a wrong one."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from phonecheck.cli.main import cli, main
from phonecheck.cli.verbs import Verb


def verbs(command: click.Command = cli, words: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    yield " ".join(words) or "phonecheck", command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from verbs(below, (*words, name))


VERBS = dict(verbs())


def parse(line: str) -> None:
    """Read a command line as the shell and click would, and do nothing."""
    words = shlex.split(re.split(r" [|<>]", line)[0].removeprefix("sudo "))
    assert words.pop(0) == "phonecheck"
    command: click.Command = cli
    while isinstance(command, click.Group):
        below = command.get_command(click.Context(command), words.pop(0))
        assert below is not None
        command = below
    command.make_context(command.name, words)


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_has_examples_that_can_be_typed(name: str) -> None:
    command = VERBS[name]
    assert isinstance(command, Verb), f"give {name} cls=Verb and examples (phonecheck/cli/verbs.py)"
    assert 2 <= len(command.examples) <= 4
    for line, what in command.examples:
        assert line.removeprefix("sudo ").startswith("phonecheck" if name == "phonecheck" else f"phonecheck {name}")
        assert len(line) <= 88
        assert what.endswith((".", "?"))
        parse(line)


def test_an_example_that_cannot_be_typed_is_found() -> None:
    with pytest.raises(click.UsageError):
        parse("phonecheck verify --nonsense")


@pytest.mark.parametrize("columns", ["20", "80", "200"])
def test_an_example_is_one_line_of_the_help(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert main(["open", "--help"]) == 0
    out = capsys.readouterr().out
    assert "\nExamples:\n  phonecheck open '" in out
    assert "  phonecheck open - < url.txt\n" in out


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("verfy", "verify"),
        ("modem lst", "list"),
        ("link claenup", "cleanup"),
        ("verify --jsn", "--json"),
        ("open --intreface wwan0 https://a.example/", "--interface"),
        ("explain not-conected", "not-connected"),
    ],
)
def test_a_word_that_is_nearly_right_is_answered_with_the_right_one(
    line: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 2
    cause, cure, code = capsys.readouterr().err.splitlines()
    assert any(word in cause for word in line.split())
    assert cure.startswith(f"  cure  Did you mean {meant}")
    assert cure.endswith("--help")
    assert code == "  code  usage (exit status 2)"


@pytest.mark.parametrize("line", ["+447700900123", "0000", "modem +447700900123", "explain +447700900123"])
def test_what_is_nothing_like_a_word_has_only_the_help_named(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 2
    err = capsys.readouterr().err
    assert "Did you mean" not in err
    assert "447700900123" not in err
