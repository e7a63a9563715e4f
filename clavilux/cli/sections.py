"""Options in sections: `--help` groups options, and lists rarely needed options last, under "Advanced"."""

from __future__ import annotations

from typing import Any

import click

OTHERS, ADVANCED = "Options", "Advanced"

# Help texts of options that several commands share.
BUNDLE_HELP = (
    "Trained networks: `default`, `classic` (an older baseline whose pictures are blurred and cannot be steered), or a "
    "folder that `clavilux train` wrote."
)
JOBS_HELP = "Number of worker processes; -1 starts one per core.  [default: -1]"


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
    """A command whose help shows options in sections; sections are in the order of their first options."""

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
