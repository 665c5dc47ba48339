"""The doctor's page: its lines as rungs end in any order, its widths, its verdict."""

from __future__ import annotations

import dataclasses
import io
from typing import Any, cast

import pytest

from phonecheck.cli.ladder import Ladder
from phonecheck.deadline import Deadline
from phonecheck.doctor.device import Device
from phonecheck.doctor.ladder import climb
from phonecheck.doctor.model import Diagnosis, Finding, Reading, Rung, failed, idle, unseen, well
from phonecheck.errors import BearerError

COMMAND = "mmcli -m /org/freedesktop/ModemManager1/Modem/0 --simple-connect='apn=internet,allow-roaming=no'"
FINDINGS = {
    "kernel": well("Linux 6.12, any process may bind; CAP_NET_ADMIN: no"),
    "polkit": unseen("polkit does not say", "pkcheck --help"),
    "bearer": failed(BearerError("not-connected", "The modem is registered, and no bearer is connected."), COMMAND),
    "dns": well("never looked at"),
    "outbox": idle("the app server takes no reports"),
}


def ladder() -> tuple[Rung, ...]:
    def of(slug: str, finding: Finding) -> Rung:
        return Rung(slug, f"the {slug}", lambda *_: finding, ("bearer",) if slug == "dns" else ())

    return tuple(of(slug, finding) for slug, finding in FINDINGS.items())


def printed(columns: int, capsys: pytest.CaptureFixture[str]) -> str:
    rungs = ladder()
    page = Ladder(rungs, columns, io.StringIO())
    nothing = cast(Any, None)
    device = Device(nothing, True, *[nothing] * 6)
    diagnosis = climb(rungs, device, Deadline(10), page.tell)
    return capsys.readouterr().out + page.verdict(diagnosis)


def test_one_cause_with_its_cure_and_the_rest_behind_it(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(80, capsys)
    assert "ok     the kernel  Linux 6.12" in text
    assert "FAILED the bearer  The modem is registered" in text
    assert "cure  Connect it" in text
    assert f"try   {COMMAND}\n" in text, "to be pasted, so in one line"
    assert "code  not-connected (exit status 4)\n" in text
    assert text.endswith("\nphonecheck explain not-connected")
    assert "Behind the bearer: the dns." in text
    assert "never looked at" not in text
    assert "CAUSE: the bearer" in text
    assert "pkcheck" in text


@pytest.mark.parametrize("columns", [1, 20, 40, 80, 200])
def test_it_fits(columns: int, capsys: pytest.CaptureFixture[str]) -> None:
    for line in printed(columns, capsys).splitlines():
        # A word that is longer than the line is not cut: it may have to be typed.
        assert len(line) <= max(columns, 20) or "try " in line or len(line.split()) <= 3


def test_rungs_are_printed_in_their_order_however_they_end(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = ladder()[0], ladder()[4]
    page = Ladder([first, second], 80, io.StringIO())
    page.tell(second, Reading(second, "idle", "later"))
    assert not capsys.readouterr().out
    page.tell(first, None)
    page.tell(first, Reading(first, "well", "sooner"))
    out = capsys.readouterr().out
    assert out.index("sooner") < out.index("later")


def test_what_was_not_seen_is_not_called_well() -> None:
    rung = ladder()[1]
    page = Ladder([rung], 80, io.StringIO())
    assert "ALL WELL  (" in page.verdict(Diagnosis((Reading(rung, "well"),), 2000))
    verdict = page.verdict(Diagnosis((Reading(rung, "unseen"),) * 12, 2000, 25000))
    assert verdict.endswith("\nALL WELL but for what was not seen  (2.0 s, 25 kB over the link)")
    assert "Not seen: the polkit, the polkit" in verdict
    assert max(map(len, verdict.splitlines())) < 80
    costly = dataclasses.replace(rung, traffic=500)
    assert "ALL WELL but for" in page.verdict(Diagnosis((Reading(costly, "idle"),), 2000))
    assert "ALL WELL  (" in page.verdict(Diagnosis((Reading(rung, "idle"),), 2000))
