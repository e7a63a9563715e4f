"""The class `Picture`: pixels and the data that they were painted from."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from clavilux.alt_text import Cells, Look, MainColour, average_cells, describe_picture, main_colours, measure_look
from clavilux.constants import DENSITY_DPI, DPI_RANGE
from clavilux.errors import OutputExistsError, PictureError
from clavilux.painter.controls import Controls
from clavilux.picture_file import ALL_FORMATS, VECTOR_FORMATS, encode_picture, picture_format, read_record, suffix_of
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
    """A picture and the data that it was painted from.

    Jupyter shows the picture, and `numpy.asarray` returns its pixels. All arrays are read-only. Two pictures are never
    equal by ``==``; compare their pixels or records.

    Attributes
    ----------
    pixels : (H, W, 3) uint8
        sRGB; the first row is at the top. The ground (the background) is always painted, even if `rgba` is given.
    record : dict
        JSON values from which the picture can be painted again: ``clavilux`` (version), ``song``, ``bundle`` (name, and
        sha256 of bundle.json), ``z_image`` and the options of `PaintOptions`. The record of a picture that was
        painted from controls has ``clavilux``, ``name``, ``controls``, ``size`` and ``dpi``.
    controls : Controls or None
        The controls that were painted: palette, plan, kinds of marks and so on. None if the bundle decodes latents to
        pixels. `clavilux.paint` paints them with ``seed=0`` by default, so give the seed of the picture plus its
        variation. The result is nearly the same picture, because controls are rounded: colours to 8 bits, the plan to
        3 decimals, other numbers to 4. A picture of controls is then exactly that of their file. To get this picture
        exactly, use `Clavilux.repaint`.
    z_image : (64,) float32 or None
        The latent vector that the picture was decoded from; None if the picture was painted from controls.
    song : Song or None
        The song with its features and descriptors; None if the picture was painted without a song.
    z_audio : (64,) float32 or None
        The mean audio latent over the windows of the song; None without a song.
    rgba : (H, W, 4) uint8 or None
        The picture without its ground, as sRGB and alpha; None unless the option ``background`` is "transparent". If
        given, `save` writes these pixels. Colours are not multiplied by alpha, and at the borders of the ground they
        are not mixed with its colour, as they are in `pixels`.

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
    rgba: UInt8 | None = None

    def __post_init__(self) -> None:
        for name in ("pixels", "z_image", "z_audio", "rgba"):
            if (array := getattr(self, name)) is not None:
                view = array.view()
                view.flags.writeable = False
                object.__setattr__(self, name, view)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)  # of a pickle or a deep copy, whose arrays are writable
        self.__post_init__()

    @cached_property
    def description(self) -> str:
        """A description for people who cannot see the picture: technique, colours, figures, layout and contrast."""
        height, width, _ = self.pixels.shape
        return describe_picture(self.cells, self.controls, size=(width, height), seed=self._seed)

    @cached_property
    def colours(self) -> list[MainColour]:
        """The main colours, the largest first; each has a ``name``, a ``hex`` code and the ``share`` that it covers."""
        return main_colours(self.cells)

    @property
    def look(self) -> Look:
        """Measures of lightness, contrast, colourfulness and busyness, from which the description is written."""
        height, width, _ = self.pixels.shape
        return measure_look(self.cells, self.controls, size=(width, height), seed=self._seed)

    @cached_property
    def cells(self) -> Cells:
        """Means over small cells of the picture, from which its description and its main colours are computed."""
        return average_cells(self.pixels, self.alpha)

    @property
    def _seed(self) -> int:
        """The random seed that the controls were painted with."""
        settings = self.record.get("controls", self.record)
        return int(settings.get("seed", 0) + settings.get("variation", 0))

    @property
    def alpha(self) -> UInt8 | None:
        """Alpha channel (H, W) uint8, from 0 (only ground) to 255 (no ground); None if the ground is painted."""
        return None if self.rgba is None else self.rgba[..., 3]

    @cached_property
    def on_ground(self) -> Picture:
        """The same picture with its ground painted, for formats without transparency."""
        record = {name: value for name, value in self.record.items() if name != "background"}
        return replace(self, record=record, rgba=None)

    @cached_property
    def image(self) -> Image.Image:
        """The picture as an image of Pillow, in mode RGB, or RGBA if its ground is transparent."""
        from PIL import Image

        return Image.fromarray(self.pixels if self.rgba is None else self.rgba)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.pixels, dtype, copy=copy)

    def __repr__(self) -> str:
        height, width, _ = self.pixels.shape
        song = self.record.get("song", {"name": ""})["name"] if self.song is None else self.song.name
        source = repr(song[:40]) if song else "controls"
        return f"<Picture of {source}, {width} x {height}: {self.description}>"

    def _repr_png_(self) -> bytes:
        """Return the picture as a PNG file for a notebook; its longer side has at most 1024 pixels."""
        shown = self.image.copy()
        shown.thumbnail((_SHOWN_PX, _SHOWN_PX), reducing_gap=None)
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
        """Write the picture and its record to a PNG, JPEG, WebP, TIFF, AVIF, SVG or PDF file.

        The file is written under a temporary name and then renamed, so that it is never incomplete. Files of all
        formats except SVG and PDF contain an sRGB profile, for correct colours on wide-gamut screens.

        Parameters
        ----------
        target : path-like or file
            A file name with the extension .png, .jpg, .jpeg, .webp, .tif, .tiff, .avif, .svg or .pdf, or a file that is
            open for writing in binary mode, such as `io.BytesIO`. An existing file is replaced. PNG, WebP and TIFF are
            lossless. A WebP file is a half to a third as large as a PNG file, takes longer to write, and has at most
            4096 x 4096 pixels.
        format : str, optional
            Name of the format, such as "png"; by default, the extension of the file name.
        quality : int
            Quality of JPEG and AVIF, from 1 to 100. Chroma is not subsampled, because marks have sharp edges.
        dpi : float, optional
            Pixels per inch that the file states; by default the number in the record, or 300 if the record has none.
        exclusive : bool
            Raise an error instead of replacing an existing file.
        plot : bool
            Draw only lines, for a plotter: the borders of areas and the centre line of each brush stroke. Each pen
            has a layer. Only for SVG and PDF.

        Raises
        ------
        FileExistsError
            If ``exclusive`` is set and the file exists; it is a `ClaviluxError` too.
        PictureError
            If the format is unknown or does not allow so many pixels, if the picture has a transparent ground and the
            format is JPEG, if an argument has a wrong type or is out of range, or if the file cannot be written.
        MissingExtraError
            If the format is SVG or PDF, and contourpy (in the extra ``vector``) is not installed.

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
        is_path = isinstance(target, str | bytes | os.PathLike)
        if not (is_path or hasattr(target, "write")):
            raise PictureError(f"target is {show(target)}; it must be a path, or a file that is open in binary mode")
        path = file_path("path", target if is_path else getattr(target, "name", None) or "picture")
        if format is None and not (is_path or path.suffix):
            raise PictureError('a file without a name has no format; give one, such as format="png"')
        if format is not None and is_path:
            _check_name(path, suffix_of(format), exclusive=exclusive)
        height, width, _ = self.pixels.shape
        named = path if format is None else Path(f"{path}{suffix_of(format)}")
        kind = picture_format(named, (width, height), vector=True, transparent=self.rgba is not None)
        dpi = real_number("dpi", self.record.get("dpi", DENSITY_DPI) if dpi is None else dpi, *DPI_RANGE)
        quality = whole_number("quality", quality, 1, 100)
        content: bytes | memoryview
        if kind in VECTOR_FORMATS.values():
            content = self._encode_vector(kind, plot=plot, dpi=dpi)
        elif plot:
            raise PictureError(f"{path}: a plot has lines and no pixels; give a name that ends in .svg or .pdf")
        else:
            content = encode_picture(
                self.pixels if self.rgba is None else self.rgba,
                kind,
                quality=quality,
                dpi=dpi,
                description=self.description,
                record=self.record,
            )
        if is_path:
            _write(path, content, exclusive=exclusive)
        else:
            try:
                target.write(content)  # type: ignore[union-attr]
            except (TypeError, ValueError) as error:  # the file is closed, or open for text or for reading
                raise PictureError(f"{path}: cannot be written ({error}); open it with mode 'wb'") from error
            except OSError as error:
                raise PictureError(f"{path}: cannot be written ({error.strerror or error})") from error

    def _encode_vector(self, kind: str, *, plot: bool, dpi: float) -> bytes:
        from clavilux.vector import draw_vector
        from clavilux.vector_files import write_pdf, write_svg

        if self.controls is None:
            raise PictureError("the bundle of the picture decodes pixels, which have no shapes; give a name in .png")
        height, width, _ = self.pixels.shape
        drawing = draw_vector(
            self.controls, width, height, seed=self._seed, plot=plot, dpi=dpi, transparent=self.rgba is not None
        )
        write = write_svg if kind == "SVG" else write_pdf
        description = f"Lines for a pen plotter, without areas. {self.description}" if plot else self.description
        return write(drawing, dpi=dpi, description=description, record=self.record)


def _check_name(path: Path, suffix: str, *, exclusive: bool) -> None:
    """Raise a `PictureError` if the name of a file is of another format, or if a file of another kind has this name."""
    own = path.suffix.lower()
    if own in ALL_FORMATS and ALL_FORMATS[own] != ALL_FORMATS[suffix]:
        raise PictureError(f"{path}: is the name of another format than {suffix[1:]!r}; give one of them")
    if own not in ALL_FORMATS and not exclusive and path.is_file():
        try:
            read_record(path)
        except PictureError as error:
            raise PictureError(f"{path}: exists already and is no picture of Clavilux; give another name") from error


def _write(path: Path, content: bytes | memoryview, *, exclusive: bool) -> None:
    """Write a file atomically; raise `PictureError` if it cannot be written."""
    try:
        with replacing(path, exclusive=exclusive) as temporary:
            temporary.write_bytes(content)
    except FileExistsError as error:
        raise OutputExistsError(f"{path}: exists already; give another name, or save without exclusive") from error
    except OSError as error:
        raise PictureError(f"{path}: cannot be written ({error.strerror or error})") from error
