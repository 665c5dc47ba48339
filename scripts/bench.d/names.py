"""Looks names up as the agent does, for curl, which cannot: INTERFACE SERVER[,SERVER] HOST…  → {HOST: [ADDRESS, MS]}.

curl asks the system's resolver, which asks by the default route; its `--dns-interface` needs c-ares, which Debian's curl
has not. So the names are asked for here, over the link, and curl is given the addresses.
"""  # noqa: INP001  a script

import json
import sys
from ipaddress import ip_address

from phonecheck.deadline import Deadline
from phonecheck.link.resolve import Resolver

interface, servers, *hosts = sys.argv[1:]


def resolver() -> Resolver:
    """One that knows no name yet."""
    return Resolver(interface, [ip_address(server) for server in servers.split(",")], families=[4])


# The first question ever pays for the imports, as curl's would not.
resolver().resolve(hosts[0], Deadline(5))
asked = resolver()
found = {host: asked.resolve(host, Deadline(5)) for host in hosts}
json.dump({host: [str(answer.addresses[0]), answer.ms] for host, answer in found.items()}, sys.stdout)
