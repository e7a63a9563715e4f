"""Painted pictures: pixels, with the data they were painted from; how pictures are saved and shown."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from clavilux.alt_text import describe_picture
from clavilux.constants import DENSITY_DPI, DPI_RANGE
from clavilux.errors import PictureError
from clavilux.painter.controls import Controls
from clavilux.picture_file import VECTOR_FORMATS, encode_picture, picture_format, suffix_of
from clavilux.system.arguments import FileName, Number, file_path, real_number, show, whole_number
from clavilux.system.files import replacing

if TYPE_CHECKING:
    from PIL import Image

    from clavilux.audio.song import Song

UInt8 = NDArray[np.uint8]
Float32 = NDArray[np.float32]

_SHOWN_PX = 1_024  # longest side of the picture that a notebook shows


@dataclass(frozen=True, eq=False, repr=False)
class Picture:
    """A picture and the data that it was painted from. Jupyter displays it; `numpy.asarray` returns its pixels.

    Attributes
    ----------
    pixels : (H, W, 3) uint8
        sRGB, first row at the top.
    record : dict
        JSON values to paint the picture again: ``clavilux`` (version), ``song``, ``bundle`` (name, sha256 of
        bundle.json), ``z_image`` and the options, see `clavilux.record.PaintOptions`. A picture of controls has
        ``clavilux``, ``name``, ``controls``, ``size`` and ``dpi``.
    controls : Controls or None
        Input of the painter; None if the bundle decodes latents to pixels.
    z_image : (64,) float32 or None
        The latent that the picture was decoded from; None if it was painted from controls.
    song : Song or None
        The song with its features and descriptors; None if the picture was painted without a song.
    z_audio : (64,) float32 or None
        The mean over the windows of the song of their audio latents; None without a song.

    Examples
    --------
    >>> picture = paint("nocturne.flac", size=128)
    >>> picture.image.size, np.asarray(picture).shape, picture.z_image.shape
    ((128, 128), (128, 128, 3), (64,))
    >>> picture.description.startswith("Abstract picture, ")
    True
    """

    pixels: UInt8
    record: dict[str, Any]
    controls: Controls | None
    z_image: Float32 | None
    song: Song | None
    z_audio: Float32 | None = None

    @cached_property
    def description(self) -> str:
        """Two sentences for people who cannot see the picture: colours, marks, layout, contrast and symmetry."""
        return describe_picture(self.pixels, self.controls)

    @cached_property
    def image(self) -> Image.Image:
        """The picture as an image of Pillow, in mode RGB."""
        from PIL import Image

        return Image.fromarray(self.pixels)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.pixels, dtype, copy=copy)

    def __repr__(self) -> str:
        height, width, _ = self.pixels.shape
        source = "controls" if self.song is None else repr(self.song.name[:40])
        return f"<Picture of {source}, {width} x {height}: {self.description}>"

    def _repr_png_(self) -> bytes:
        """Return the picture as PNG for a notebook, smaller if it is large."""
        shown = self.image
        if max(shown.size) > _SHOWN_PX:
            scale = _SHOWN_PX / max(shown.size)
            shown = shown.resize((max(1, round(shown.width * scale)), max(1, round(shown.height * scale))))
        buffer = io.BytesIO()
        shown.save(buffer, "PNG")
        return buffer.getvalue()

    def save(
        self,
        target: FileName | IO[bytes],
        *,
        format: str | None = None,
        quality: Number = 95,
        dpi: Number | None = None,
        exclusive: bool = False,
        plot: bool = False,
    ) -> None:
        """Write the picture and its record as PNG, JPEG, WebP, TIFF, AVIF, SVG or PDF.

        A file is written under a temporary name and then renamed, so it is never incomplete. Formats with pixels
        contain an sRGB profile, for correct colours on wide-gamut screens.

        Parameters
        ----------
        target : path-like or file
            A name with the extension .png, .jpg, .jpeg, .webp, .tif, .tiff, .avif, .svg or .pdf, or a file that is
            open for writing in binary mode, such as `io.BytesIO`. An existing file is replaced. PNG, WebP and TIFF are
            lossless. WebP has a third to a half of the size of PNG, is slow, and is limited to 4096 x 4096 pixels.
        format : str, optional
            Such as "png"; by default the extension of the name.
        quality : int
            Quality of JPEG and AVIF, 1 to 100. Chroma is not subsampled, because marks have sharp edges.
        dpi : float, optional
            Pixels per inch that the file states; by default those of the record, or 300.
        exclusive : bool
            Raise an error instead of replacing an existing file.
        plot : bool
            Lines only, for a plotter: the borders of areas and the centre line of each stroke; only for SVG and PDF.

        Raises
        ------
        FileExistsError
            With ``exclusive``, if a file of that name exists.
        PictureError
            If the format is unknown or does not allow so many pixels, an argument has a wrong type or is out of range,
            or the file cannot be written.
        ModuleNotFoundError
            For SVG and PDF, without contourpy, of the extra `vector`.

        Examples
        --------
        >>> import io
        >>> picture = paint("nocturne.flac", size=128)
        >>> picture.save("cover.jpg", quality=85)
        >>> buffer = io.BytesIO()
        >>> picture.save(buffer, format="png")
        >>> buffer.getvalue()[1:4]
        b'PNG'
        """
        if not (isinstance(target, str | bytes | os.PathLike) or hasattr(target, "write")):
            raise PictureError(f"target is {show(target)}; it must be a path, or a file that is open in binary mode")
        is_path = isinstance(target, str | bytes | os.PathLike)
        path = file_path("path", target if is_path else getattr(target, "name", None) or "picture")
        if format is not None:
            path_of_format = Path(f"{path}{suffix_of(format)}")
        elif is_path or path.suffix:
            path_of_format = path
        else:
            raise PictureError('a file without a name has no format; give one, such as format="png"')
        height, width, _ = self.pixels.shape
        kind = picture_format(path_of_format, (width, height), vector=True)
        density = real_number("dpi", self.record.get("dpi", DENSITY_DPI) if dpi is None else dpi, *DPI_RANGE)
        texts: dict[str, Any] = {"description": self.description, "record": self.record}
        quality = whole_number("quality", quality, 1, 100)
        content: bytes | memoryview
        if kind in VECTOR_FORMATS.values():
            content = self._encode_vector(kind, plot=plot, dpi=density)
        elif plot:
            raise PictureError(f"{path}: a plot has lines and no pixels; give a name that ends in .svg or .pdf")
        else:
            content = encode_picture(self.pixels, kind, quality=quality, dpi=density, **texts)
        if is_path:
            _write(path, content, exclusive=exclusive)
        else:
            try:
                target.write(content)  # type: ignore[union-attr]
            except (TypeError, ValueError) as error:  # open as text, closed, open for reading
                raise PictureError(f"{path}: cannot be written ({error}); open it with mode 'wb'") from error

    def _encode_vector(self, kind: str, *, plot: bool, dpi: float) -> bytes:
        from clavilux.vector import draw_vector, write_pdf, write_svg

        if self.controls is None:
            raise PictureError("the bundle of the picture decodes pixels, which have no shapes; give a name in .png")
        height, width, _ = self.pixels.shape
        settings = self.record.get("controls", self.record)
        seed = settings["seed"] + settings.get("variation", 0)
        drawing = draw_vector(self.controls, width, height, seed=seed, plot=plot, dpi=dpi)
        write = write_svg if kind == "SVG" else write_pdf
        return write(drawing, dpi=dpi, description=self.description, record=self.record)


def _write(path: Path, content: bytes | memoryview, *, exclusive: bool) -> None:
    """Write a file as a whole; raise `PictureError` if that fails."""
    try:
        with replacing(path, exclusive=exclusive) as temporary:
            temporary.write_bytes(content)
    except FileExistsError:
        raise
    except OSError as error:
        raise PictureError(f"{path}: cannot be written ({error.strerror or error})") from error
