"""Answers to options and values that users guess: "No such option: --darker. Give --lightness -0.5."."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from clavilux.bundle import shipped_bundles
from clavilux.cli.options import CommandWithSections
from clavilux.constants import FIGURE_NAMES, SURFACE_NAMES
from clavilux.images import PICTURE_SUFFIXES
from clavilux.suggestions import did_you_mean, find_close

_HINTS = {
    **dict.fromkeys(("--darker", "--dark", "--darkness"), "--lightness -0.5"),
    **dict.fromkeys(("--lighter", "--brighter", "--light", "--brightness"), "--lightness 0.5"),
    **dict.fromkeys(("--warmer", "--warm"), "--warmth 0.5"),
    **dict.fromkeys(("--colder", "--cooler", "--cold"), "--warmth -0.5"),
    **dict.fromkeys(("--no-texture", "--no-grain"), "--texture 0"),
    **dict.fromkeys(("--smooth", "--clean", "--no-brush", "--no-strokes"), "--surface flat --texture 0"),
    **dict.fromkeys(("--grayscale", "--greyscale", "--monochrome", "--bw"), "--saturation -1"),
    **dict.fromkeys(("--colors", "--colours", "--color", "--colour"), '--palette "#112233,#e63946"'),
    **dict.fromkeys(("--shape", "--no-figure", "--face", "--motif", "--subject"), "--figure face or --figure none"),
    **dict.fromkeys(("--colors-from", "--colours-from"), "--palette-from PICTURE"),
    **dict.fromkeys(("--vector", "--svg"), "--format svg"),
    "--temperature": "--warmth 0.5",
    **dict.fromkeys(
        ("--simple", "--simpler", "--minimal", "--fewer-shapes", "--areas", "--fewer-areas"), "--complexity -0.5"
    ),
    **dict.fromkeys(("--shapes", "--more-shapes", "--busier", "--busy"), "--complexity 0.5"),
    **dict.fromkeys(
        ("--calmer", "--calm", "--calmness"), "--complexity -0.5 for fewer shapes; --saturation -0.5 for paler colours"
    ),
    **dict.fromkeys(
        ("--like", "--reference", "--similar", "--style-from"),
        "--palette-from PICTURE for its colours, or --near PICTURE for its kind of picture",
    ),
    **dict.fromkeys(
        ("--style", "--medium", "--technique"),
        "--surface gouache for the technique, --bundle NAME for other networks, or --near PICTURE for the kind of "
        "picture",
    ),
    **dict.fromkeys(("--recipe", "--model", "--networks"), "--bundle NAME, such as --bundle classic"),
    **dict.fromkeys(("--variations", "--variants", "--suggestions", "-n"), "--count 4"),
    "--variation": "--spread 2 for how much variations differ, as it is called since version 0.2; for one that --count "
    "painted, --again song-3.png",
    **dict.fromkeys(("--transparent", "--transparency", "--alpha"), "--background transparent"),
    **dict.fromkeys(("--skip-existing", "--skip", "--continue"), "--resume"),
    "--no-clobber": "--resume to keep pictures that would not change, or -o with another folder",
    **dict.fromkeys(
        ("--description", "--alt-text", "--alt", "--caption"),
        "--describe to print it, or --alt-file for a text file beside the picture",
    ),
    **dict.fromkeys(("--progress", "--plain", "--no-bar"), "--no-progress, or nothing: progress is shown on terminals"),
    **dict.fromkeys(("--silent", "-s", "-q"), "--no-progress; results are printed"),
    **dict.fromkeys(("--cover", "--tag", "--tags"), "--embed for a cover in the tags, or --folder-image for a file"),
    **dict.fromkeys(("--width", "--height", "--ratio", "--aspect"), "--size 1920x1080: width x height"),
    **dict.fromkeys(("--name", "--template", "--filename"), '--output "{artist} - {title}.jpg", filled with the tags'),
    **dict.fromkeys(("--outdir", "--out-dir", "--output-dir", "--out"), "--output, such as -o pictures/"),
    **dict.fromkeys(("--max-size", "--compression", "--jpeg-quality"), "--quality 80 for smaller JPEG and AVIF files"),
    **dict.fromkeys(("--large-shapes", "--larger-shapes", "--bigger-shapes"), "--scale -0.5"),
    **dict.fromkeys(("--small-shapes", "--smaller-shapes"), "--scale 0.5"),
    **dict.fromkeys(("--plotter", "--lines"), "--plot -o song.svg"),
    "-f": "--format FORMAT, such as --format jpg",
    "--sibling": "--variation N, as it is called since version 0.2",
    "--eye-from": "--classifier-from NAME, as it is called since version 0.2",
    **dict.fromkeys(("--workers", "--threads"), "--jobs N, as it is called since version 0.2"),
}  # option that users tried although it does not exist -> options to give, of which the command must have the first

PAINT_HINTS = {
    "--overwrite": "Pictures of the same song are replaced without it; any other file only with -o FILE",
    "--force": "Pictures of the same song are replaced without it; any other file only with -o FILE",
    "--dry-run": "To try options quickly, give --size 256; `clavilux explain SONG` writes no picture",
    **dict.fromkeys(("-r", "--recursive"), "Subfolders are always searched: give only the folder"),
    "--silent": "-q",
    **dict.fromkeys(
        ("--save-settings", "--settings", "--config"),
        "To save settings: `clavilux controls SONG -o song.json` writes a file that you can change and paint",
    ),
    "-s": "--size 3000 for the size, or --seed 7 for the random seed",
    **dict.fromkeys(("--symmetry", "--symmetric", "--mirror"), "Pictures have no mirror symmetry"),
    **dict.fromkeys(("--bits", "--depth", "--16bit"), "Pictures have 8 bits per channel, dithered"),
    **dict.fromkeys(
        ("--contrast", "--hue"), "Colours follow the song; --palette, --saturation and --warmth change them"
    ),
    **dict.fromkeys(("--sad", "--sadder"), "Give --mood -1,0; --warmth and --lightness change one property for sure"),
    **dict.fromkeys(("--happy", "--happier"), "Give --mood 1,0; --warmth and --lightness change one property for sure"),
    **dict.fromkeys(("--prompt", "--theme"), "The song decides, not words; --mood, --near and --palette steer it"),
    **dict.fromkeys(("--keep-folders", "--tree"), 'To keep the folders, give -o "pictures/{folder}/{name}.jpg"'),
    **dict.fromkeys(
        ("--title", "--artist", "--text", "--font"), "Clavilux paints no letters: add them in an image program"
    ),
    **dict.fromkeys(
        ("--album", "--merge"), "Each song gets its own picture; --folder-image writes one cover.jpg for each folder"
    ),
    **dict.fromkeys(
        ("--unembed", "--no-embed", "--remove-cover"),
        "Clavilux removes no covers: a tag editor does, such as Kid3, Mp3tag or Picard",
    ),
    **dict.fromkeys(("--sibling", "--siblings"), "Since version 0.2, --count N paints variations, and --seed others"),
    "--supersample": "Since version 0.2, every picture has smooth edges; a larger --size shows more",
    "--cmyk": "Pictures are sRGB: convert them in an image program with the CMYK profile of your print shop",
}  # the same for `clavilux paint` alone; sentences begin with a capital

_SIZES = {**dict.fromkeys(("large", "larger", "big", "bigger"), -0.5), **dict.fromkeys(("small", "smaller"), 0.5)}
_AMOUNT = re.compile(r"(--(?!texture)[a-z]+) (-?)[\d.]+")  # a hint in which the user's number replaces the number
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)")


class Word(click.Choice):  # type: ignore[type-arg]  # generic only from click 8.4 on
    """One of several words in any case; the error for another word names one that is close in meaning or spelling."""

    def __init__(self, words: Iterable[str]) -> None:
        super().__init__(words, case_sensitive=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the word; raise `BadParameter` if it is not one of the words."""
        try:
            return str(super().convert(value, param, ctx))
        except click.BadParameter as error:
            near = find_close(str(value), self.choices)
            if near is None:
                raise
            self.fail(f"{error.message.rstrip('.')}{did_you_mean(near)}", param, ctx)


