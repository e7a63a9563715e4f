"""ConvImageVAE: encodes a picture as a latent, z_image, and decodes the latent to pixels.

The classic recipe (the settings of the bundle "classic") trains this convolutional autoencoder, as a baseline for the
painter.

Letters in shapes: B pictures of a batch, D dimensions of the latent (64).
"""

from __future__ import annotations

from torch import Tensor, nn

from clavilux.constants import ENCODER_SIDE_PX, LATENT_DIM
from clavilux.errors import BundleError, PictureError
from clavilux.models.weights import BundledNetwork, Weights, check_tensor

DECODED_SIDE_PX = 128


class ConvImageVAE(BundledNetwork):
    """Variational autoencoder of pictures; its layers are strided convolutions and ReLU, without normalisation layers.

    Parameters
    ----------
    width : int
        Number of channels at the finest scale.
    """

    part = "image_vae"

    def __init__(self, *, width: int = 32) -> None:
        super().__init__()
        coarse, cells = 4 * width, (ENCODER_SIDE_PX // 16) ** 2  # 64 px -> 4 px
        self.encoder = nn.Sequential(
            *_down(3, width), *_down(width, 2 * width), *_down(2 * width, coarse), *_down(coarse, coarse), nn.Flatten()
        )
        self.to_posterior = nn.Linear(coarse * cells, 2 * LATENT_DIM)
        self.decoder = nn.Sequential(  # 4 px -> 128 px
            nn.Linear(LATENT_DIM, coarse * cells),
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
    def sizes_of(cls, weights: Weights) -> dict[str, int]:
        """Return the constructor arguments that fit stored weights."""
        if weights.bundle.decoder != "pixels":
            raise BundleError(f"bundle {weights.bundle.name} decodes latents to controls; load it with ImageVAE")
        return {"width": weights.size("encoder.0.weight")}

    def encode(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean and the log-variance of the posterior, each (B, D), for pictures (B, 3, 64, 64) in [0, 1]."""
        check_tensor("pictures", pictures, 3, ENCODER_SIDE_PX, ENCODER_SIDE_PX, fault=PictureError)
        mean, logvar = self.to_posterior(self.encoder(pictures)).float().chunk(2, dim=1)
        return mean, logvar.clamp(-10.0, 4.0)

    forward = encode  # the graph that is exported

    def decode(self, z_image: Tensor) -> Tensor:
        """Return pictures (B, 3, 128, 128), sRGB in [0, 1], that are decoded from latents (B, D)."""
        check_tensor("z_image", z_image, LATENT_DIM, fault=PictureError)
        pictures: Tensor = self.decoder(z_image)
        return pictures.float()


def _down(fan_in: int, fan_out: int) -> list[nn.Module]:
    return [nn.Conv2d(fan_in, fan_out, 4, stride=2, padding=1), nn.ReLU()]


def _up(fan_in: int, fan_out: int) -> list[nn.Module]:
    return [nn.ConvTranspose2d(fan_in, fan_out, 4, stride=2, padding=1), nn.ReLU()]
