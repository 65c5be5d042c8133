"""The photo formats that are read, and the reasons for files that are in none of them."""

import importlib.util
from pathlib import Path
from typing import BinaryIO

from PIL import Image
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, PLANAR_CONFIGURATION, SAMPLEFORMAT, TiffImageFile

# The formats of phones, scanners and archives (Pillow opens MPO as JPEG). Others, such as vector formats and documents, are not read.
FORMATS = ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF", "JPEG2000"]
if importlib.util.find_spec("pillow_heif"):
    import pillow_heif

    # Only the photo itself: a thumbnail would replace it where a small size is asked for.
    pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)
    FORMATS.append("HEIF")

RAW = "RAW: develop it into a JPEG or TIFF"
_NO_PHOTO = "not a photo"
UNSUPPORTED_TIFF = "TIFF of a kind that cannot be read, such as floats in colour: save it with 8 or 16 bits"
_HEIC = "HEIC cannot be read without the package pillow-heif" if "HEIF" not in FORMATS else "HEIC that is damaged or of an unknown kind"
_HEAD = 64  # bytes at the beginning of a file that are compared with `_MAGIC`
# (bytes, offset in the file, reason); the first match counts.
_MAGIC = (
    (b"\xff\x0a", 0, "JPEG XL cannot be read: convert it"),
    (b"\0\0\0\x0cJXL ", 0, "JPEG XL cannot be read: convert it"),
    (b"ftypcrx ", 4, RAW),
    (b"HEAPCCDR", 6, RAW),
    *((b"ftyp" + brand, 4, _HEIC) for brand in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")),
    (b"ftypavi", 4, "AVIF that is damaged or of an unknown kind"),
    (b"ftyp", 4, "video"),
    (b"\x1aE\xdf\xa3", 0, "video"),
    (b"AVI ", 8, "video"),
    (b"FUJIFILMCCD-RAW", 0, RAW),
    *((head, 0, RAW) for head in (b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM")),
    *((head, 0, UNSUPPORTED_TIFF) for head in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    (b"version https://git-lfs.github.com", 0, "Git LFS pointer: fetch the photo itself"),
)
# Suffixes of RAW files that begin like any TIFF.
_RAW_ENDS = (
    ".dng", ".nef", ".nrw", ".cr2", ".arw", ".srf", ".sr2", ".pef", ".ptx", ".srw", ".3fr",
    ".fff", ".iiq", ".erf", ".kdc", ".dcr", ".mef", ".mos", ".raw", ".rwl", ".gpr",
)  # fmt: skip
# Tags of TIFFs: version of DNG; kind of image (bit 0: a smaller copy of another image); colour filter array and linear raw.
_DNG_VERSION, _SUBFILE, _REDUCED, _FILTERED = 50706, 254, 1, (32803, 34892)
_UNSIGNED, _SIGNED, _PLANAR = 1, 2, 2  # values of SAMPLEFORMAT and PLANAR_CONFIGURATION


def is_raw(image: Image.Image, path: str | Path) -> bool:
    """Whether an opened file is a camera's RAW file; its first image is only a preview."""
    if not isinstance(image, TiffImageFile):
        return False
    tags = image.tag_v2
    kind = tags.get(_SUBFILE, 0)
    preview = isinstance(kind, int) and bool(kind & _REDUCED)
    raw = _DNG_VERSION in tags or tags.get(PHOTOMETRIC_INTERPRETATION) in _FILTERED
    return preview or raw or Path(path).suffix.lower() in _RAW_ENDS


def is_unsupported_tiff(image: Image.Image) -> bool:
    """Whether an opened file is a TIFF that Pillow would decode to garbage: signed bytes, or one plane of 16 bits per colour."""
    if not isinstance(image, TiffImageFile):
        return False
    tags = image.tag_v2
    bits, signs = tags.get(BITSPERSAMPLE, (1,)), tags.get(SAMPLEFORMAT, (_UNSIGNED,))
    planes = tags.get(PLANAR_CONFIGURATION) == _PLANAR and len(bits) > 1
    return (planes and max(bits) > 8) or (max(bits) <= 8 and signs[0] == _SIGNED)


def identify(file: BinaryIO, path: str | Path) -> str:
    """The reason why a file cannot be used that Pillow does not recognise, by its first bytes.

    Args:
        file: the file, open for reading.
        path: its path; the suffix tells some RAW files.
    """
    file.seek(0)
    head = file.read(_HEAD)
    found = next((reason for magic, place, reason in _MAGIC if head[place : place + len(magic)] == magic), _NO_PHOTO)
    return RAW if found.startswith("TIFF") and Path(path).suffix.lower() in _RAW_ENDS else found
