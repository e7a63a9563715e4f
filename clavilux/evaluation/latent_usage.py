"""Measures of how much of the picture latent is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clavilux.measures.diversity import Floats

ACTIVE_VARIANCE = 0.01  # Burda et al. 2016


def active_units(means: Floats) -> int:
    """Return the number of active units (Burda et al. 2016) of posterior means (n, D) of real pictures.

    These are the latent dimensions whose posterior mean has a variance above `ACTIVE_VARIANCE` over the pictures.
    """
    return int((np.var(means, axis=0) > ACTIVE_VARIANCE).sum())


def kl_of_latents(means: Floats, logvars: Floats) -> NDArray[np.float64]:
    """Return the KL divergence of posteriors from N(0, 1) in nats per latent dimension, (D,): the mean over pictures.

    ``means`` and ``logvars`` (n, D) are the means and log-variances of the posteriors.
    """
    means, logvars = np.asarray(means, np.float64), np.asarray(logvars, np.float64)
    return np.asarray(0.5 * (means**2 + np.exp(logvars) - 1.0 - logvars).mean(axis=0))


def stated_kl(card: Mapping[str, Any]) -> float | None:
    """Return the KL divergence that the card of a bundle states, divided by its target; None if it states none."""
    kl_nats = card.get("measures", {}).get("image_vae", {}).get("kl_nats")
    target = card.get("config", {}).get("image_vae", {}).get("target_nats")
    return float(kl_nats) / float(target) if kl_nats and target else None
