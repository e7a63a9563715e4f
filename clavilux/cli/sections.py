"""Options in sections: `--help` groups them, and lists last, under "Advanced", those that few users need."""

from __future__ import annotations

from typing import Any

import click

OTHERS, ADVANCED = "Options", "Advanced"


class SectionOption(click.Option):
    """An option in a section of `--help` (``click.option(..., cls=SectionOption, section="Files")``)."""

    def __init__(self, *args: Any, section: str = OTHERS, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


class AdvancedOption(SectionOption):
    """An option that `--help` lists under "Advanced"."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, section=ADVANCED, **kwargs)


class CommandWithSections(click.Command):
    """A command whose help shows its options in sections, in the order of the first option of each."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options in sections."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
            if record is not None:
                section = parameter.section if isinstance(parameter, SectionOption) else OTHERS
                sections.setdefault(section, []).append(record)
        for title in sorted(sections, key=_last_two):
            with formatter.section(title):
                formatter.write_dl(sections[title])


def _last_two(title: str) -> int:
    """Return 0 for named sections, so that a stable sort puts the two general ones last."""
    return {OTHERS: 1, ADVANCED: 2}.get(title, 0)
