"""Reproducible zips: the same content gives the same bytes on any machine.

Builds of zlib deflate differently, so nothing is compressed here: our own files are stored, and files from a wheel keep
their compressed bytes.
"""

import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# The earliest date a zip can have, and the mode of plain files: neither clock nor umask affects the bytes.
_DOS_TIME, _DOS_DATE = 0, (1 << 5) | 1
_MODE = 0o100644
_UNIX = 3
_VERSION = 20  # of the zip format: deflate
_UTF8 = 0x800
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_ENTRIES_MAX, _BYTES_MAX = 0xFFFE, 0xFFFFFFFE  # a larger one would have to be a zip64


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipEntry:
    """One file of a zip; ``packed`` are its bytes in the zip, compressed by ``method`` (stored or deflated)."""

    name: str
    method: int
    crc: int
    size: int
    packed: bytes

    @property
    def body(self) -> bytes:
        """The file's bytes, unpacked."""
        if self.method == zipfile.ZIP_STORED:
            return self.packed
        return zlib.decompress(self.packed, wbits=-zlib.MAX_WBITS, bufsize=max(1, self.size))


def stored(name: str, body: bytes) -> ZipEntry:
    """Return an uncompressed entry."""
    return ZipEntry(name=name, method=zipfile.ZIP_STORED, crc=zlib.crc32(body), size=len(body), packed=body)


def read_entries(path: Path) -> Iterator[ZipEntry]:
    """Yield the files of a zip, as compressed as they are in it; ValueError unless they are stored or deflated."""
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
    """Return a zip of the entries, in the order of their names; ValueError if it would need to be a zip64."""
    body, directory = bytearray(), bytearray()
    for name in sorted(entries):
        entry, encoded_name = entries[name], name.encode()
        sizes = (entry.crc, len(entry.packed), entry.size)
        common = (_VERSION, _UTF8, entry.method, _DOS_TIME, _DOS_DATE, *sizes, len(encoded_name), 0)
        made_by = _UNIX << 8 | _VERSION
        directory += _CENTRAL.pack(b"PK\x01\x02", made_by, *common, 0, 0, 0, _MODE << 16, len(body)) + encoded_name
        body += _LOCAL.pack(b"PK\x03\x04", *common) + encoded_name + entry.packed
    if len(entries) > _ENTRIES_MAX or len(body) + len(directory) > _BYTES_MAX:
        raise ValueError(f"{len(entries):,} files of {len(body):,} bytes are too much for one zip")
    end = _END.pack(b"PK\x05\x06", 0, 0, len(entries), len(entries), len(directory), len(body), 0)
    return bytes(body + directory + end)
