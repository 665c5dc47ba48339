"""Does a policy rule keep the exchange from the link: a VPN's kill switch, a load balancer's?"""

from __future__ import annotations

from phonecheck.deadline import Deadline
from phonecheck.doctor.device import Device
from phonecheck.doctor.model import Finding, Rung, failed, unseen, well
from phonecheck.doctor.ports.link import Barrier, Survey
from phonecheck.errors import AgentError, LinkError


def look(device: Device, deadline: Deadline) -> Finding:
    """The very rule that is in the way, where phonecheck's own cannot go before it."""
    survey = device.links.survey(deadline)
    if survey is None:
        return unseen("there is no link until the modem is connected")
    rules = [f"{b.rule} ({b.refusal})" for b in survey.barriers]
    obstacle = device.links.obstacle(deadline)
    if obstacle is not None and survey.owner(obstacle) == "rules":
        barrier = survey.barrier(obstacle)
        if barrier is None:
            return failed(obstacle, "ip rule", rules=rules)
        error = _in_the_way(survey, barrier, obstacle, may_change=device.settings.link.routes == "auto")
        return failed(error, " && ".join(survey.lacks) or barrier.command, rules=rules)
    if not rules:
        return well("none is in the way", rules=rules)
    first = survey.barriers[0].rule
    if survey.mended:
        return well(f"phonecheck's own goes before `{first}` for the exchange", rules=rules)
    return well(f"`{first}` does not hold for what is bound to {survey.link.interface}", rules=rules)


def _in_the_way(survey: Survey, barrier: Barrier, obstacle: AgentError, *, may_change: bool) -> LinkError:
    interface = survey.link.interface
    whom = f"what is sent over {interface}" if barrier.way == "out" else f"the answers that come in by {interface}"
    message = f"The policy rule `{barrier.rule}` keeps back {whom} ({barrier.refusal}), as a VPN's kill switch does."
    hint = obstacle.hint
    if not may_change:
        hint = 'Set link.routes = "auto" and run it with CAP_NET_ADMIN: a rule for the link\'s address then goes before it.'
        if survey.lacks:
            hint += f" Or by hand: {'; '.join(survey.lacks)}"
    code = obstacle.code if obstacle.code in LinkError.cures else "wrong-path"
    return LinkError(code, message, hint=hint)


RUNG = Rung("rules", "Policy rules", look, needs=("address",))
