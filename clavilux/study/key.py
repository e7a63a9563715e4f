"""The key of a study: its right answers as text that nobody reads by accident.

The page and each result file contain this text, so that a result can be read without other files. The text is
scrambled, not encrypted, so that it does not prevent cheating.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping

from clavilux.errors import StudyError

_DIGEST_BYTES = 8


def scramble(answers: Mapping[str, str], study: str) -> str:
    """Return the key of a study: its answers (trial -> right answer) as text that depends on the id of the study."""
    plain = json.dumps(answers, sort_keys=True).encode()
    return base64.b64encode(_mask(hashlib.sha256(plain).digest()[:_DIGEST_BYTES] + plain, study)).decode("ascii")


def unscramble(key: str, study: str) -> dict[str, str]:
    """Return the answers (trial -> right answer) in the key of a study.

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
    except (ValueError, binascii.Error):
        raise StudyError("its key is damaged; ask for the file again") from None
    return {str(trial): str(answer) for trial, answer in answers.items()}


def _mask(content: bytes, study: str) -> bytes:
    mask = hashlib.shake_256(study.encode()).digest(len(content))
    return bytes(a ^ b for a, b in zip(content, mask, strict=True))
