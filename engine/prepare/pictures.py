"""Whether the bytes of a file are a whole picture, without decoding the ones that plainly are.

A JPEG whose segments lead to its image data and that ends with its end marker, and a PNG whose chunks carry their right
checksums up to the last, are taken as they are: that costs microseconds, decoding costs milliseconds. Every other file
is decoded as the engine will decode it. What a decoder would find inside the data of a JPEG is left to the engine,
which names every picture that it cannot read.
"""

from __future__ import annotations

import struct
import zlib

from engine.preprocess import Unreadable, decode

MAX_PIXELS = 89_478_485
"""Pillow's limit, beyond which it suspects a decompression bomb."""

_PNG = b"\x89PNG\r\n\x1a\n"
_SEGMENT, _SIZE = struct.Struct(">BBH").unpack_from, struct.Struct(">HH").unpack_from
_JPEG_SIZES = {0xC0, 0xC1, 0xC2}  # baseline, extended, progressive: the frames that every decoder reads
_START_OF_SCAN = 0xDA


def fault(content: bytes) -> str:
    """Why these bytes are no picture that a model could be shown; empty where they are one."""
    if not content:
        return "the file is empty"
    if _is_whole_jpeg(content) or _is_whole_png(content):
        return ""
    try:
        decode(content)
    except Unreadable as error:
        return str(error)
    return ""


def _is_whole_jpeg(content: bytes) -> bool:
    if not (content.startswith(b"\xff\xd8") and content.endswith(b"\xff\xd9")):
        return False
    place, last, pixels = 2, len(content) - 9, 0
    while place < last:
        start, kind, length = _SEGMENT(content, place)
        if start != 0xFF:
            return False
        if kind == _START_OF_SCAN:
            return 0 < pixels <= MAX_PIXELS
        if kind in _JPEG_SIZES:
            height, width = _SIZE(content, place + 5)
            pixels = height * width
        place += 2 + length
    return False


def _is_whole_png(content: bytes) -> bool:
    if not content.startswith(_PNG + b"\0\0\0\rIHDR"):
        return False
    pixels = int.from_bytes(content[16:20]) * int.from_bytes(content[20:24])
    place, view = len(_PNG), memoryview(content)
    while place + 12 <= len(content):
        end = place + 8 + int.from_bytes(content[place : place + 4])
        if zlib.crc32(view[place + 4 : end]) != int.from_bytes(content[end : end + 4]):
            return False
        if content[place + 4 : place + 8] == b"IEND":
            return 0 < pixels <= MAX_PIXELS
        place = end + 4
    return False
