"""From a rendered image to a file: imperfections of the camera, EXIF, encodings."""

import io
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

METRES_PER_DEGREE = 111_320.0  # of latitude
CROP = 6.0  # ratio of the 35 mm equivalent to the focal length of the simulated camera
TURNS = {"rotated": (Image.Transpose.ROTATE_90, 6), "rotated back": (Image.Transpose.ROTATE_270, 8)}
MODELS = [("Nikon", "P300"), ("Canon", "S95"), ("Sony", "RX100"), ("Apple", "iPhone 5"), ("Panasonic", "LX7")]


@dataclass(frozen=True)
class Tags:
    """The content of EXIF.

    Attributes:
        equivalent: 35 mm equivalent of the focal length, mm.
        latitude, longitude: degrees.
        taken: date and time, as "2016:07:01 12:00:00".
        model: row of `MODELS`.
    """

    equivalent: int
    latitude: float
    longitude: float
    taken: str
    model: int


def develop(rng: np.random.Generator, image: np.ndarray, night: bool) -> np.ndarray:
    """Apply exposure, color cast, contrast, gamma, blur and noise to an image float32 [h, w, 3] in [0, 1]; the result is uint8."""
    cast = np.exp(rng.normal(0, 0.035) * np.array([1, 0.1, -1]))
    gain = np.exp(rng.normal(0, 0.09)) * cast
    image = np.clip(image * gain.astype(np.float32), 0, 1.4)
    image = np.power(image, np.float32(np.exp(rng.normal(0, 0.1))))
    image = (image - 0.45) * np.float32(np.exp(rng.normal(0.03, 0.08))) + 0.45
    blur = rng.uniform(0.0, 0.75)
    if blur > 0.3:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    sigma = rng.uniform(0.012, 0.022) if night else rng.uniform(0.003, 0.012)
    image = image + sigma * rng.standard_normal(image.shape, dtype=np.float32)
    return np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)


def degrees(value: float) -> tuple[IFDRational, IFDRational, IFDRational]:
    """Degrees, minutes and seconds of an angle in degrees, to a ten-thousandth of a second (3 mm)."""
    units = round(abs(value) * 36_000_000)
    whole, rest = divmod(units, 36_000_000)
    minutes, rest = divmod(rest, 600_000)
    return IFDRational(whole, 1), IFDRational(minutes, 1), IFDRational(rest, 10_000)


def exif(tags: Tags | None, orientation: int = 1) -> Image.Exif:
    """The EXIF block; without tags it holds only an orientation that is not upright (1)."""
    block = Image.Exif()
    if orientation != 1:
        block[0x0112] = orientation
    if tags is None:
        return block
    block[0x010F], block[0x0110] = MODELS[tags.model]
    detail = block.get_ifd(0x8769)
    detail[0x9003] = tags.taken  # DateTimeOriginal
    detail[0x920A] = IFDRational(round(tags.equivalent / CROP * 100), 100)  # FocalLength
    detail[0xA405] = tags.equivalent  # FocalLengthIn35mmFilm
    gps = block.get_ifd(0x8825)
    gps[1], gps[2] = "N" if tags.latitude >= 0 else "S", degrees(tags.latitude)
    gps[3], gps[4] = "E" if tags.longitude >= 0 else "W", degrees(tags.longitude)
    return block


def offset(latitude: float, longitude: float, east: float, north: float) -> tuple[float, float]:
    """Latitude and longitude (degrees) of a point some metres east and north of a place."""
    return (
        latitude + north / METRES_PER_DEGREE,
        longitude + east / (METRES_PER_DEGREE * np.cos(np.radians(latitude))),
    )


def jpeg(image: np.ndarray, tags: Tags | None = None, form: str = "plain") -> bytes:
    """Encode an image as JPEG.

    Args:
        image: uint8 [h, w, 3], RGB.
        tags: the EXIF; None for none.
        form: `plain`; `cmyk` stores four inks; `rotated` and `rotated back` store turned pixels, with the orientation 6 or 8 in EXIF (the
            image is upright after a turn by 90 degrees clockwise or counterclockwise).
    """
    picture = Image.fromarray(image)
    orientation = 1
    if form == "cmyk":
        picture = picture.convert("CMYK")
    if form in TURNS:
        turn, orientation = TURNS[form]
        picture = picture.transpose(turn)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=90, exif=exif(tags, orientation))
    return out.getvalue()


def png16(image: np.ndarray) -> bytes:
    """Encode an image uint8 [h, w, 3] RGB as PNG with 16 bits per channel."""
    done, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR).astype(np.uint16) * 257)
    assert done
    return data.tobytes()
