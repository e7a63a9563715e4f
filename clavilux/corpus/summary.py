"""Count the files of a corpus by source, licence and split, for the model card."""

from collections.abc import Iterable
from dataclasses import dataclass

from clavilux.corpus.table import SPLITS, CorpusRow, Split


@dataclass(frozen=True)
class Count:
    """Number of files in each split, for one combination of source, tier, role and licence (see `Item`)."""

    source: str
    tier: str
    role: str
    licence: str
    splits: dict[Split, int]  # number of files in every split, which may be 0
    hours: float  # duration of all files; 0 for pictures


def summarise(rows: Iterable[CorpusRow]) -> list[Count]:
    """Return one `Count` for each combination of tier, source, role and licence, sorted in this order."""
    groups: dict[tuple[str, str, str, str], list[CorpusRow]] = {}
    for row in rows:
        groups.setdefault((row.tier, row.source, row.role, row.licence), []).append(row)
    return [
        Count(
            source=source,
            tier=tier,
            role=role,
            licence=licence,
            splits={split: sum(row.split == split for row in group) for split in SPLITS},
            hours=sum(row.seconds for row in group) / 3600,
        )
        for (tier, source, role, licence), group in sorted(groups.items())
    ]


def to_markdown(counts: Iterable[Count]) -> str:
    """Return the counts as a Markdown table, with sums by tier and role in the last lines."""
    counts = list(counts)
    lines = ["| source | tier | role | training | validation | held-out | hours | licence |"]
    lines.append("|---|---|---|--:|--:|--:|--:|---|")
    lines += [_line(c.source, c.tier, c.role, [c], c.licence) for c in counts]
    for tier, role in sorted({(c.tier, c.role) for c in counts}):
        group = [c for c in counts if (c.tier, c.role) == (tier, role)]
        lines.append(_line("**all**", tier, role, group, ""))
    return "\n".join(lines)


def _line(source: str, tier: str, role: str, counts: list[Count], licence: str) -> str:
    numbers = [str(sum(count.splits[split] for count in counts)) for split in SPLITS]
    hours = sum(count.hours for count in counts)
    cells = [source, tier, role, *numbers, f"{hours:.1f}" if hours else "", licence]
    escaped = [cell.replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(escaped)} |"
