"""Zips whose bytes follow from their content alone, on any machine.

What deflate writes differs between builds of zlib, so nothing is compressed here: our own files are stored as they are,
and files of a wheel keep the very bytes that its author's deflate made.
"""

import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# The earliest date a zip can hold, and plain files: neither clock nor umask may reach the bytes.
_DOS_TIME, _DOS_DATE = 0, (1 << 5) | 1
_MODE = 0o100644
_UNIX = 3
_VERSION = 20  # of the zip format: deflate
_UTF8 = 0x800
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_ENTRIES_MAX, _BYTES_MAX = 0xFFFE, 0xFFFFFFFE  # beyond these it would have to be a zip64


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipEntry:
    """One file of a zip: ``packed`` are its bytes as they lie in the zip, by ``method`` (stored or deflated)."""

    name: str
    method: int
    crc: int
    size: int
    packed: bytes


def stored(name: str, body: bytes) -> ZipEntry:
    """An entry that is not compressed."""
    return ZipEntry(name=name, method=zipfile.ZIP_STORED, crc=zlib.crc32(body), size=len(body), packed=body)


def read_entries(path: Path) -> Iterator[ZipEntry]:
    """The files of a zip, packed as they are in it; ValueError for another method than stored or deflated."""
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        for one in archive.infolist():
            if one.is_dir():
                continue
            if one.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"{path.name}: {one.filename} is packed by method {one.compress_type}")
            file.seek(one.header_offset)
            *_, name_bytes, extra_bytes = _LOCAL.unpack(file.read(_LOCAL.size))
            file.seek(name_bytes + extra_bytes, 1)
            packed = file.read(one.compress_size)
            yield ZipEntry(name=one.filename, method=one.compress_type, crc=one.CRC, size=one.file_size, packed=packed)


def write(entries: Mapping[str, ZipEntry]) -> bytes:
    """A zip of the entries under the given names, in the order of the names; ValueError if it is too large for one."""
    body, directory = bytearray(), bytearray()
    for name in sorted(entries):
        entry, spelled = entries[name], name.encode()
        sizes = (entry.crc, len(entry.packed), entry.size)
        common = (_VERSION, _UTF8, entry.method, _DOS_TIME, _DOS_DATE, *sizes, len(spelled), 0)
        made_by = _UNIX << 8 | _VERSION
        directory += _CENTRAL.pack(b"PK\x01\x02", made_by, *common, 0, 0, 0, _MODE << 16, len(body)) + spelled
        body += _LOCAL.pack(b"PK\x03\x04", *common) + spelled + entry.packed
    if len(entries) > _ENTRIES_MAX or len(body) + len(directory) > _BYTES_MAX:
        raise ValueError(f"{len(entries):,} files of {len(body):,} bytes are too much for a zip")
    end = _END.pack(b"PK\x05\x06", 0, 0, len(entries), len(entries), len(directory), len(body), 0)
    return bytes(body + directory + end)
