"""Runs on the sandbox's device: asks the network eye the questions that are named, and says what it answered."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

from phonecheck import wiring
from phonecheck.deadline import Deadline
from phonecheck.errors import AgentError
from phonecheck.eyes.links import RealLinks
from phonecheck.eyes.network import RealNetwork
from phonecheck.model import Modem
from phonecheck.redact import Secret
from phonecheck.session import Session


class Modems:
    def __init__(self, session: Session) -> None:
        self.session = session

    def ready(self, deadline: Deadline) -> Modem | None:
        return self.session.read_modem(deadline, lambda: None, lambda _: None, lambda _: None)


def said(answer: Any) -> Any:
    if isinstance(answer, AgentError):
        return {"code": answer.code}
    if isinstance(answer, tuple):
        return [said(each) for each in answer]
    if dataclasses.is_dataclass(answer) and not isinstance(answer, type):
        return {f.name: said(getattr(answer, f.name)) for f in dataclasses.fields(answer)}
    return answer if isinstance(answer, str | int | float | dict | None) else str(answer)


def main() -> None:
    settings = wiring.load(Path(os.environ["PHONECHECK_CONFIG"]), wiring.Choice())
    settings = dataclasses.replace(
        settings, chain=dataclasses.replace(settings.chain, platform="https://api.platform.example")
    )
    session = Session(settings, None)
    network = RealNetwork(session, settings, RealLinks(session, settings, Modems(session), traffic=True))
    answers = {}
    for question in sys.argv[1:]:
        name, _, argument = question.partition("=")
        try:
            if name == "get":
                answer: Any = network.get(argument, Secret("a-token"), Deadline(6))
            elif name == "full_size":
                answer = network.full_size(Deadline(1.5), int(argument) if argument else None)
            else:
                answer = getattr(network, name)(Deadline(6))
            answers[question] = said(answer)
        except AgentError as error:
            answers[question] = said(error)
    session.settle()
    sys.stdout.write(json.dumps(answers))


main()
