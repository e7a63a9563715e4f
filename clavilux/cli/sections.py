"""Help texts with a section "Advanced" for options that need technical knowledge."""

import click


class AdvancedOption(click.Option):
    """An option that `SectionedCommand` lists under "Advanced"."""


class SectionedCommand(click.Command):
    """A command whose help lists its `AdvancedOption` options in a section of their own, after the others."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the two sections of options into the help text."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": [], "Advanced": []}
        for parameter in self.get_params(ctx):
            row = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if row is not None:
                sections["Advanced" if isinstance(parameter, AdvancedOption) else "Options"].append(row)
        for title, rows in sections.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
