"""Read one photo: the header, and the pixels upright. Photos are untrusted and never modified."""

import contextlib
import functools
import json
import os
import stat
import warnings
from collections.abc import Container
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION, SAMPLEFORMAT, TILELENGTH, TILEWIDTH

from bow2cnn.core.printable import first_line
from bow2cnn.photos.exif import focal_of, gps_of, orientation_of, read_exif
from bow2cnn.photos.formats import FORMATS, RAW, UNSUPPORTED_TIFF, identify, is_raw, is_unsupported_tiff
from bow2cnn.photos.high_bit_depth import to_bytes
from bow2cnn.photos.jpeg import count_scans
from bow2cnn.photos.orientation import UPRIGHT, is_sideways
from bow2cnn.photos.size_limits import size_fault

_LARGEST_TILE = 2**24  # pixels; the tiles of a TIFF may extend beyond its edges
_MOST_LAYERS = 8  # how often tiles may cover a photo's area: a TIFF may have one layer per channel
_MOST_SCANS = 200  # a progressive JPEG has about ten, and decoding each takes a pass over all pixels
_OPAQUE = 255
_DARK = 128  # a photo of 16 bits whose brightest value in 8 bits is below this does not use the upper bits
# Pillow warns of damaged metadata. This is silenced once for all, because a filter that one thread sets affects all threads.
warnings.filterwarnings("ignore", module=r"PIL\.")


class PhotoError(ValueError):
    """A file cannot be used as a photo; the message is the reason."""


def read_header(path: str | Path, min_side: int, max_pixels: int) -> dict[str, Any]:
    """Check a photo and read its header, without decoding the pixels.

    Args:
        path: the file.
        min_side: smallest shorter side in pixels.
        max_pixels: largest width times height (larger photos may be decompression bombs).

    Returns:
        `width` and `height` (int, pixels of the upright photo), `orientation` (int, 1 to 8, from EXIF: how the pixels lie in the file),
        `focal` (float, focal length in pixels, NaN if EXIF has none), `gps` (latitude and longitude in degrees, NaN if EXIF has none).

    Raises:
        PhotoError: the file is not a usable photo.
    """
    with _open(path) as image:
        width, height = image.size
        reason = size_fault(width, height, min_side, max_pixels)
        if reason:
            raise PhotoError(reason)
        if image.format in ("JPEG", "MPO") and count_scans(path, _MOST_SCANS) > _MOST_SCANS:
            raise PhotoError(f"damaged (more than {_MOST_SCANS} scans)")
        exif = read_exif(image)
        if is_sideways(_turn(image)):
            width, height = height, width
        focal = focal_of(exif, max(width, height))
        return {"width": width, "height": height, "orientation": orientation_of(image), "focal": focal, "gps": gps_of(exif)}


def read_rgb(path: str | Path, max_side: int | None = None) -> np.ndarray:
    """Decode a photo and turn it upright by its EXIF orientation.

    Args:
        path: the file.
        max_side: larger photos are shrunk until the longer side has this many pixels; None for the full size.

    Returns:
        RGB, uint8 [height, width, 3].

    Raises:
        PhotoError: the pixels cannot be decoded.
    """
    with _open(path) as image:
        try:
            # JPEG only: decodes at 1/2, 1/4 or 1/8 of the size where that is enough. The last column and row may then extend beyond the
            # photo; `drafted` has the photo's own part.
            drafted = None if max_side is None else image.draft("RGB", (max_side, max_side))
            deep_colour = _is_deep_colour(image)  # before `_turn`: to find the EXIF block of a PNG, Pillow may load it
            turn = _turn(image)
            image = _all_bits(image, path) if deep_colour else _to_rgb(image)
            box = (0, 0, *image.size) if drafted is None else drafted[1]
            if max_side is not None and max(box) > max_side:
                scale = max_side / max(box)
                size = [max(1, round(side * scale)) for side in box[2:]]
                image = image.resize(size, Image.Resampling.BOX if scale < 0.5 else Image.Resampling.LANCZOS, box)
            _turn_upright(image, turn)
            return np.asarray(image)
        except MemoryError:  # not the photo's fault
            raise
        except Exception as error:  # the type of the exception depends on the damaged byte
            raise PhotoError(_refused(error) or f"cannot be decoded ({first_line(error)})") from error


def is_plain(path: str | Path, formats: Container[str]) -> bool:
    """Whether a photo has 8 bits per channel and one of these formats (Pillow's names).

    Raises:
        PhotoError: the file cannot be read.
    """
    with _open(path) as image:
        return image.format in formats and not _is_deep(image)


