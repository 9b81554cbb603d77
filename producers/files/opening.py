"""Finding, decompressing and decoding files: all end as UTF-8 text or as Parquet, and can be read more than once."""

import codecs
import glob
import gzip
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from producers.files.options import FileFormat
from windrow.errors import UsageError

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdError, ZstdFile
else:
    from backports.zstd import ZstdError, ZstdFile

_ENDINGS = {
    ".csv": FileFormat.CSV,
    ".tsv": FileFormat.CSV,
    ".txt": FileFormat.CSV,
    ".dat": FileFormat.CSV,
    ".jsonl": FileFormat.JSONL,
    ".ndjson": FileFormat.JSONL,
    ".json": FileFormat.JSON,
    ".parquet": FileFormat.PARQUET,
    ".pq": FileFormat.PARQUET,
}
_PACKED_ENDINGS = frozenset({".gz", ".zst", ".zstd"})
_GZIP, _ZSTD, _PARQUET = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1"
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_CHUNK_OCTETS = 1 << 20
_HEAD_OCTETS = 1 << 16


class _Reader(Protocol):
    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes; none at the end."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedFile:
    """A file ready to be read: `path` is Parquet, or UTF-8 without a byte order mark.

    name: as the user named it, `-` for standard input. scratch: where another form of it may be written; it goes
    with the others. remarks: what was guessed about it.
    """

    name: str
    path: Path
    scratch: Path
    file_format: FileFormat
    encoding: str
    remarks: tuple[str, ...] = ()

    @property
    def stem(self) -> str:
        """The file's name without its endings for form and compression."""
        return _without_endings(Path(self.name)).name

    @property
    def folder(self) -> str:
        """The name of the file's folder."""
        return Path(self.name).resolve().parent.name


def find_files(sources: Sequence[str]) -> list[str]:
    """Return the files that `sources` name, each once, in the order of the sources; those of a folder by name.

    A source is a file, a folder (all files in it and below that end like a known form), a glob, or `-`. UsageError
    names one that is nothing.
    """
    found: list[str] = []
    for source in sources:
        path = Path(source)
        if source == "-" or path.is_file():
            some = [source]
        elif path.is_dir():
            some = sorted(str(one) for one in path.rglob("*") if one.is_file() and _format_by_name(one) is not None)
        else:
            some = sorted(one for one in glob.glob(source, recursive=True) if Path(one).is_file())  # noqa: PTH207 - an absolute pattern
        if not some:
            what = "holds no file that ends like CSV, JSON or Parquet" if path.is_dir() else "is no file"
            raise UsageError(f"{source} {what}", hint="name files, folders, or patterns such as 'export/*.csv.gz'")
        found += some
    return list(dict.fromkeys(found))


