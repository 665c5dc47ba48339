"""What scripts/build-deb puts into the packages, as far as it can be told without building them."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import click
import pytest

from phonecheck import config
from phonecheck.cli.main import cli

ROOT = Path(__file__).parents[2]
PARTS = ROOT / "scripts" / "build-deb.d"
SETTINGS = ROOT / "systemd" / "agent.toml"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NOW = datetime(2026, 11, 24, 0, 14, 37, tzinfo=UTC)


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"build_deb_{name}", PARTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def depends(package: str) -> dict[str, str]:
    """The packages that debian/control names, each with its version's lower bound or nothing."""
    paragraph = (PARTS / "debian/control").read_text().partition(f"Package: {package}\n")[2].partition("\n\n")[0]
    field = re.search(r"^Depends:\n((?: .*\n)+)", paragraph, re.MULTILINE)
    assert field is not None
    return dict(re.findall(r"^ ([a-z0-9.+-]+)(?: \(>= (\S+)\))?", field[1], re.MULTILINE))


def test_the_settings_that_come_with_the_package_change_nothing():
    assert config.read(SETTINGS.read_bytes(), str(SETTINGS)) == config.Settings()


def test_the_settings_that_come_with_the_package_are_all_and_tell_the_defaults():
    text = SETTINGS.read_text()
    commented = re.findall(r"^# (\w+) = (.*)$", text, re.MULTILINE)
    read = config.read(re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE).encode(), "agent.toml")
    default = config.Settings()
    told = dict(commented)
    for section in dataclasses.fields(config.Settings):
        for setting in dataclasses.fields(getattr(default, section.name)):
            name = f"{section.name}.{setting.name}"
            assert setting.name in told, name
            # These have no default, or it is the protocol's.
            if "# example" in told[setting.name] or name in {"server.url", "server.create", "server.finish"}:
                continue
            assert getattr(getattr(read, section.name), setting.name) == getattr(
                getattr(default, section.name), setting.name
            ), name


@pytest.mark.parametrize(
    ("package", "extras"), [("phonecheck-agent", ()), ("phonecheck-sandbox", ("server", "sandbox"))]
)
def test_the_packages_depend_on_what_the_project_does(package: str, extras: tuple[str, ...]):
    wanted = [w for extra in extras for w in PROJECT["optional-dependencies"][extra]] or PROJECT["dependencies"]
    found = depends(package)
    for requirement in wanted:
        name, least = re.match(r"([a-z0-9-]+)(?:\[\w+\])?(?:>=([0-9.]+))?", requirement).groups()  # type: ignore[union-attr]
        if name != "phonecheck":
            assert found.get(f"python3-{name}") == least, requirement


def test_the_files_that_the_packages_take_are_there():
    for listing in (PARTS / "debian").glob("*.install"):
        for source in (line.split()[0] for line in listing.read_text().splitlines()):
            assert source.startswith("usr/") or (ROOT / source).exists(), source


UNRELEASED = "## [Unreleased]\n### Added\n- Something.\n"
RELEASED = "## [0.1.0] - 2026-12-01\n### Added\n- All.\n"


@pytest.mark.parametrize(
    ("changelog", "version"),
    [
        (UNRELEASED, "0.1.0~git20261124001437.abc1234"),
        (RELEASED, "0.1.0"),
        ("## [Unreleased]\n\n" + RELEASED, "0.1.0"),
        (UNRELEASED + "\n" + RELEASED, "0.1.0+git20261124001437.abc1234"),
        (UNRELEASED + "\n## [0.1.01]\n", "0.1.0~git20261124001437.abc1234"),
    ],
)
def test_the_version_sorts_by_what_is_released(changelog: str, version: str):
    pyproject = '[project]\nname = "phonecheck"\nversion = "0.1.0"\n'
    assert script("version").version(pyproject, "# Changelog\n\n" + changelog, NOW, "abc1234") == version


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pages")
    command = [sys.executable, "-P", PARTS / "pages.py", root, "phonecheck", "phonecheck-sandbox", "phonecheck-server"]
    subprocess.run(command, check=True, env={**os.environ, "SOURCE_DATE_EPOCH": "0"}, timeout=60)
    return root


def test_each_verb_has_a_page_with_all_its_options(pages: Path):
    manual = pages / "usr/share/man/man1"
    context = click.Context(cli)
    for verb in cli.list_commands(context):
        page = (manual / f"phonecheck-{verb}.1").read_text()
        assert f"\n.BR phonecheck\\-{verb} (1)\n" in (manual / "phonecheck.1").read_text()
        command = cli.get_command(context, verb)
        assert command is not None
        for parameter in command.params:
            for option in parameter.opts if isinstance(parameter, click.Option) else ():
                assert option.replace("-", "\\-") in page
    assert not (manual / "phonecheck-deliver.1").exists(), "a hidden verb"
    assert {"phonecheck-sandbox.1", "phonecheck-server.1"} < {file.name for file in manual.iterdir()}


@pytest.mark.skipif(not shutil.which("man"), reason="man is not installed")
def test_groff_has_no_complaint(pages: Path):
    for page in (pages / "usr/share/man/man1").iterdir():
        command = ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page]
        done = subprocess.run(command, capture_output=True, check=False, timeout=60)
        assert (done.returncode, done.stderr) == (0, b""), page.name


def test_bash_completes_the_verbs(pages: Path, tmp_path: Path):
    program = tmp_path / "phonecheck"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m phonecheck "$@"\n')
    program.chmod(0o755)
    ask = 'source "$0"; COMP_LINE="phonecheck ver" COMP_POINT=14; _phonecheck_completion phonecheck; echo "${COMPREPLY[@]}"'
    done = subprocess.run(
        ["bash", "-c", ask, pages / "usr/share/bash-completion/completions/phonecheck"],
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.stdout == "verify\n", done.stderr
