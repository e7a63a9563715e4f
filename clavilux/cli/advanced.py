"""Options that few users need: `--help` lists them last, under "Advanced"."""

from __future__ import annotations

import click


class AdvancedOption(click.Option):
    """An option that `--help` lists under "Advanced" (`click.option(..., cls=AdvancedOption)`)."""


class CommandWithAdvanced(click.Command):
    """A command whose help has a section "Advanced" (`click.command(..., cls=CommandWithAdvanced)`)."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options in two sections."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": [], "Advanced": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record is not None:
                sections["Advanced" if isinstance(parameter, AdvancedOption) else "Options"].append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)
