"""`python -m phonecheck`."""

from phonecheck.cli.main import run

run()
