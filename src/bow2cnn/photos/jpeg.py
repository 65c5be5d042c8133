"""The structure of a JPEG file."""

import re
from pathlib import Path

_BLOCK = 1 << 20  # bytes
_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd8\x01])")  # begins a segment; others occur within coded pixels
_END, _SCAN = b"\xd9", b"\xda"


def count_scans(path: str | Path, most: int) -> int:
    """Count the scans of the first image in a JPEG file, up to `most` + 1. The rest of the file (video of a motion photo, further images)
    is not read.

    Raises:
        OSError: the file cannot be read.
    """
    count, block, at = 0, b"", 0
    with open(path, "rb") as file:
        while count <= most:
            found = _MARKER.search(block, at)
            if found is None:
                kept = block[-1:] if at < len(block) else b""
                block, at = file.read(_BLOCK), 0
                if not block:
                    break
                block = kept + block
                continue
            if found[1] == _END:
                break
            count += found[1] == _SCAN
            at = found.end()
            if len(block) < at + 2:
                block, at = block[at:] + file.read(_BLOCK), 0
            at += int.from_bytes(block[at : at + 2], "big")  # the length counts its own two bytes
            if at > len(block):
                file.seek(at - len(block), 1)
                block, at = b"", 0
    return count