@contextlib.contextmanager
def _open(path):
    """Open a photo with Pillow. Pillow gets the open file: by name it would map TIFFs into memory and garble those that EXIF turns."""
    with contextlib.ExitStack() as stack:
        if not _is_in(os.environ.get("BOW2CNN_PHOTOS"), path):
            raise PhotoError("outside the folders of the config")
        try:
            if not stat.S_ISREG(os.stat(path).st_mode):  # opening a named pipe would wait for ever
                raise PhotoError("not a regular file")
            file = stack.enter_context(open(path, "rb"))
        except FileNotFoundError as error:
            raise PhotoError("vanished") from error
        except OSError as error:
            raise PhotoError(_refused(error)) from error
        try:
            image = stack.enter_context(Image.open(file, formats=FORMATS))
        except Image.DecompressionBombError as error:
            raise PhotoError("too large") from error
        except UnidentifiedImageError as error:
            raise PhotoError(identify(file, path)) from error
        except MemoryError:  # not the photo's fault
            raise
        except Exception as error:
            raise PhotoError(_refused(error) or f"damaged ({first_line(error)})") from error
        if is_raw(image, path):
            raise PhotoError(RAW)
        if is_unsupported_tiff(image):
            raise PhotoError(UNSUPPORTED_TIFF)
        _check_tiles(image)
        yield image


def _refused(error):
    """The reason if the system refused to read a file; None for any other error."""
    return f"not readable ({error.strerror})" if isinstance(error, OSError) and error.errno is not None else None


def _is_in(folders, path):
    """Whether a path is inside one of the folders (a JSON list; None: no limit). Paths come from artefacts, which may be untrusted.

    With `BOW2CNN_FOLLOW_LINKS`, a symbolic link inside one of the folders may lead out of it.
    """
    place = os.path.abspath if os.environ.get("BOW2CNN_FOLLOW_LINKS") else os.path.realpath
    return folders is None or place(path).startswith(_prefixes(folders, place))


@functools.cache
def _prefixes(folders, place):
    return tuple(os.path.join(place(folder), "") for folder in json.loads(folders))


def _check_tiles(image):
    """Refuse photos whose tiles are more or larger than the photo needs: decoding all of them could take very long."""
    covered = sum((right - left) * (bottom - top) for _, (left, top, right, bottom), *_ in image.tile)
    if covered > _MOST_LAYERS * image.width * image.height:
        raise PhotoError("damaged (its tiles cover far more than its area)")
    if image.format == "TIFF":
        width, height = (image.tag_v2.get(tag, 1) for tag in (TILEWIDTH, TILELENGTH))
        if not isinstance(width, int) or not isinstance(height, int):
            raise PhotoError("damaged (tiles without a size)")
        if width * height > max(_LARGEST_TILE, image.width * image.height):
            raise PhotoError(f"too large (tiles of {width} x {height} pixels)")


def _turn(image):
    """EXIF orientation of the pixels that Pillow decodes: 1 for TIFFs, because Pillow turns those itself."""
    return UPRIGHT if image.format == "TIFF" else orientation_of(image)


def _turn_upright(image, orientation):
    """Turn decoded pixels in place. `exif_transpose` gets the orientation alone: it would fail on a damaged EXIF block."""
    image.info = {}
    image.getexif()[ExifTags.Base.Orientation] = orientation
    ImageOps.exif_transpose(image, in_place=True)


def _is_deep(image):
    """Whether an opened photo is greyscale with more than 8 bits."""
    return image.mode.startswith(("I", "F"))


def _is_deep_colour(image):
    """Whether an opened photo, not decoded yet, may have 16 bits per colour channel, of which Pillow keeps the upper 8."""
    deep = any(";16" in str(tile[3]) for tile in image.tile)
    return not _is_deep(image) and (image.format in ("PPM", "JPEG2000") or (image.format in ("PNG", "TIFF") and deep))


def _all_bits(image, path):
    """RGB of a photo that may have 16 bits per colour channel.

    OpenCV decodes the photo if it does not use the upper bits (such as 12 of 16), and JPEG 2000, where Pillow rounds the brightest values
    up to zero. Like Pillow, OpenCV turns TIFFs here, and no other format.
    """
    rgb = _to_rgb(image)
    if image.format != "JPEG2000" and max(top for _, top in rgb.getextrema()) >= _DARK:
        return rgb
    del rgb  # saves the memory of a third copy
    values = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.shape[:2] != image.size[::-1]:
        raise ValueError("16 bits per channel, of which only 8 can be read")
    return Image.fromarray(to_bytes(values[..., 2::-1])) if values.ndim == 3 and values.dtype != np.uint8 else _to_rgb(image)


def _to_rgb(image):
    """Convert any mode to RGB. More bits are scaled to 8 (Pillow would clip them). Transparent parts become white.

    Transparency is ignored where no pixel is opaque: the channel was never filled, or has 12 of 16 bits.
    """
    if _is_deep(image):
        return Image.fromarray(_grey(image)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        if layer.getchannel("A").getextrema()[1] < _OPAQUE:
            return layer.convert("RGB")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _grey(image):
    """Scale a greyscale photo of more than 8 bits to uint8 [h, w].

    Two corrections for TIFFs: Pillow reads unsigned numbers of 32 bits as signed ones, and ignores the tag by which zero means white.
    """
    values = np.asarray(image)
    if image.format != "TIFF":
        return to_bytes(values)
    if image.mode == "I" and image.tag_v2.get(SAMPLEFORMAT, (1,))[0] == 1:
        values = values.view(np.uint32)
    return 255 - to_bytes(values) if image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == 0 else to_bytes(values)
