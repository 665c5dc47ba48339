"""Every hardening directive of the unit is there for something: without it a probe may do more, or it is told why not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from system.container.booted import Device

UNIT = "/usr/lib/systemd/system/phonecheck-agent.service"
PROBE, RESULT = "/usr/local/lib/phonecheck-probe.py", "/var/lib/phonecheck/probe.json"
NAME = "phonecheck-probe.service"

NO_LIMITS = {
    *(
        "Type",
        "ExecStart",
        "ExecReload",
        "ExecStopPost",
        "WatchdogSec",
        "TimeoutStopSec",
        "KillMode",
        "SyslogIdentifier",
    ),
    *(
        "Restart",
        "RestartSec",
        "RestartPreventExitStatus",
        "StateDirectory",
        "RuntimeDirectory",
        "RuntimeDirectoryPreserve",
        "LoadCredential",
        "OOMPolicy",
        "Environment",
    ),
}
"""Directives of the service's life, which limit nothing."""

EXPLAINED = {
    "NoNewPrivileges=yes": "SystemCallFilter= and its like imply it for a user who is not root (systemd.exec(5))",
    "RestrictRealtime=yes": "SystemCallFilter=~@resources refuses the same calls",
    "PrivateMounts=yes": "implied by every directive that changes what is mounted",
    "ProtectClock=yes": "the missing CAP_SYS_TIME and SystemCallFilter= refuse the calls; PrivateDevices= hides /dev/rtc",
    "ProtectKernelLogs=yes": "the missing CAP_SYSLOG and SystemCallFilter= refuse the call; a container has no /dev/kmsg",
}
"""Those whose removal alone changes nothing, each held by another too; here for the day when that one goes."""
WITHOUT_CONTROLLER = {"MemoryMax=256M": "memory", "TasksMax=64": "tasks"}
"""Those that need a cgroup controller, which the container has not where the first version of cgroups has it."""


def directives() -> list[str]:
    """The limiting lines of the unit's [Service] section, as the tree has them."""
    text = (Path(__file__).parents[3] / "systemd/phonecheck-agent.service").read_text()
    service = text.partition("[Service]\n")[2].partition("\n[")[0]
    lines = [line for line in service.splitlines() if line and not line.startswith("#")]
    return [line for line in lines if line.partition("=")[0] not in NO_LIMITS]


@pytest.fixture(scope="module")
def probe(device: Device) -> Iterator[Any]:
    """Runs the probe under the unit without one of its lines; what it may do then."""
    device.in_the_box()
    device.run("systemctl", "stop", "phonecheck-agent")
    unit = device.path(UNIT).read_text()
    device.path(PROBE).write_text(Path(__file__).with_name("hardening_probe.py").read_text())
    device.path("/usr/lib/modules").mkdir(exist_ok=True)
    device.path("/tmp/phonecheck-probe").touch()
    life = ("Type=", "ExecStart=", "ExecReload=", "ExecStopPost=", "WatchdogSec=", "Restart", "KillMode=")
    kept = "".join(f"{line}\n" for line in unit.splitlines() if not line.startswith(life))
    kept = kept.replace("[Service]\n", f"[Service]\nType=oneshot\nExecStart=/usr/bin/python3 {PROBE} {RESULT}\n")

    def may(without: str = "") -> dict[str, Any]:
        lines = [line for line in kept.splitlines() if line != without]
        assert without == "" or len(lines) == len(kept.splitlines()) - 1, f"{without} is not in the installed unit"
        device.path(f"/etc/systemd/system/{NAME}").write_text("\n".join(lines) + "\n")
        device.run("rm", "-f", RESULT)
        device.run("systemctl", "daemon-reload")
        started = device.run("systemctl", "start", NAME, check=False)
        if started.returncode:
            return {"start": device.show("Result", NAME)}
        found: dict[str, Any] = json.loads(device.path(RESULT).read_text())
        machine = {name: str(Path(f"/proc/{device.leader}/ns/{name}").readlink()) for name in found["namespaces"]}
        found["namespaces"] = {name: place == machine[name] for name, place in found["namespaces"].items()}
        # What is left a moment after the unit has ended; and gone it must be, whatever this is without.
        for _ in range(20):
            found["left"] = "phonecheck" in device.out("ipcs", "-m", "-c")
            if not found["left"]:
                break
            time.sleep(0.05)
        device.run("sh", "-c", "ipcs -m | awk '$2 ~ /^[0-9]+$/ {print $2}' | xargs -r -n1 ipcrm -m")
        device.run("sh", "-c", "chown -R phonecheck: /var/lib/phonecheck; chmod 700 /var/lib/phonecheck")
        return found

    yield may
    device.run("systemctl", "start", "phonecheck-agent")


@pytest.fixture(scope="module")
def ordinary(probe: Any) -> dict[str, Any]:
    """What it may do under the whole unit."""
    found = probe()
    assert found == probe(), "the probe itself does not say the same twice"
    return found


def test_the_whole_unit_allows_what_a_check_needs_and_no_more(ordinary: dict[str, Any]):
    net_admin = f"{1 << 12:016x}"
    assert (ordinary["CapEff"], ordinary["CapBnd"]) == (net_admin, net_admin)
    assert ordinary["NoNewPrivs"] == "1"
    refused = {name: said for name, said in ordinary.items() if said == "ok"}
    assert set(refused) <= {"write accept_ra", "shared memory"}, refused


@pytest.mark.parametrize("directive", directives())
def test_a_directive_that_is_removed_changes_what_a_probe_may_do_or_is_explained(
    directive: str, probe: Any, ordinary: dict[str, Any]
):
    if (limit := WITHOUT_CONTROLLER.get(directive)) and not ordinary[limit]:
        pytest.skip(f"the container has no controller for {directive}; ./scripts/system-test machine has")
    if directive.startswith("SystemCallArchitectures=") and ordinary["32 bits"] in ("", "ENOEXEC"):
        pytest.skip("this kernel runs no programs of another architecture")
    found = probe(directive)
    changed = {name: (ordinary.get(name), said) for name, said in found.items() if ordinary.get(name) != said}
    if directive in EXPLAINED:
        assert not changed, f"it has an effect of its own; take it out of EXPLAINED: {EXPLAINED[directive]}"
    else:
        assert changed
