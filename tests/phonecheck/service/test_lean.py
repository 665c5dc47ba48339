from __future__ import annotations

import subprocess
import sys

import pytest


def said(code: str) -> str:
    """What a fresh interpreter prints; it is to have nothing to complain of."""
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.strip()


SERVICE = """
import sys
from phonecheck.service import loop
main = loop.MainLoop()
api = loop.Api(None, main, None)
main.soon(main.quit)
main.run()
"""


@pytest.mark.parametrize("unwanted", ["asyncio", "ssl", "_ssl", "hashlib", "_hashlib", "httpx", "pyroute2", "dns"])
def test_the_service_goes_without_what_weighs(unwanted: str, loaded: set[str]):
    assert unwanted not in loaded


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    return set(said(f"{SERVICE}\nprint(*sys.modules)").split())


@pytest.mark.parametrize("first", ["", "import asyncio"])
def test_asyncio_itself_is_what_others_import_and_loops_of_both_run(first: str):
    code = f"""
{first}
{SERVICE}
import asyncio, asyncio.events, gi._ossighelper
assert sys.modules["asyncio"] is asyncio and asyncio.sleep.__module__ == "asyncio.tasks"
assert asyncio.run(asyncio.sleep(0, "slept")) == "slept"

async def nested():
    main.soon(main.quit)
    main._main.run()
    return "turned"

again = loop.MainLoop()
again.soon(again.quit)
again.run()
print(asyncio.run(nested()))
"""
    assert said(code) == "turned"


STAND_IN = """
import sys
from phonecheck.service import lean
sys.modules["asyncio"] = there = lean._Asyncio("asyncio")
"""


def test_it_knows_of_no_loop_before_anybody_imported_asyncio_and_of_the_running_one_after():
    code = f"""{STAND_IN}
before = there._get_running_loop(), hasattr(there.get_event_loop_policy(), "get_event_loop_for_context")
del sys.modules["asyncio"]
import asyncio

async def running():
    return there._get_running_loop() is asyncio.get_running_loop()

print(*before, asyncio.run(running()), there.get_event_loop_policy() is asyncio.get_event_loop_policy())
"""
    assert said(code) == "None False True True"


@pytest.mark.parametrize(
    "wanted",
    ["import asyncio; asyncio.sleep", "from asyncio import coroutines", "import asyncio.events; asyncio.events.Handle"],
)
def test_a_pygobject_that_wants_more_of_asyncio_gets_the_real_one(wanted: str):
    assert said(f"{STAND_IN}\n{wanted}\nprint(sys.modules['asyncio'] is not there)") == "True"


def test_glib_comes_with_the_real_asyncio_where_pygobject_wants_more_of_it():
    code = """
import sys
from phonecheck.service import lean

class Newer:
    def find_spec(self, name, path=None, target=None):
        if name == "gi.repository":
            from asyncio import Future
        return None

sys.meta_path.insert(0, Newer())
glib = lean.glib()
print(glib.MainLoop.__name__, "ssl" in sys.modules, isinstance(sys.modules["asyncio"], lean._Asyncio))
"""
    assert said(code) == "MainLoop True False"
