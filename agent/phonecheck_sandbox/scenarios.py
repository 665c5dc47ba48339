"""Scenarios: situations of a device that have a name, for ``--scenario`` and for tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Scenario:
    """A situation to start a sandbox in.

    Attributes:
        does: one line for whoever chooses.
        conditions: knobs that it turns (conditions.py); what it leaves out stays ordinary.
        plan: fields of the Plan that it sets (plan.py): what cannot be changed while the sandbox runs.
        acts: control requests that are carried out, in this order, before the sandbox is ready: ``"lock-sim"``.
    """

    does: str
    conditions: Mapping[str, Any] = field(default_factory=dict)
    plan: Mapping[str, Any] = field(default_factory=dict)
    acts: tuple[str, ...] = ()

    def check_running(self, name: str) -> None:
        """See that a running sandbox can take the scenario on.

        Raises:
            ValueError: it sets what is fixed when a sandbox starts, said in cause and cure.
        """
        if self.plan:
            fixed = ", ".join(self.plan)
            raise ValueError(
                f"The scenario {name} sets what cannot change while a sandbox runs: {fixed}. "
                f"Start one so: phonecheck-sandbox shell --scenario {name}."
            )


SCENARIOS: dict[str, Scenario] = {
    "lte": Scenario(
        "An ordinary day: 60 ms of round-trip time.",
        {"radio_rtt": 60.0, "radio_jitter": 10.0},
    ),
    "bad-radio": Scenario(
        "A radio at the edge of its cell: slow, lossy, and slow to wake.",
        {"radio_rtt": 400.0, "radio_jitter": 150.0, "radio_loss": 3.0, "radio_wake": 2000.0},
    ),
    "not-mobile": Scenario("The platform does not take the address for a mobile one: 412.", {"platform_status": 412}),
    "operator-unsupported": Scenario("The platform does not serve this operator: 501.", {"platform_status": 501}),
    "wrong-operator": Scenario("The number belongs to another operator: 409.", {"platform_status": 409}),
    "rate-limited": Scenario("The platform has had enough requests: 429.", {"platform_status": 429}),
    "dns-silent": Scenario("The operator's DNS does not answer.", {"dns_fault": "silent"}),
    "dns-spoofed": Scenario("Forged answers arrive before those of the operator's DNS.", {"dns_fault": "spoofed"}),
    "redirect-loop": Scenario("The operator redirects in a circle.", {"mno_loop": True}),
    "eleven-redirects": Scenario("The operator redirects once more than is allowed.", {"mno_extra_hops": 6}),
    "app-server-down": Scenario("The customer's app server does not answer.", {"app_fault": "down"}),
    "slow-result": Scenario("A result of v0.1 that takes its time.", {"platform_pending": 2}),
}
"""For ``--scenario``, ``phonecheck-sandbox scenarios`` and tests."""


def named(name: str) -> Scenario:
    """The scenario of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in SCENARIOS:
        raise ValueError(f"There is no scenario {name!r}. See them: phonecheck-sandbox scenarios.")
    return SCENARIOS[name]
