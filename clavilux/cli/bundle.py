"""``clavilux bundle``: show the contents of a bundle, or check its files."""

from __future__ import annotations

import json

import click

from clavilux.bundle import open_bundle
from clavilux.cli.output import say
from clavilux.cli.sections import BUNDLE_HELP
from clavilux.engine import Engine

_bundle_option = click.option(
    "--bundle",
    "name",
    default="default",
    show_default=True,
    metavar="NAME|DIR",
    help=BUNDLE_HELP,
)


@click.group()
def bundle() -> None:
    """Show or check a bundle: a folder of trained networks, with a description of their training."""


@bundle.command()
@_bundle_option
@click.option("--json", "as_json", is_flag=True, help="Print the content of bundle.json instead.")
def show(name: str, as_json: bool) -> None:
    """Print how a bundle was trained, its measures, and the sizes and hashes of its files."""
    opened = open_bundle(name)
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
@_bundle_option
def verify(name: str) -> None:
    """Check the hash of every file of a bundle, and load every network.

    The exit code is 1 if a file is missing or damaged, or a network cannot be loaded.
    """
    opened = open_bundle(name)
    n_bytes = opened.verify()
    Engine(opened).check()
    say(
        f"{opened.name}: {len(opened.card['files'])} files, {n_bytes / 1e6:.1f} MB, all hashes match; the networks load"
    )


def _leaves(name: str, value: object) -> list[tuple[str, object]]:
    """Return the leaves of nested fields with dotted names; of a list of more than 8 entries, their number."""
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in _leaves(f"{name}.{key}", inner)]
    if isinstance(value, list) and len(value) > 8:
        return [(name, f"{len(value)} entries")]
    return [(name, value)]
