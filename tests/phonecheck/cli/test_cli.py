"""The command line as its user meets it, in processes of its own: words, streams, exit statuses."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest


def phonecheck(*arguments: str, env: dict[str, str] | None = None, stdin: str = "") -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if k not in ("PHONECHECK_CONFIG", "CREDENTIALS_DIRECTORY")}
    # No bus is there: what is tested here fails before, or says so.
    clean |= {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent/bus", **(env or {})}
    return subprocess.run(
        [sys.executable, "-m", "phonecheck", *arguments],
        capture_output=True,
        text=True,
        env=clean,
        input=stdin,
        timeout=60,
        check=False,
    )


def cause_cure_code(done: subprocess.CompletedProcess[str]) -> tuple[str, str, str]:
    lines = [line for line in done.stderr.splitlines() if line]
    assert "Traceback" not in done.stderr
    assert lines[-3].startswith("phonecheck: "), done.stderr
    assert lines[-2].startswith("  cure  ")
    assert lines[-1].startswith("  code  ")
    return lines[-3][12:], lines[-2][8:], lines[-1][8:]


def config(tmp_path: Path, text: str) -> str:
    file = tmp_path / "agent.toml"
    file.write_text(text)
    return str(file)


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (["verify", "0770090012"], 2, "usage"),
        (["verify", "+44 7700 900123"], 2, "usage"),
        (["verify", "--timeout", "0"], 2, "usage"),
        (["verfy"], 2, "usage"),
        (["verify"], 3, "bad-setting"),
        (["verify", "--server", "app.example"], 3, "bad-setting"),
        (["verify", "--server", "http://app.example"], 3, "bad-setting"),
        (["verify", "--server", "https://user@app.example"], 3, "bad-setting"),
        (["verify", "--server", "https://127.0.0.1:9", "--dns", "ns1"], 3, "bad-setting"),
        (["verify", "--config", "/nonexistent/agent.toml"], 3, "bad-setting"),
        (["verify", "--server", "https://127.0.0.1:9"], 4, "modem-manager-unavailable"),
        (["modem", "list"], 4, "modem-manager-unavailable"),
        (["modem", "show"], 4, "modem-manager-unavailable"),
        (["open", "ftp://api.platform.example/c"], 6, "bad-check-url"),
        (["open", "http://api.platform.example/c"], 6, "bad-check-url"),
        (["open", "https://user:pw@api.platform.example/c"], 6, "bad-check-url"),
        (["open", "https://"], 6, "bad-check-url"),
        (["open", "https://api.platform.example/c"], 4, "modem-manager-unavailable"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_bad_input_ends_in_cause_cure_and_code(arguments: list[str], status: int, code: str) -> None:
    done = phonecheck(*arguments)
    assert done.returncode == status
    cause, cure, line = cause_cure_code(done)
    assert cause.endswith(".")
    assert cure
    assert line.startswith(f"{code} (exit status {status}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[server\n", "is not TOML"),
        ("[server]\nulr = 'https://a'\n", "server.ulr"),
        ("[srever]\n", "[srever]"),
        ("[server]\nurl = 'app.example'\n", "no scheme"),
        ("[chain]\ntimeout = 'soon'\n", "chain.timeout"),
        ("[server]\nprotocol = 'v3'\n", "server.protocol"),
        ("[phone]\nnumber = '0123'\n", "phone.number"),
    ],
)
def test_a_bad_settings_file_names_its_key(tmp_path: Path, text: str, words: str) -> None:
    done = phonecheck("verify", "--config", config(tmp_path, text))
    assert done.returncode == 3
    assert words in cause_cure_code(done)[0]


def test_the_nearest_right_key_is_offered(tmp_path: Path) -> None:
    done = phonecheck("verify", env={"PHONECHECK_CONFIG": config(tmp_path, "[server]\nulr = 'https://a'\n")})
    assert "server.url" in cause_cure_code(done)[1]


def test_a_token_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret-token\n")
    token.chmod(0o644)
    text = f"[server]\nurl = 'https://app.example'\ntoken_file = '{token}'\n"
    done = phonecheck("verify", "447700900123", "--config", config(tmp_path, text))
    assert done.returncode == 3
    assert cause_cure_code(done)[2].startswith("unsafe-file-mode")
    assert "secret-token" not in done.stdout + done.stderr


def test_json_is_one_object_on_failures_too() -> None:
    done = phonecheck("verify", "447700900123", "--server", "https://127.0.0.1:9", "--json")
    answer = json.loads(done.stdout)
    assert done.returncode == 4
    assert (answer["schema"], answer["outcome"], answer["match"]) == (1, "inconclusive", None)
    assert answer["error"]["code"] == "modem-manager-unavailable"
    assert set(answer["error"]) == {"code", "message", "hint", "retryable", "retry_after", "exit_status"}
    assert answer["phone_number"] == "…0123"
    assert "447700900123" not in done.stdout + done.stderr


def test_the_number_can_come_from_standard_input() -> None:
    done = phonecheck("verify", "-", "--server", "https://127.0.0.1:9", "--json", stdin="+447700900123\n")
    assert json.loads(done.stdout)["phone_number"] == "…0123"


def test_a_usage_error_prints_no_json() -> None:
    done = phonecheck("verify", "0123", "--json")
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_command(shell: str) -> None:
    done = phonecheck("completion", shell)
    assert done.returncode == 0
    assert "_PHONECHECK_COMPLETE" in done.stdout


def test_a_reader_that_leaves_is_no_error() -> None:
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{sys.executable} -m phonecheck --help | true"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_ctrl_c_leaves_at_once_with_130(tmp_path: Path) -> None:
    """In the middle of a D-Bus call, which holds up Python's own signal handling: a bus that accepts and says nothing."""
    import socket

    bus = socket.socket(socket.AF_UNIX)
    bus.bind(str(tmp_path / "bus"))
    bus.listen()
    child = subprocess.Popen(
        [sys.executable, "-m", "phonecheck", "modem", "list"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={tmp_path}/bus"},
    )
    try:
        connection, _ = bus.accept()
        child.send_signal(signal.SIGINT)
        _, stderr = child.communicate(timeout=2)
        connection.close()
    finally:
        child.kill()
        child.wait()
        bus.close()
    assert child.returncode == 130
    assert b"interrupted" in stderr
    assert b"Traceback" not in stderr


LEAVING = """
import os, sys, time
from phonecheck.cli.leaving import guarded

def work():
    print("at work", flush=True)
    time.sleep(60)

def last():
    time.sleep(0.1)
    os.write(int(sys.argv[1]), b"seen off")

guarded(work, lambda error: 70, [last])
"""


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGHUP, -signal.SIGHUP)]
)
def test_a_signal_that_comes_many_times_does_not_strike_what_lingers(number: signal.Signals, status: int) -> None:
    """timeout(1) sends its signal to the process and then to the group, the process again included."""
    reader, writer = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "-c", LEAVING, str(writer)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=(writer,),
        start_new_session=True,
    )
    os.close(writer)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        while child.poll() is None:
            os.killpg(child.pid, number)
        with open(reader, "rb") as told:  # noqa: PTH123  a descriptor
            assert told.read() == b"seen off"
        _, stderr = child.communicate()
    finally:
        child.kill()
        child.wait()
    assert child.returncode == status
    assert b"Traceback" not in stderr


