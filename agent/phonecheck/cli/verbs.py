"""What our verbs have beyond click's commands: examples that work, and the nearest right word for a wrong one."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

from phonecheck.cli import spelling

Example = tuple[str, str]
"""A command line as somebody would type it, and what it is good for."""


class NoSuchWordError(click.UsageError):
    """A word that is none of ours; ``possibilities`` are those that were probably meant, as in click's NoSuchOption."""

    def __init__(self, message: str, word: str, known: Iterable[str], ctx: click.Context | None = None) -> None:
        import difflib  # only a mistake needs it

        super().__init__(message, ctx)
        self.possibilities = difflib.get_close_matches(word, list(known), cutoff=0.5)


class Verb(click.Command):
    """A command whose help ends with examples.

    Args:
        arguments: click.Command's.
        examples: two to four; the manual page shows them too.
        options: click.Command's.
    """

    def __init__(self, *arguments: Any, examples: Sequence[Example] = (), **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.examples = tuple(examples)

    def get_help(self, ctx: click.Context) -> str:
        """The help, as a stream that is ASCII spells it: click would write UTF-8 there."""
        return spelling.as_written(super().get_help(ctx), getattr(sys.stdout, "encoding", None))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, each on a line of its own that can be copied, what it is good for below."""
        super().format_epilog(ctx, formatter)
        if not self.examples:
            return
        with formatter.section("Examples"):
            for line, what in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")
                with formatter.indentation(), formatter.indentation():
                    formatter.write_text(what)


class VerbGroup(Verb, click.Group):
    """A command of commands, with examples, and with the nearest one for a word that is none of them."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first word names.

        Raises:
            NoSuchWordError: it names none.
        """
        word = args[0]
        if not ctx.resilient_parsing and not word.startswith("-") and self.get_command(ctx, word) is None:
            raise NoSuchWordError(f"There is no command {word!r}.", word, self.list_commands(ctx), ctx)
        return super().resolve_command(ctx, args)
