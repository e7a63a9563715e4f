"""ConvImageVAE: a plain convolutional autoencoder, picture <-> z_image, whose decoder predicts pixels.

The network of the classic recipe, the baseline of the painter.

Legend: B batch, D latent dimensions (64), S side of the decoded picture (128).
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from clavilux.bundle import Bundle
from clavilux.constants import ENCODER_SIDE_PX, LATENT_DIM
from clavilux.errors import BundleError
from clavilux.models.weights import make_network, open_weights, side

DECODED_SIDE_PX = 128


class ConvImageVAE(nn.Module):
    """Strided convolutions, transposed convolutions and ReLU, without normalisation.

    Parameters
    ----------
    width : int
        Channels at the finest scale.
    latent_dim : int
        D, size of the latent.
    """

    def __init__(self, *, width: int = 32, latent_dim: int = LATENT_DIM) -> None:
        super().__init__()
        coarse, cells = 4 * width, (ENCODER_SIDE_PX // 16) ** 2  # 64 px -> 4 px
        self.encoder = nn.Sequential(
            *_down(3, width), *_down(width, 2 * width), *_down(2 * width, coarse), *_down(coarse, coarse), nn.Flatten()
        )
        self.to_posterior = nn.Linear(coarse * cells, 2 * latent_dim)
        self.decoder = nn.Sequential(  # 4 px -> 128 px
            nn.Linear(latent_dim, coarse * cells),
            nn.Unflatten(1, (coarse, 4, 4)),
            nn.ReLU(),
            *_up(coarse, coarse),
            *_up(coarse, 2 * width),
            *_up(2 * width, width),
            *_up(width, width),
            nn.ConvTranspose2d(width, 3, 4, stride=2, padding=1),
            nn.Sigmoid(),
        )

    @classmethod
    def from_bundle(cls, bundle: Bundle | Path | str = "default") -> ConvImageVAE:
        """Return the network of a bundle, for evaluation; widths are read from its weights.

        Parameters
        ----------
        bundle : Bundle, Path or str
            A bundle, its folder, or the name of a shipped one.

        Raises
        ------
        BundleError
            If there is no such bundle, or its decoder predicts controls of the painter.
        TrainingError
            If the shapes of its weights do not fit together.
        """
        opened, weights = open_weights(bundle, "image_vae")
        if opened.decoder != "pixels":
            raise BundleError(f"bundle {opened.name} decodes latents to controls; load it with ImageVAE.from_bundle")
        width = side(weights, "encoder.0.weight", opened, "image_vae")
        return make_network(lambda: cls(width=width), weights, opened, "image_vae")

    def encode(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance of the posterior, each (B, D), of sRGB pictures (B, 3, 64, 64) in [0, 1]."""
        mean, logvar = self.to_posterior(self.encoder(pictures)).float().chunk(2, dim=1)
        return mean, logvar.clamp(-10.0, 4.0)

    def decode(self, z_image: Tensor) -> Tensor:
        """Return pictures (B, 3, 128, 128), sRGB in [0, 1], of latents (B, D)."""
        pictures: Tensor = self.decoder(z_image)
        return pictures.float()

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance of the posterior, as `encode`; exported to ONNX as the picture encoder."""
        return self.encode(pictures)


def _down(fan_in: int, fan_out: int) -> list[nn.Module]:
    return [nn.Conv2d(fan_in, fan_out, 4, stride=2, padding=1), nn.ReLU()]


def _up(fan_in: int, fan_out: int) -> list[nn.Module]:
    return [nn.ConvTranspose2d(fan_in, fan_out, 4, stride=2, padding=1), nn.ReLU()]