def test_steps_fill_in_on_a_terminal_and_colour_obeys_no_color() -> None:
    def on_a_terminal(**env: str) -> str:
        leader, follower = pty.openpty()
        child = subprocess.Popen(
            [sys.executable, "-m", "phonecheck", "verify", "447700900123", "--server", "https://127.0.0.1:9"],
            stdout=follower,
            stderr=follower,
            env=os.environ | {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent/bus", "TERM": "xterm", **env},
        )
        os.close(follower)
        seen: list[bytes] = []

        def read() -> None:
            try:
                while data := os.read(leader, 65536):
                    seen.append(data)
            except OSError:
                pass

        reader = threading.Thread(target=read)
        reader.start()
        child.wait(30)
        reader.join(5)
        os.close(leader)
        return b"".join(seen).decode()

    plain = on_a_terminal(NO_COLOR="1")
    assert "\x1b[" not in plain
    assert "make the modem ready: failed (modem-manager-unavailable)" in plain
    assert "\x1b[" in on_a_terminal(NO_COLOR="")


def test_verbose_logs_to_stderr_and_never_to_stdout() -> None:
    done = phonecheck("verify", "447700900123", "--server", "https://127.0.0.1:9", "--json", "-v")
    json.loads(done.stdout)


VERIFY = "verify 447700900123 --server https://127.0.0.1:9"
STREAMS = ["> >(exec true)", "2> >(exec true)", ">/dev/full", "2>/dev/full", ">&-", "2>&-", "<&- >&- 2>&-"]


@pytest.mark.parametrize(
    ("arguments", "status", "streams"),
    [
        *((VERIFY, 4, streams) for streams in STREAMS),
        *((f"{VERIFY} --json -v", 4, streams) for streams in STREAMS[2:]),
        *(("modem list", 4, streams) for streams in STREAMS[2:4]),
        *(("verify --json --config /nonexistent", 3, streams) for streams in STREAMS[::6]),
        *(("verify 0123", 2, streams) for streams in STREAMS[3::3]),
    ],
)
def test_no_stream_that_cannot_be_written_changes_the_exit_status(arguments: str, status: int, streams: str) -> None:
    """Status 0 is a match: a reader that left must never make one."""
    done = subprocess.run(
        ["bash", "-c", f"sleep 0.05; {sys.executable} -m phonecheck {arguments} {streams}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent/bus"},
    )
    assert done.returncode == status
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("streams", "status"), [(">/dev/full", 3), ("2>/dev/full >/dev/null", 0), ("> >(exec true)", 0), (">&-", 0)]
)
@pytest.mark.parametrize("arguments", ["explain --json", "explain clock-wrong"])
def test_an_answer_that_is_all_there_is_fails_with_the_disk(arguments: str, streams: str, status: int) -> None:
    """So that `status --prometheus >new && mv new old` keeps the old one."""
    command = f"{sys.executable} -m phonecheck {arguments} {streams}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == status
    assert ("could not be written: No space left" in done.stderr) == (status == 3)


