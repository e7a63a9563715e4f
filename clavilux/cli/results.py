"""Print the outcomes of ``clavilux paint``: names of songs and pictures on stdout, warnings and faults on stderr."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clavilux.audio.clips import NO_DESCRIPTORS
from clavilux.audio.mix import OFFSET_REMOVED
from clavilux.cli.beside import described
from clavilux.cli.output import complain, say, visible
from clavilux.cli.tasks import Outcome, source_of
from clavilux.errors import PictureError
from clavilux.explain import explain_record, explain_report


@dataclass
class Printed:
    """Prints outcomes, with the options of the command that say what is printed."""

    explain: bool
    describe: bool
    as_json: bool
    quiet: bool
    has_warned: bool = False  # whether the warning about missing descriptors was printed; it is printed once per run
    explained: str = ""  # the song that was explained last; its variations are explained without it

    def show(self, outcome: Outcome) -> None:
        """Print an outcome."""
        for fault in outcome.faults:
            complain(fault)
        if outcome.lacks_descriptors and not self.has_warned:
            self.has_warned = True
            complain(f"{outcome.reports[0]['song']}: {NO_DESCRIPTORS}")
        for warning in outcome.warnings:
            if not (self.quiet and OFFSET_REMOVED in warning):  # needs no action
                complain(warning)
        if self.quiet:
            return
        for report in outcome.reports:
            if self.as_json:
                say(json.dumps(report))
            elif report["status"] != "failed":
                self._show_picture(report, outcome.names or (source_of(report), report["picture"]))
        for picture, cover in () if self.as_json else outcome.covers:
            say(f"{visible(str(picture))} -> {visible(str(cover))} (cover)")

    def _show_picture(self, report: dict[str, Any], names: tuple[str, str]) -> None:
        note = "" if report["status"] == "painted" else f" ({report['status']})"
        share = report.get("transparent_share")
        if share is not None and names[1] == report["picture"]:  # not of a cover, which is opaque
            note += f" ({100 * share:.0f} % transparent)"
        say(" -> ".join(map(visible, names)) + note)
        is_measured = "measured" in report  # not of pictures that were kept
        if self.describe or self.explain:
            description = report["description"] if is_measured else described(Path(report["picture"]))
        if self.describe:
            say(description or "the file has no description")
        if self.explain and is_measured:
            song = source_of(report)
            say(explain_report(report, is_variation=song == self.explained))
            self.explained = song
        elif self.explain:
            try:
                say(explain_record(report["record"], description))
            except PictureError as error:
                complain(f"{report['picture']}: {error}")
