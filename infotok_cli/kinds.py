"""What kind of file the first bytes tell, for messages about files of the wrong kind."""

from __future__ import annotations

HEAD_BYTES = 32
"""As many of the first bytes as it takes to tell."""

ITK = "an .itk file"
FLAT_IDS = "a zip archive, as exported ids are"

_STARTS = (
    (b"\x89ITK\r\n\x1a\n", ITK),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (b"GIF8", "a GIF"),
    (b"\x89PNG\r\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"YUV4MPEG2 ", "a Y4M video"),
    (b"FLV\x01", "an FLV video"),
    (b"OggS", "an Ogg file"),
    (b"\x00\x00\x01\xba", "an MPEG video"),
    (b"PK\x03\x04", FLAT_IDS),
)
_RIFF = {b"AVI ": "an AVI video", b"WEBP": "a WebP picture", b"WAVE": "a WAV file"}


def kind_of(head: bytes) -> str | None:
    """What a file that begins like this is, with its article; None for what is not known here."""
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12])
    return "an MP4 or MOV video" if head[4:8] == b"ftyp" else None


def is_animated_webp(head: bytes) -> bool:
    """Whether the file is a WebP of several pictures, by the flag in its extended header."""
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and len(head) > 20 and bool(head[20] & 2)
