"""Write and read the key of a study: the right answers, scrambled so that nobody reads them by accident.

The page of the study and each result file contain the key, so that a result can be read without other files. The key is
not encrypted, so it does not prevent cheating.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping

from clavilux.errors import StudyError

_DIGEST_BYTES = 8


def scramble(answers: Mapping[str, str], study: str) -> str:
    """Return the key of the study with the id ``study``, made from its right answers (id of the trial -> answer)."""
    plain = json.dumps(answers, sort_keys=True).encode()
    return base64.b64encode(_mask(hashlib.sha256(plain).digest()[:_DIGEST_BYTES] + plain, study)).decode("ascii")


def unscramble(key: str, study: str) -> dict[str, str]:
    """Return the right answers (id of the trial -> answer) in the key of a study with the id ``study``.

    Raises
    ------
    StudyError
        If the key is damaged, or belongs to another study.
    """
    try:
        content = _mask(base64.b64decode(key, validate=True), study)
        digest, plain = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if digest != hashlib.sha256(plain).digest()[:_DIGEST_BYTES]:
            raise ValueError
        answers = json.loads(plain)
        if not isinstance(answers, dict) or not all(trial.isdecimal() for trial in answers):
            raise ValueError
    except (ValueError, RecursionError):
        raise StudyError("its key is damaged; ask for the file again") from None
    return {trial: str(answer) for trial, answer in answers.items()}


def _mask(content: bytes, study: str) -> bytes:
    mask = hashlib.shake_256(study.encode()).digest(len(content))
    return bytes(a ^ b for a, b in zip(content, mask, strict=True))