class HintedCommand(CommandWithSections):
    """A command that answers some options that do not exist with the option to give instead.

    ``hints`` has answers for this command alone: option -> options to give, or sentences, which begin with a capital.
    ``without_value`` has a sentence for options that were given without their value.
    """

    def __init__(
        self,
        *args: Any,
        hints: Mapping[str, str] | None = None,
        without_value: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._hints, self._without_value = hints or {}, without_value or {}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; raise a `UsageError` with a hint for an unknown option or a missing value."""
        try:
            return super().parse_args(ctx, list(args))
        except click.NoSuchOption as error:
            files = [word for word in args if word.startswith(error.option_name) and os.path.lexists(word)]
            if files:
                raise click.UsageError(
                    f"No such option: {error.option_name}. For the file of this name: ./{files[0]}, or -- before all "
                    "names.",
                    ctx,
                ) from error
            hint = self._hints.get(error.option_name) or self._find_common(error.option_name, args)
            if not hint:
                raise
            answer = hint if hint[0].isupper() else f"Give {hint}"
            raise click.UsageError(f"No such option: {error.option_name}. {answer}.", ctx) from error
        except click.BadOptionUsage as error:
            if error.option_name in self._without_value and "requires an argument" in error.message:
                hint = self._without_value[error.option_name]
                raise click.BadOptionUsage(error.option_name, f"{error.message} {hint}", ctx) from error
            raise

    def _find_common(self, name: str, args: list[str]) -> str:
        """Return the hint of `_HINTS` for an option, or "" if there is none or it is for another command."""
        hint = _find_hint(name, args)
        known = {name for parameter in self.params for name in parameter.opts}
        return hint if set(re.findall(r"--[a-z-]+", hint)[:1]) & known else ""


def _find_hint(name: str, args: list[str]) -> str:
    """Return the options to give instead of an unknown one, with the value that it has in ``args``, or ""."""
    hint = _HINTS.get(name, "")
    values = [after for before, after in pairwise(args) if before == name]
    values += [word.partition("=")[2] for word in args if word.startswith(f"{name}=")]
    value = values[0] if values else ""
    if hint == _HINTS["--style"]:
        if value in SURFACE_NAMES:
            return f"--surface {value}"
        if value in shipped_bundles():
            return f"--bundle {value}"
        if Path(value).suffix.lower() in PICTURE_SUFFIXES:
            return _HINTS["--like"].replace("PICTURE", value)
    if name == "--variation" and _NUMBER.fullmatch(value):
        return hint.replace("--spread 2", f"--spread {value}")
    if name == "--shapes" and value in _SIZES:
        return f"--scale {_SIZES[value]}"
    if name in ("--shape", "--shapes") and value.isalpha() and (figure := find_close(value, FIGURE_NAMES)):
        return f"--figure {figure}"
    if _NUMBER.fullmatch(value) and (amount := _AMOUNT.fullmatch(hint)):
        option, sign = amount.groups()
        if option == "--count" or abs(float(value)) <= 1:
            return f"{option} {-float(value) if sign else float(value):g}"
    return hint
