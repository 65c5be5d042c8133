"""From a rendered image to a file: the camera's flaws, EXIF, encodings."""

import io
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

METRES_PER_DEGREE = 111_320.0  # of latitude
CROP = 6.0  # 35 mm equivalent over true focal length of the pretended camera
TURNS = {"rotated": (Image.Transpose.ROTATE_90, 6), "rotated back": (Image.Transpose.ROTATE_270, 8)}
MODELS = [("Nikon", "P300"), ("Canon", "S95"), ("Sony", "RX100"), ("Apple", "iPhone 5"), ("Panasonic", "LX7")]


@dataclass(frozen=True)
class Tags:
    """What EXIF tells: 35 mm equivalent focal length (whole mm), latitude and longitude (degrees), the date."""

    equivalent: int
    latitude: float
    longitude: float
    taken: str
    model: int


def develop(rng, image: np.ndarray, night: bool) -> np.ndarray:
    """Exposure, colour cast, contrast, gamma, blur and noise: (h, w, 3) float32 in [0, 1] to uint8."""
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
    """Degrees, minutes, seconds; a ten-thousandth of a second is 3 mm."""
    units = round(abs(value) * 36_000_000)
    whole, rest = divmod(units, 36_000_000)
    minutes, rest = divmod(rest, 600_000)
    return IFDRational(whole, 1), IFDRational(minutes, 1), IFDRational(rest, 10_000)


def exif(tags: Tags | None, orientation: int = 1) -> Image.Exif:
    """The EXIF block; without tags, only an orientation other than upright is written."""
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
    """Latitude and longitude (degrees) some metres east and north of a place."""
    return (
        latitude + north / METRES_PER_DEGREE,
        longitude + east / (METRES_PER_DEGREE * np.cos(np.radians(latitude))),
    )


def jpeg(image: np.ndarray, tags: Tags | None = None, form: str = "plain") -> bytes:
    """Encode (h, w, 3) uint8 RGB as JPEG. Form `cmyk` stores four inks; `rotated` and `rotated back` store the pixels
    turned and say so in the orientation tag (6 and 8: turn clockwise or back by 90 degrees to see it upright).
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
    """Encode (h, w, 3) uint8 RGB as a PNG of 16 bits per channel."""
    done, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR).astype(np.uint16) * 257)
    assert done
    return data.tobytes()
