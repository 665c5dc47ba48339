"""Prints Debian's changelog of the package, whose version is that of pyproject.toml and CHANGELOG.md.

    python3 version.py DATE COMMIT

DATE is the commit's, in seconds since the epoch. A tree without unreleased changes has its release's version. One with such
changes sorts between the releases, by its date: 0.1.0~git… before 0.1.0 is released, 0.1.0+git… after it.
"""  # noqa: INP001  a script

from __future__ import annotations

import re
import sys
import tomllib
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path


def version(pyproject: str, changelog: str, when: datetime, commit: str) -> str:
    """The package's version."""
    upstream: str = tomllib.loads(pyproject)["project"]["version"]
    unreleased = re.search(r"^## \[Unreleased\]\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    released = re.search(rf"^## \[{re.escape(upstream)}\]", changelog, re.MULTILINE) is not None
    if released and not (unreleased and unreleased[1].strip()):
        return upstream
    return f"{upstream}{'+' if released else '~'}git{when:%Y%m%d%H%M%S}.{commit}"


def entry(version: str, maintainer: str, when: datetime, commit: str) -> str:
    """The one entry of Debian's changelog."""
    return f"""\
phonecheck ({version}) trixie; urgency=medium

  * Built from {commit}. What changed for users: CHANGELOG.md.

 -- {maintainer}  {format_datetime(when)}
"""


def main() -> None:
    """Print the entry for the tree that is the working directory."""
    when, commit = datetime.fromtimestamp(int(sys.argv[1]), UTC), sys.argv[2]
    found = version(Path("pyproject.toml").read_text(), Path("CHANGELOG.md").read_text(), when, commit)
    maintainer = re.search(r"^Maintainer: (.*)$", Path("debian/control").read_text(), re.MULTILINE)
    assert maintainer is not None  # noqa: S101  dpkg wants one, too
    print(entry(found, maintainer[1], when, commit), end="")  # noqa: T201  the answer


if __name__ == "__main__":
    main()
