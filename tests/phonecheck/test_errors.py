from __future__ import annotations

import re

import pytest

from phonecheck import errors
from phonecheck.errors import (
    AgentError,
    BearerError,
    CheckError,
    ConfigError,
    DeadlineExceeded,
    ExitStatus,
    LinkError,
    ModemError,
    ServerError,
    SimError,
)

CLASSES = [AgentError, ConfigError, ModemError, SimError, BearerError, LinkError, CheckError, ServerError]
CODES = [(kind, code) for kind in CLASSES for code in kind.cures]


def drawn() -> dict[str, set[str]]:
    """The codes of each class in the tree of the module's docstring, with their asterisks."""
    tree: dict[str, set[str]] = {}
    name = "the sentence above the tree"
    for line in errors.__doc__.split("``*``")[0].splitlines():
        if found := re.search(r"([A-Z]\w+) +[0-9-]+ ", line):
            name = found[1]
        codes = line.split("   (")[0]
        tree.setdefault(name, set()).update(re.findall(r"[a-z]+(?:-[a-z]+)+\*?", codes))
    return tree


@pytest.mark.parametrize("kind", CLASSES)
def test_the_tree_is_drawn_as_it_is(kind):
    codes = {code + "*" * kind(code, "x").retryable for code in kind.cures}
    if kind is CheckError:
        codes -= {"deadline-exceeded*"}  # drawn where it is raised
    assert drawn()[kind.__name__] == codes


@pytest.mark.parametrize(("kind", "code"), CODES)
def test_every_code_has_a_sentence_of_cure(kind, code):
    error = kind(code, "What happened.")
    assert error.hint[0].isupper()
    assert error.hint.endswith(".")
    assert (str(error), error.message, error.code) == ("What happened.", "What happened.", code)


def test_no_two_classes_share_a_code():
    codes = [code for _, code in CODES]
    assert len(codes) == len(set(codes))


def test_a_code_of_another_class_is_a_bug():
    with pytest.raises(ValueError, match="no code"):
        ModemError("sim-missing", "x")


def test_a_better_cure_replaces_the_codes_own():
    assert ModemError("modem-not-found", "x", hint="Plug it in.").hint == "Plug it in."
    assert ModemError("modem-not-found", "x", hint="").hint == ""


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (AgentError("internal-error", "x"), 70),
        (ConfigError("bad-setting", "x"), 3),
        (ModemError("modem-not-found", "x"), 4),
        (SimError("sim-missing", "x"), 4),
        (BearerError("not-connected", "x"), 4),
        (LinkError("no-route", "x"), 5),
        (CheckError("hop-timeout", "x"), 6),
        (ServerError("server-rejected", "x"), 7),
        (DeadlineExceeded("x"), 6),
        (DeadlineExceeded("x", exit_status=ExitStatus.LINK), 5),
    ],
)
def test_exit_statuses(error, status):
    assert error.exit_status == status


def test_a_deadlines_status_is_its_own():
    DeadlineExceeded("x", exit_status=ExitStatus.MODEM)
    assert DeadlineExceeded("y").exit_status is ExitStatus.CHECK
    assert DeadlineExceeded("y").retryable
