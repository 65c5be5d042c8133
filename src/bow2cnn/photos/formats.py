"""Formats of photos: which are read, and what a file is that is none of them."""

import importlib.util
from pathlib import Path

from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, PLANAR_CONFIGURATION, SAMPLEFORMAT

# What phones, scanners and archives write (to Pillow an MPO opens as a JPEG); anything else (vector formats, documents) is no photo.
FORMATS = ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF", "JPEG2000"]
if importlib.util.find_spec("pillow_heif"):
    import pillow_heif

    # Nothing but the photo itself: thumbnails would take its place where a small one is asked for.
    pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)
    FORMATS.append("HEIF")

RAW = "RAW: develop it into a JPEG or TIFF"
_NO_PHOTO = "not a photo"
STRANGE_TIFF = "TIFF of a kind that cannot be read, such as floats in colour: save it with 8 or 16 bits"
_HEIC = "HEIC cannot be read without the package pillow-heif" if "HEIF" not in FORMATS else "HEIC that is damaged or of an unknown kind"
_HEAD = 64  # bytes that tell what a file is
# (bytes, at which place) of a file's beginning, and what it is; the first that fits counts.
_MAGIC = (
    (b"\xff\x0a", 0, "JPEG XL cannot be read: convert it"),
    (b"\0\0\0\x0cJXL ", 0, "JPEG XL cannot be read: convert it"),
    (b"ftypcrx ", 4, RAW),
    (b"HEAPCCDR", 6, RAW),
    *((b"ftyp" + brand, 4, _HEIC) for brand in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")),
    (b"ftypavi", 4, "AVIF that is damaged or of an unknown kind"),
    (b"ftyp", 4, "film"),
    (b"\x1aE\xdf\xa3", 0, "film"),
    (b"AVI ", 8, "film"),
    (b"FUJIFILMCCD-RAW", 0, RAW),
    *((head, 0, RAW) for head in (b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM")),
    *((head, 0, STRANGE_TIFF) for head in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    (b"version https://git-lfs.github.com", 0, "pointer of Git LFS: fetch the photo itself"),
)
# Of RAW files that are TIFFs with nothing in their heads to tell.
_RAW_ENDS = (
    ".dng", ".nef", ".nrw", ".cr2", ".arw", ".srf", ".sr2", ".pef", ".ptx", ".srw", ".3fr",
    ".fff", ".iiq", ".erf", ".kdc", ".dcr", ".mef", ".mos", ".raw", ".rwl", ".gpr",
)  # fmt: skip
# Tags of TIFFs: DNG's version; what an image is for (bit 0: a smaller copy of another one); colour filter array and linear raw.
_DNG_VERSION, _SUBFILE, _REDUCED, _FILTERED = 50706, 254, 1, (32803, 34892)
_UNSIGNED, _SIGNED, _APART = 1, 2, 2  # how a TIFF's numbers are written, and its colours laid


def is_raw(image, path) -> bool:
    """Whether an opened photo is a camera's RAW file, whose first image is a preview, no photo."""
    if image.format != "TIFF":
        return False
    tags = image.tag_v2
    kind = tags.get(_SUBFILE, 0)
    preview = isinstance(kind, int) and bool(kind & _REDUCED)
    raw = _DNG_VERSION in tags or tags.get(PHOTOMETRIC_INTERPRETATION) in _FILTERED
    return preview or raw or Path(path).suffix.lower() in _RAW_ENDS


def is_strange(image) -> bool:
    """Whether an opened photo is a TIFF that Pillow opens and garbles: bytes with a sign, or a plane of 16 bits for each colour."""
    if image.format != "TIFF":
        return False
    tags = image.tag_v2
    bits, signs = tags.get(BITSPERSAMPLE, (1,)), tags.get(SAMPLEFORMAT, (_UNSIGNED,))
    planes = tags.get(PLANAR_CONFIGURATION) == _APART and len(bits) > 1
    return (planes and max(bits) > 8) or (max(bits) <= 8 and signs[0] == _SIGNED)


def what_else(file, path) -> str:
    """What a file is, open for reading, that Pillow cannot tell: the reason why it is no photo."""
    file.seek(0)
    head = file.read(_HEAD)
    found = next((what for magic, place, what in _MAGIC if head[place : place + len(magic)] == magic), _NO_PHOTO)
    return RAW if found.startswith("TIFF") and Path(path).suffix.lower() in _RAW_ENDS else found
