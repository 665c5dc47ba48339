"""The configuration in force, as it may be shown: every key by a rule of its own, none by default."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from phonecheck import redact
from phonecheck.config import Settings
from phonecheck.model import PhoneNumber

Rule = Callable[[Any], Any]


def shown(value: Any) -> Any:
    """As it is: it tells of the device's task, not of a person or a secret."""
    if isinstance(value, tuple):
        return [str(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def whether(value: Any) -> str:
    """That there is one."""
    return "not set" if value is None else "set"


def url(value: str | None) -> str | None:
    """Without query and user name."""
    return None if value is None else redact.url(value)


def number(value: str) -> str:
    """Its last four digits; "sim" is none."""
    return value if value == "sim" else str(PhoneNumber.parse(value))


def selector(value: str | None) -> str | None:
    """What it selects by, and the last four digits."""
    kind, colon, identity = (value or "").partition(":")
    return f"{kind}:{redact.last_four(identity)}" if colon and kind in ("iccid", "imei") else value


TABLE: dict[str, Rule] = {
    "server.url": url,
    "server.protocol": shown,
    "server.create": shown,
    "server.finish": shown,
    "server.report": shown,
    "server.coverage": shown,
    "server.redirect_url": url,
    "server.ca_file": whether,
    "server.client_cert": whether,
    "server.client_key": whether,
    "server.token_file": whether,
    "server.over": shown,
    "phone.number": number,
    "modem.id": selector,
    "modem.connect": shown,
    "modem.apn": shown,
    "modem.ip_type": shown,
    "modem.roaming": shown,
    "modem.keep": shown,
    "modem.pin_file": whether,
    "modem.wait": shown,
    "link.interface": shown,
    "link.dns": shown,
    "link.family": shown,
    "link.routes": shown,
    "link.strict": shown,
    "chain.cleartext": shown,
    "chain.max_redirects": shown,
    "chain.hop_timeout": shown,
    "chain.timeout": shown,
    "chain.platform": url,
    "service.on_start": shown,
    "service.on_sim_change": shown,
    "service.every": shown,
    "service.jitter": shown,
    "service.start_jitter": shown,
    "service.hooks": shown,
    "service.metrics": shown,
    "service.history": shown,
    "service.outbox_size": shown,
    "service.outbox_age": shown,
}
"""Every setting's rule. A test fails for one that is missing; a report that meets one says only whether it is set."""


def in_force(settings: Settings) -> dict[str, Any]:
    """Every setting by its name, ``section.key``, as its rule shows it."""
    found = {}
    for section in dataclasses.fields(settings):
        part = getattr(settings, section.name)
        for key in dataclasses.fields(part):
            name = f"{section.name}.{key.name}"
            rule: Rule = TABLE.get(name, whether)
            found[name] = rule(getattr(part, key.name))
    return found
