"""Read the result files of a study, and compute how often each visitor was right."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clavilux.errors import StudyError
from clavilux.measures.intervals import bootstrap_mean, wilson
from clavilux.study.key import unscramble
from clavilux.study.make import FORMAT, VERSION
from clavilux.system.arguments import show

PARTS = {"which picture": ("left", "right"), "same song or not": ("same", "different")}
_MAX_BYTES = 1_000_000
_LEAST_VISITORS = 5  # with fewer visitors, there is no bootstrap interval over visitors


@dataclass(frozen=True)
class Visit:
    """The result of one visitor of a study: the identity of the visitor, and whether each answer was right."""

    visitor: str  # random id of the visitor
    name: str  # name that the visitor entered; may be empty
    study: str  # id of the study
    made: str  # version, bundle and seed that the study was made with
    is_right: dict[str, list[bool]]  # part of the study (key of `PARTS`) -> one bool per answer


@dataclass(frozen=True)
class Row:
    """How often one visitor, or all visitors together, were right in one part of a study."""

    who: str  # name, id, or name and id of the visitor, or "all N" for N visitors
    part: str  # key of `PARTS`
    k: int  # number of right answers
    n: int  # number of answers
    low: float  # lower end of the 95 % Wilson interval of k / n
    high: float  # upper end of the 95 % Wilson interval
    over_visitors: tuple[float, float] | None = None  # 95 % bootstrap interval of the mean over visitors of k / n


def read_visit(path: Path) -> Visit:
    """Read the result of a visitor from a file that the page of a study has saved.

    Raises
    ------
    StudyError
        If the file is missing, too large, damaged, incomplete or of another version. The message is one line that names
        the file.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise StudyError("is too large to be a result of a study")
        return _parse(path.read_bytes())
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror})") from error
    except StudyError as error:
        raise StudyError(f"{path}: {error}") from None


def summarise(visits: Sequence[Visit]) -> list[Row]:
    """Return one row per visitor and part of a study, then one row per part for all visitors together.

    All visits belong to the same study. A row names the visitor by name, and also by id if the name is empty or several
    visitors have it. The Wilson interval for all visitors together treats all answers as
    independent, although the answers of one visitor are not. With five visitors or more, the rows for
    all visitors also have a bootstrap interval of the mean of the visitors' fractions of right answers.
    """
    n_named = Counter(visit.name for visit in visits)
    rows = []
    for visit in visits:
        is_unique = visit.name and n_named[visit.name] == 1
        who = visit.name if is_unique else f"{visit.name} {visit.visitor}".strip()
        rows += [_row(who, part, visit.is_right[part]) for part in PARTS]
    for part in PARTS:
        pooled = [is_right for visit in visits for is_right in visit.is_right[part]]
        over_visitors = None
        if len(visits) >= _LEAST_VISITORS:
            shares = np.array([np.mean(visit.is_right[part]) for visit in visits])
            over_visitors = bootstrap_mean(shares, rng=np.random.default_rng(0))
        rows.append(_row(f"all {len(visits)}", part, pooled, over_visitors))
    return rows


def _row(who: str, part: str, is_right: Sequence[bool], over: tuple[float, float] | None = None) -> Row:
    low, high = wilson(sum(is_right), len(is_right))
    return Row(who, part, sum(is_right), len(is_right), low, high, over)


def _parse(content: bytes) -> Visit:
    try:
        result = json.loads(content)
    except (ValueError, RecursionError):
        raise StudyError("is not JSON; give the file that the page of the study saved") from None
    if not isinstance(result, dict) or result.get("format") != FORMAT:
        raise StudyError("is not a result of a study; give the file that the page of the study saved")
    if result.get("version") != VERSION:
        raise StudyError(f"has version {show(result.get('version'))}; this Clavilux reads version {VERSION}")
    study, visitor, name, key = (_text(result, field) for field in ("study", "visitor", "name", "key"))
    right = unscramble(key, study)
    given = _read_answers(result.get("answers"))
    if extra := sorted(set(given) - set(right)):
        raise StudyError(f"answers question {show(extra[0])}, which the study does not have")
    if missing := sorted(set(right) - set(given), key=int):
        raise StudyError(f"has no answer to {len(missing)} of {len(right)} questions; the first is {missing[0]}")
    is_right: dict[str, list[bool]] = {part: [] for part in PARTS}
    for trial, answer in right.items():
        part = next((part for part, choices in PARTS.items() if answer in choices), None)
        if part is None:
            raise StudyError("its key is damaged; ask for the file again")
        if given[trial] not in PARTS[part]:
            choices = " or ".join(PARTS[part])
            raise StudyError(f"the answer to question {trial} is {show(given[trial])}; it must be {choices}")
        is_right[part].append(given[trial] == answer)
    made = result.get("made")
    described = ", ".join(f"{k} {v}" for k, v in made.items()) if isinstance(made, dict) else ""
    return Visit(visitor, name, study, described, is_right)


def _read_answers(answers: Any) -> dict[str, Any]:
    """Return the answers of a visitor: id of the trial -> answer."""
    if not isinstance(answers, list) or not all(isinstance(each, dict) for each in answers):
        raise StudyError("its answers are damaged; ask for the file again")
    given: dict[str, Any] = {}
    for each in answers:
        trial = _text(each, "trial")
        if trial in given:
            raise StudyError(f"question {show(trial)} is answered twice; ask for the file again")
        given[trial] = each.get("answer")
    return given


def _text(entry: dict[str, Any], field: str) -> str:
    if field not in entry:
        raise StudyError(f"it has no {field}; ask for the file again")
    if not isinstance(value := entry[field], str):
        raise StudyError(f"its {field} is {show(value)} instead of a text; ask for the file again")
    return value
