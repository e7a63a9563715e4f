"""``clavilux bundle``: show the contents of a bundle, or check its files."""

from __future__ import annotations

import json

import click

from clavilux.bundle import Bundle, open_bundle
from clavilux.cli.options import OTHERS, bundle_names, bundle_option, is_given, option
from clavilux.cli.output import say
from clavilux.engine import Engine


@click.group()
def bundle() -> None:
    """Show or check a bundle, which is a folder of trained networks with a description of their training."""


_name_argument = click.argument("bundle_name", metavar="[NAME|DIR]", required=False, shell_complete=bundle_names)


def _open(ctx: click.Context, argument: str | None, name: str) -> Bundle:
    """Return the bundle that is given as the argument or with --bundle."""
    if argument is not None and is_given(ctx, "name"):
        raise click.UsageError("The bundle is given twice; give it as the argument, or with --bundle.")
    return open_bundle(argument or name)


@bundle.command()
@_name_argument
@bundle_option("name", section=OTHERS)
@option("--json", "as_json", is_flag=True, help="Print the file bundle.json of the bundle instead of a summary.")
@click.pass_context
def show(ctx: click.Context, /, bundle_name: str | None, name: str, as_json: bool) -> None:
    """Print how a bundle was trained, its results on validation data, and the size and hash of each file.

    Give the bundle as an argument or with --bundle, not both.
    """
    opened = _open(ctx, bundle_name, name)
    if as_json:
        say(json.dumps(opened.card, indent=2))
        return
    say(f"{opened.name}  ({opened.folder})")
    for key in ("clavilux", "created", "command"):
        say(f"{key:12} {opened.card.get(key, 'not given')}")
    say(f"{'sha256':12} {opened.sha256}")
    say(f"{'kinds':12} {', '.join(opened.kinds)}")
    say(f"{'descriptors':12} {', '.join(opened.descriptors)}")
    for key in ("corpus", "measures", "parity"):
        for name_of_figure, figure in _leaves(key, opened.card.get(key, {})):
            say(f"{name_of_figure} = {figure}")
    for file, sha256 in sorted(opened.card["files"].items()):
        try:
            size = f"{(opened.folder / file).stat().st_size / 1e6:7.2f} MB"
        except OSError:
            size = "  missing"
        say(f"{size}  {sha256[:12]}  {file}")


@bundle.command()
@_name_argument
@bundle_option("name", section=OTHERS)
@click.pass_context
def verify(ctx: click.Context, /, bundle_name: str | None, name: str) -> None:
    """Check the hash of every file of a bundle, and load every network.

    The exit code is 1 if a file is missing or damaged, or a network cannot be loaded.
    """
    opened = _open(ctx, bundle_name, name)
    n_bytes = opened.verify()
    Engine(opened).check()
    say(
        f"{opened.name}: {len(opened.card['files'])} files, {n_bytes / 1e6:.1f} MB, all hashes match; the networks load"
    )


def _leaves(name: str, value: object) -> list[tuple[str, object]]:
    """Return (dotted name, value) for each value in nested dictionaries; ``name`` is the first part of the names.

    A source of a corpus, with its number of files and its licence, is one value.

    A list of more than 8 entries is replaced by their number.
    """
    if isinstance(value, dict) and value.keys() == {"files", "licence"}:
        return [(name, f"{value['files']} files, {value['licence']}")]
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in _leaves(f"{name}.{key}", inner)]
    if isinstance(value, list) and len(value) > 8:
        return [(name, f"{len(value)} entries")]
    return [(name, value)]