def test_what_ascii_cannot_say_is_escaped() -> None:
    env = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = phonecheck("verify", "447700900123", "--server", "https://127.0.0.1:9", "--json", env=env)
    assert done.stdout.isascii()
    assert json.loads(done.stdout)["phone_number"] == "…0123"
    done = phonecheck("verify", "--config", os.fsdecode(b"/nonexistent/\xff"), "--json")
    assert json.loads(done.stdout)["error"]["code"] == "bad-setting"


@pytest.mark.parametrize("arguments", [["447700900123"], ["verify", "+44", "447700900123"], ["open", "a", "b?t=x"]])
def test_what_was_typed_in_the_wrong_place_is_not_repeated(arguments: list[str]) -> None:
    done = phonecheck(*arguments)
    assert done.returncode == 2
    assert "447700900123" not in done.stderr
    assert "t=x" not in done.stderr


@pytest.mark.parametrize("verb", [[], ["modem"]])
def test_without_a_verb_the_help_stands_alone(verb: list[str]) -> None:
    done = phonecheck(*verb)
    assert "Commands:" in done.stdout + done.stderr
    assert "phonecheck: " not in done.stderr


def test_standard_input_is_read_as_one_line_that_ends(tmp_path: Path) -> None:
    for text in ("", "0" * 100_000, "\udcff"):
        done = subprocess.run(
            [sys.executable, "-m", "phonecheck", "verify", "-"],
            input=os.fsencode(text),
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 2
        assert b"NUMBER is not an E.164" in done.stderr
