"""``clavilux bundle``: what a bundle is made of, and whether it is whole."""

from __future__ import annotations

import json

import click

from clavilux.bundle import open_bundle
from clavilux.engine import Engine

_bundle_option = click.option(
    "--bundle", "name", default="default", show_default=True, metavar="NAME|DIR", help="A shipped bundle or a folder."
)


@click.group()
def bundle() -> None:
    """Show or verify a bundle of trained networks."""


@bundle.command()
@_bundle_option
@click.option("--json", "as_json", is_flag=True, help="All of bundle.json.")
def show(name: str, as_json: bool) -> None:
    """Say what a bundle was made of."""
    opened = open_bundle(name)
    if as_json:
        click.echo(json.dumps(opened.card, indent=2))
        return
    click.echo(f"{opened.name}  ({opened.folder})")
    for key in ("clavilux", "created", "command"):
        click.echo(f"{key:12} {_printable(opened.card.get(key, 'not given'))}")
    click.echo(f"{'sha256':12} {opened.sha256}")
    click.echo(f"{'kinds':12} {', '.join(opened.kinds)}")
    click.echo(f"{'descriptors':12} {', '.join(opened.descriptors)}")
    for key in ("corpus", "measures", "parity"):
        for name_of_figure, figure in _leaves(key, opened.card.get(key, {})):
            click.echo(f"{_printable(name_of_figure)} = {_printable(figure)}")
    for file, sha256 in sorted(opened.card["files"].items()):
        try:
            size = f"{(opened.folder / file).stat().st_size / 1e6:7.2f} MB"
        except OSError:
            size = "  missing"
        click.echo(f"{size}  {sha256[:12]}  {file}")


@bundle.command()
@_bundle_option
def verify(name: str) -> None:
    """Hash every file of a bundle and load every network."""
    opened = open_bundle(name)
    n_bytes = opened.verify()
    Engine(opened).check()
    click.echo(
        f"{opened.name}: {len(opened.card['files'])} files, {n_bytes / 1e6:.1f} MB, all as written; the networks load"
    )


def _printable(value: object) -> str:
    """Return a value of a stranger's file as text without line breaks and commands to the terminal."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in str(value))


def _leaves(name: str, value: object) -> list[tuple[str, object]]:
    """Return the numbers and words of nested fields with their dotted names; longer lists are counted."""
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in _leaves(f"{name}.{key}", inner)]
    if isinstance(value, list) and len(value) > 8:
        return [(name, f"{len(value)} entries")]
    return [(name, value)]
