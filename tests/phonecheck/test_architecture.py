"""The arrows of docs/architecture.md, read from the imports themselves, and what a start of the command may import."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

AGENT = Path(__file__).parents[2] / "agent"
FOUNDATION = {"phonecheck", "errors", "model", "redact", "config", "deadline", "aside"}
MAY_IMPORT = {
    "aside": set(),
    "errors": set(),
    "redact": set(),
    "model": {"errors", "redact"},
    "deadline": {"errors"},
    "config": {"errors", "model", "redact"},
    "credentials": {"errors", "redact"},
    "document": FOUNDATION | {"doctor"},
    # The flow knows the order of the steps and nothing of how a step is done.
    "verify": FOUNDATION,
    # Adapters never import each other: what one needs of another is handed in.
    "modem": FOUNDATION,
    "link": FOUNDATION,
    "chain": FOUNDATION,
    "appserver": FOUNDATION,
    # One run's hold on modem and link, and the process that lets go in its place.
    "session": FOUNDATION | {"credentials", "aftermath", "modem", "link"},
    "aftermath": FOUNDATION | {"modem", "link"},
    "exchange": FOUNDATION | {"credentials", "session", "link", "chain", "appserver"},
    "wiring": FOUNDATION | {"exchange", "credentials", "verify", "session", "modem", "link", "chain", "appserver"},
    # The unattended device. Of checks and reports it knows how to have them made, in processes of their own.
    "service": FOUNDATION | {"document", "modem"},
    # The doctor asks its questions of ports; the eyes answer them, with every adapter there is.
    "doctor": FOUNDATION,
    "eyes": FOUNDATION
    | {"doctor", "credentials", "session", "exchange", "modem", "link", "chain", "appserver", "service", "document"},
    # A report knows documents, not where they come from.
    "report": FOUNDATION | {"document"},
    "cli": FOUNDATION | {"verify", "wiring", "document", "service", "doctor", "eyes", "report", "modem"},
}
ONLY_IN = {
    "pydbus": {"phonecheck/modem/bus.py", "phonecheck/service/dbus.py"},
    "gi": {
        "phonecheck/modem/bus.py",
        "phonecheck/service/dbus.py",
        "phonecheck/service/lean.py",
        "phonecheck/service/mainloop.py",
    },
    "sqlite3": {"phonecheck/service"},
    "httpcore": {"phonecheck/chain/backend.py", "phonecheck/chain/run.py", "phonecheck/chain/transport.py"},
    "click": {"phonecheck/cli"},
    "pyroute2": {"phonecheck/link/routes.py", "phonecheck/link/changes.py"},
}


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            # `from phonecheck import redact` imports the module phonecheck.redact.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(name: str) -> str:
    """The part of the agent that a dotted name belongs to: `phonecheck.link.bind.x` to `link`."""
    part = name.split(".")[1] if "." in name else "phonecheck"
    return part if part in MAY_IMPORT else "phonecheck"


FILES = sorted(file for file in (AGENT / "phonecheck").rglob("*.py") if file.name != "__main__.py")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(AGENT)))
def test_every_arrow_points_the_right_way(file: Path) -> None:
    place = file.relative_to(AGENT / "phonecheck")
    part = place.parts[0].removesuffix(".py")
    for name in imports(file):
        top = name.split(".")[0]
        assert top not in ("phonecheck_server", "phonecheck_sandbox"), f"the agent imports {name}"
        if top == "phonecheck" and part != "__init__":
            target = part_of(name)
            assert target == part or target in MAY_IMPORT[part], f"{part} imports {name}"
        for module, homes in ONLY_IN.items():
            if top == module:
                home = str(file.relative_to(AGENT))
                assert any(home == h or home.startswith(h + "/") for h in homes), f"{home} imports {name}"


def test_every_part_is_drawn() -> None:
    parts = {file.relative_to(AGENT / "phonecheck").parts[0].removesuffix(".py") for file in FILES} - {"__init__"}
    assert parts == set(MAY_IMPORT)


def loaded_by(*arguments: str) -> set[str]:
    """The modules that a command line has imported by its end, in a process of its own."""
    code = (
        "import sys, json, contextlib, io\n"
        "from phonecheck.cli.main import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):\n"
        f"    main({list(arguments)!r})\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(done.stdout.splitlines()[-1]))


HEAVY = {"gi", "pydbus", "httpx", "httpcore", "dns", "pyroute2", "ssl", "asyncio"}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["verify", "--help"], ["modem", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    assert not loaded_by(*arguments) & HEAVY


def test_the_check_can_fail() -> None:
    # No bus there: the command fails early, but it has imported what speaks to it.
    assert "phonecheck.modem.manager" in loaded_by("modem", "list")


def test_no_module_depends_on_which_is_imported_first() -> None:
    """An import circle shows only when the wrong module comes first."""
    names = [".".join(file.relative_to(AGENT).with_suffix("").parts).removesuffix(".__init__") for file in FILES]
    code = (
        "import importlib, sys\n"
        f"for name in {names!r}:\n"
        "    for loaded in [m for m in sys.modules if m.split('.')[0] == 'phonecheck']:\n"
        "        del sys.modules[loaded]\n"
        "    importlib.import_module(name)\n"
        "assert 'gi' not in sys.modules and 'pyroute2' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