@contextmanager
def opened_files(
    names: Iterable[str], *, file_format: FileFormat | None, encoding: str | None, stdin: IO[bytes]
) -> Iterator[list[OpenedFile]]:
    """Provide files that can be read more than once; copies, where they are needed, go when the context ends."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="windrow-ingest-")))
        yield [
            _opened(name, folder / f"{number}", form=file_format, encoding=encoding, stdin=stdin)
            for number, name in enumerate(names)
        ]


def _opened(name: str, copy: Path, *, form: FileFormat | None, encoding: str | None, stdin: IO[bytes]) -> OpenedFile:
    path = Path(name)
    if name == "-" or _head(path).startswith((_GZIP, _ZSTD)):
        _unpack(name, copy, stdin)
        path = copy
    head = _head(path)
    if head.startswith(_PARQUET):
        return OpenedFile(name=name, path=path, scratch=copy, file_format=FileFormat.PARQUET, encoding="")
    form = form or (None if name == "-" else _format_by_name(Path(name))) or _format_by_content(name, head)
    if form is FileFormat.PARQUET:
        raise UsageError(f"{name} cannot be read as Parquet: it does not begin with PAR1")
    remarks: tuple[str, ...] = ()
    if encoding is None:
        encoding, remarks = _sniffed_encoding(path, head)
    encoding = _codec(encoding)
    if encoding == "utf-8" and head.startswith(codecs.BOM_UTF8):
        encoding = "utf-8-sig"
    if encoding != "utf-8":
        decoded = copy.with_suffix(".utf8")
        _decode(name, path, decoded, encoding)
        path = decoded
    if form is FileFormat.JSON and not _head(path).lstrip().startswith(b"["):
        form = FileFormat.JSONL  # many write lines and call them .json
    scratch = copy.with_suffix(".body")
    return OpenedFile(name=name, path=path, scratch=scratch, file_format=form, encoding=encoding, remarks=remarks)


def _format_by_name(path: Path) -> FileFormat | None:
    while path.suffix.lower() in _PACKED_ENDINGS:
        path = path.with_suffix("")
    return _ENDINGS.get(path.suffix.lower())


def _without_endings(path: Path) -> Path:
    while path.suffix.lower() in _PACKED_ENDINGS or path.suffix.lower() in _ENDINGS:
        path = path.with_suffix("")
    return path


def _format_by_content(name: str, head: bytes) -> FileFormat:
    if name == "-":
        raise UsageError("standard input has no name that tells its form", hint="--input-format csv, jsonl or json")
    begin = head.lstrip(codecs.BOM_UTF8 + b" \t\r\n")[:1]
    if begin in {b"{", b"["}:
        return FileFormat.JSON
    raise UsageError(
        f"{name}: its ending is not that of a known form", hint="--input-format csv, jsonl, json or parquet"
    )


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_OCTETS)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def _unpack(name: str, copy: Path, stdin: IO[bytes]) -> None:
    """Copy standard input or a compressed file to `copy`, decompressed; what is compressed within is, too."""
    with ExitStack() as stack:
        source: IO[bytes] = stdin if name == "-" else stack.enter_context(Path(name).open("rb"))
        with copy.open("wb") as file:
            shutil.copyfileobj(source, file, _CHUNK_OCTETS)
    head = _head(copy)
    if not head.startswith((_GZIP, _ZSTD)):
        return
    packed = copy.rename(copy.with_suffix(".packed"))
    with packed.open("rb") as raw, copy.open("wb") as file:
        reader: _Reader = gzip.GzipFile(fileobj=raw) if head.startswith(_GZIP) else ZstdFile(raw)
        try:
            while chunk := reader.read(_CHUNK_OCTETS):
                file.write(chunk)
        except (OSError, EOFError, zlib.error, ZstdError) as error:
            raise UsageError(f"{name} cannot be decompressed: {error}") from error
    packed.unlink()


def _sniffed_encoding(path: Path, head: bytes) -> tuple[str, tuple[str, ...]]:
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding, ()
    if len(head) > 3 and head[1:4:2] == b"\0\0":
        return "utf-16-le", ("text without a byte order mark is taken as UTF-16 (--encoding)",)
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        try:
            while chunk := file.read(_CHUNK_OCTETS):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252", ("the text is not UTF-8 and is taken as Windows-1252, which Latin-1 is too (--encoding)",)
    return "utf-8", ()


def _codec(encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name
    except LookupError as error:
        raise UsageError(
            f"--encoding: no encoding is called {encoding!r}", hint="utf-8, utf-16, latin-1, cp1252"
        ) from error


def _decode(name: str, path: Path, decoded: Path, encoding: str) -> None:
    # Bytes that Windows-1252 does not have are those of Latin-1, as every browser reads them.
    errors = "windrow.latin1" if encoding == "cp1252" else "strict"
    codecs.register_error("windrow.latin1", _as_latin1)
    try:
        with (
            path.open(encoding=encoding, errors=errors, newline="") as source,
            decoded.open("w", encoding="utf-8", newline="") as file,
        ):
            shutil.copyfileobj(source, file, _CHUNK_OCTETS)
    except UnicodeError as error:
        raise UsageError(
            f"{name} is not text in {encoding}: {error}", hint="name another: --encoding latin-1"
        ) from error


def _as_latin1(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end
