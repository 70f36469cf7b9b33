"""Decodes JPEG files strictly: damage that the decoder notices is an error, not a grey picture.

libjpeg goes on after damage and warns. simplejpeg hands its first warning over, where OpenCV only
prints it; the pixels are the same. Warnings that say nothing of the pixels are forgiven: bytes of
no meaning between segments or before the end, and headers that browsers accept.
"""

import re

import numpy as np
import simplejpeg

from proxia_segmentation_ros.errors import InputError
from proxia_segmentation_ros.wire.image_header import (
    START_OF_SCAN,
    ImageHeader,
    read_header,
    walk_jpeg,
    walk_scans,
)

# Web cameras leave up to a handful of bytes; damaged data usually leave hundreds.
MAX_STRAY_BYTES = 16
# The warning at the end can only be the first if there was none before.
_STRAY_AT_END = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
_ODD_HEADER = re.compile(
    r"extraneous bytes before marker|unknown JFIF revision|Invalid SOS parameters for sequential"
)
_APP0, _DHT = 0xE0, 0xC4
_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), 0xC2
# More than the bits of a whole block whose coefficients are all the smallest.
_ZERO_RUN = b"\0" * 32
_END_OF_BLOCK = 0


def decode_jpeg(data: bytes, *, is_grey: bool = False) -> np.ndarray:
    """Decode a JPEG file as it is stored to RGB, uint8 (H, W, 3), or to grey (H, W, 1).

    Raises:
        InputError: the file is damaged, or of a kind that libjpeg-turbo does not decode.
    """
    header = read_header(data)
    _check_zero_run(data)
    image_HWC = np.empty((header.height, header.width, 1 if is_grey else 3), np.uint8)
    warning = _decode(data, image_HWC)
    if warning is None or _is_stray_end(warning, data, header):
        return image_HWC
    tidy = _tidy_header(data) if _ODD_HEADER.search(warning) else data
    if tidy != data:
        warning = _decode(tidy, image_HWC)
        if warning is None or _is_stray_end(warning, tidy, header):
            return image_HWC
    if "subsampling" in str(warning):
        raise InputError.from_parts(
            "JPEG has an unusual chroma subsampling",
            "4:4:4, 4:2:2, 4:2:0, 4:4:0, 4:1:1 or grey",
            "set the publisher to one of them, or send PNG",
        )
    raise _make_error(data, str(warning))


def _decode(data: bytes, image_HWC: np.ndarray) -> str | None:
    """Decode into `image_HWC`; return the first warning or the error, None without."""
    colors = "GRAY" if image_HWC.shape[2] == 1 else "RGB"
    try:
        shape = simplejpeg.decode_jpeg(data, colors, buffer=image_HWC).shape
    except ValueError as error:
        return str(error)
    return None if shape == image_HWC.shape else f"it is {shape[1]}x{shape[0]} to the decoder"


def _is_stray_end(warning: str, data: bytes, header: ImageHeader) -> bool:
    """Whether all pixels are decoded, and a few bytes were left over."""
    found = _STRAY_AT_END.search(warning)
    if found is None or int(found[1]) > MAX_STRAY_BYTES:
        return False
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
    except KeyError:  # of a subsampling that simplejpeg has no name for, but decodes
        return True
    return bool((height, width) == (header.height, header.width))


def _tidy_header(data: bytes) -> bytes:
    """Return the file without a few stray bytes, unknown versions and parameters in its header.

    Unchanged where there are more stray bytes, so that it is refused.
    """
    parts, place = [data[:2]], 2
    is_sequential = False
    for marker, offset, end in walk_jpeg(data):
        if offset - place > MAX_STRAY_BYTES:
            return data
        segment = bytearray(data[offset:end])
        is_sequential |= marker in _SEQUENTIAL
        if marker == _APP0 and segment[4:9] == b"JFIF\0" and len(segment) > 9:
            segment[9] = 1
        if marker == START_OF_SCAN and is_sequential:
            segment[-3:] = b"\x00\x3f\x00"
        parts.append(bytes(segment))
        place = end
    return b"".join((*parts, data[place:]))


def _check_zero_run(data: bytes) -> None:
    """Raise InputError for zeros in the data of a scan that no encoder writes.

    Where bytes were lost and zeros stand for them, the decoder often finds its way again and
    notices nothing.
    """
    if _ZERO_RUN not in data:
        return
    first_symbols = {0: 1, 1: _END_OF_BLOCK}  # of the tables that apply without any
    is_sequential = is_progressive = False
    for segments, start, end in walk_scans(data):
        for marker, offset, stop in segments:
            if marker == _DHT:
                first_symbols.update(_read_first_symbols(data[offset + 4 : stop]))
            is_sequential |= marker in _SEQUENTIAL
            is_progressive |= marker == _PROGRESSIVE
        place = data.find(_ZERO_RUN, start, end)
        scan = data[segments[-1][1] + 4 : start]
        if place < 0 or len(scan) < 6 or not (is_sequential or is_progressive):
            continue
        tables = {selector & 15 for selector in scan[2 : 1 + 2 * scan[0] : 2]}
        symbols = {first_symbols.get(table, _END_OF_BLOCK) for table in tables}
        if not _may_be_zeros(symbols, scan[-3:] if is_progressive else None):
            raise _make_error(data, f"zeros from byte {place} on instead of pixels")


def _may_be_zeros(symbols: set[int], progression: bytes | None) -> bool:
    """Whether the data of a scan may be zeros: its AC tables read them as blocks that end.

    `symbols` are what the shortest codes of these tables stand for, `progression` the spectral
    selection and successive approximation of a progressive scan.
    """
    if progression is None:
        return symbols == {_END_OF_BLOCK}
    is_dc, is_refinement = progression[0] == 0, progression[2] >> 4 > 0
    # A symbol without bits of a coefficient ends blocks, or skips coefficients.
    return is_dc or is_refinement or any(symbol & 15 == 0 for symbol in symbols)


def _read_first_symbols(content: bytes) -> dict[int, int]:
    """Return by number of AC table the symbol that its code of zeros stands for."""
    symbols: dict[int, int] = {}
    place = 0
    while place + 17 < len(content):
        table = content[place]
        if table >> 4 == 1:
            symbols[table & 15] = content[place + 17]
        place += 17 + sum(content[place + 1 : place + 17])
    return symbols


def _make_error(data: bytes, reason: str) -> InputError:
    return InputError.from_parts(
        f"JPEG of {len(data)} bytes can't be decoded ({reason})",
        "an intact file",
        "check the publisher and the network",
    )
