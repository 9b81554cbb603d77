"""Some columns, or some row groups, of a Parquet file as a Parquet file of their own, without decoding any.

arro3 reads all columns of a file or none, and wants all of its bytes. So the pages of what is wanted are copied as they
are, and the footer is written anew.

Format: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift, whose numbers of fields are
the constants here.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from windrow.columns import thrift
from windrow.columns.thrift import Struct, ThriftField, ThriftList

_MAGIC = b"PAR1"
_LENGTH_OCTETS = 4
# FileMetaData
_ROWS = 3
_SCHEMA, _ROW_GROUPS, _KEY_VALUES, _COLUMN_ORDERS = 2, 4, 5, 7
# SchemaElement
_NAME, _CHILDREN = 4, 5
# RowGroup
_COLUMNS, _BYTES, _GROUP_ROWS, _SORTING, _GROUP_OFFSET, _COMPRESSED_BYTES, _ORDINAL = range(1, 8)
# ColumnChunk: where its pages' index is (4 to 7), which is not copied
_CHUNK_OFFSET, _METADATA = 2, 3
_CHUNK_INDEXES = range(4, 8)
# ColumnMetaData
_PATH, _PLAIN_BYTES, _SIZE_BYTES, _FIRST_PAGE, _INDEX_PAGE, _DICTIONARY_PAGE = 3, 6, 7, 9, 10, 11
_STATISTICS = 12
_BLOOM_FILTER = (14, 15)
# Statistics
_NULLS, _MAX, _MIN = 3, 5, 6


def select_columns(body: bytes, names: Collection[str], *, unless: Mapping[str, bytes] | None = None) -> bytes:
    """Return the Parquet file `body` with the plain columns `names` only, those that it has, in the file's order.

    The columns of `unless`, bytes or strings, are left out too, all or none, if the statistics say that each of them
    holds nothing but its value there. The rows are the same, in the same row groups. What the file says of itself
    (key-value metadata) is left out. ValueError if the footer is damaged or no column is left; damaged pages are
    noticed by whoever reads them.
    """
    try:
        footer = thrift.read_struct(_footer_of(body))
        groups: list[Struct] = footer[_ROW_GROUPS].value.elements
        wanted = {name.encode() for name in names}
        if unless and all(
            _holds_only(group, name.encode(), value) for group in groups for name, value in unless.items()
        ):
            wanted -= {name.encode() for name in unless}
        _select_in_schema(footer, wanted)
        out = bytearray(_MAGIC)
        for group in groups:
            _copy_group(group, wanted, body, out)
    except (KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"the footer is not that of a Parquet file: {error!r}") from error
    footer.pop(_KEY_VALUES, None)
    written = thrift.write_struct(footer)
    return bytes(out) + written + len(written).to_bytes(_LENGTH_OCTETS, "little") + _MAGIC


def rows_and_plain_bytes(body: bytes) -> tuple[int, int]:
    """Return how many rows the Parquet file `body` says it has, and the most bytes of a column within a row group.

    The bytes are those of its pages, decompressed; a value that pages name again and again counts once. ValueError if
    the footer is damaged.
    """
    try:
        footer = thrift.read_struct(_footer_of(body))
        chunks = [chunk for group in footer[_ROW_GROUPS].value.elements for chunk in group[_COLUMNS].value.elements]
        plain = [int(chunk[_METADATA].value[_PLAIN_BYTES].value) for chunk in chunks]
        return int(footer[_ROWS].value), max(plain, default=0)
    except (KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"the footer is not that of a Parquet file: {error!r}") from error


@dataclass(frozen=True, slots=True)
class RowGroup:
    """How many rows a row group has, and where its pages are in the file: bytes from `start` to `end`, exclusive."""

    rows: int
    start: int
    end: int


TAIL_OCTETS = _LENGTH_OCTETS + len(_MAGIC)
"""The end of a file, which says how long the footer before it is."""


def footer_octets(tail: bytes) -> int:
    """Return the length of the footer and of the TAIL_OCTETS behind it, given these; ValueError if they are none."""
    if len(tail) != TAIL_OCTETS or not tail.endswith(_MAGIC):
        raise ValueError("no footer of a Parquet file")
    return int.from_bytes(tail[:_LENGTH_OCTETS], "little") + TAIL_OCTETS


def row_groups(footer: bytes) -> list[RowGroup]:
    """Return the row groups of a file whose last `footer_octets` are given; ValueError if the footer is damaged."""
    try:
        groups: list[Struct] = thrift.read_struct(_footer_of(footer))[_ROW_GROUPS].value.elements
        return [_bounds_of(group) for group in groups]
    except (KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"the footer is not that of a Parquet file: {error!r}") from error


def cut_groups(footer: bytes, first: int, last: int, pages: bytes) -> bytes:
    """Return a Parquet file of the row groups from `first` to `last`, exclusive, of which there must be one.

    `footer` is the file's last `footer_octets`; `pages` are its bytes from the least start to the greatest end of these
    row groups. ValueError if the two do not fit; damaged pages are noticed by whoever reads them.
    """
    bounds = row_groups(footer)[first:last]
    start, end = min(one.start for one in bounds), max(one.end for one in bounds)
    if len(pages) != end - start:
        raise ValueError(f"{len(pages):,} bytes of pages, where the footer says {end - start:,}")
    file = thrift.read_struct(_footer_of(footer))
    groups: list[Struct] = file[_ROW_GROUPS].value.elements
    groups[:] = groups[first:last]
    for group in groups:
        for chunk in group[_COLUMNS].value.elements:
            _move(chunk, len(_MAGIC) - start)
        _drop(group, (_GROUP_OFFSET, _ORDINAL))
    _set(file, _ROWS, sum(one.rows for one in bounds))
    written = thrift.write_struct(file)
    return _MAGIC + pages + written + len(written).to_bytes(_LENGTH_OCTETS, "little") + _MAGIC


def _bounds_of(group: Struct) -> RowGroup:
    bounds = [_pages_of(chunk[_METADATA].value) for chunk in group[_COLUMNS].value.elements]
    return RowGroup(
        rows=int(group[_GROUP_ROWS].value),
        start=min((start for start, _ in bounds), default=len(_MAGIC)),
        end=max((end for _, end in bounds), default=len(_MAGIC)),
    )


def _pages_of(metadata: Struct) -> tuple[int, int]:
    """Return where the pages of a column begin in the file, and end."""
    start = min(int(metadata[at].value) for at in _page_fields(metadata))
    end = start + int(metadata[_SIZE_BYTES].value)
    if not 0 < start <= end:
        raise ValueError("a column lies outside its file")
    return start, end


def _page_fields(metadata: Struct) -> list[int]:
    return [at for at in (_FIRST_PAGE, _INDEX_PAGE, _DICTIONARY_PAGE) if at in metadata]


def _move(chunk: Struct, octets: int) -> None:
    """Let a column be so many bytes further on in its file, and without the indexes of its pages."""
    metadata: Struct = chunk[_METADATA].value
    for at in _page_fields(metadata):
        _set(metadata, at, metadata[at].value + octets)
    _drop(metadata, _BLOOM_FILTER)
    _drop(chunk, _CHUNK_INDEXES)
    _set(chunk, _CHUNK_OFFSET, 0)


def _select_in_schema(footer: Struct, names: Collection[bytes]) -> None:
    """Leave the columns `names` in the schema, and in the list of how columns are ordered."""
    root, *elements = footer[_SCHEMA].value.elements
    kept = [element for element in _plain(iter(elements)) if element[_NAME].value in names]
    if not kept or len({element[_NAME].value for element in kept}) < len(kept):
        raise ValueError("none of the columns, or one of them twice")
    if _COLUMN_ORDERS in footer:
        leaves = [element for element in elements if _CHILDREN not in element]
        orders = footer[_COLUMN_ORDERS].value.elements
        orders[:] = [order for leaf, order in zip(leaves, orders, strict=True) if any(leaf is one for one in kept)]
    _set(root, _CHILDREN, len(kept))
    footer[_SCHEMA].value.elements[:] = [root, *kept]


def _plain(elements: Iterator[Struct]) -> Iterator[Struct]:
    """Return the columns of a schema, which is written depth first, that have none below them."""
    for element in elements:
        below = element[_CHILDREN].value if _CHILDREN in element else 0
        if not below:
            yield element
        while below > 0:
            inner = next(elements, {})
            below += (inner[_CHILDREN].value if _CHILDREN in inner else 0) - 1


def _holds_only(group: Struct, name: bytes, value: bytes) -> bool:
    """Return whether statistics say so; a bound that was cut is no value, and then the two differ."""
    for chunk in group[_COLUMNS].value.elements:
        if _path(chunk) == [name]:
            metadata: Struct = chunk[_METADATA].value
            found: Struct = metadata[_STATISTICS].value if _STATISTICS in metadata else {}
            return [found[at].value if at in found else None for at in (_NULLS, _MIN, _MAX)] == [0, value, value]
    return False


def _footer_of(body: bytes) -> bytes:
    octets = footer_octets(body[-TAIL_OCTETS:])
    if octets > len(body):
        raise ValueError("no footer of a Parquet file")
    return body[len(body) - octets : len(body) - TAIL_OCTETS]


def _copy_group(group: Struct, names: Collection[bytes], body: bytes, out: bytearray) -> None:
    """Append the pages of the wanted columns of a row group to `out`, and make `group` say where they are now."""
    chunks: ThriftList = group[_COLUMNS].value
    chunks.elements[:] = [one for one in chunks.elements if _path(one) in [[name] for name in names]]
    for chunk in chunks.elements:
        metadata: Struct = chunk[_METADATA].value
        start, end = _pages_of(metadata)
        if end > len(body):
            raise ValueError("a column lies outside its file")
        _move(chunk, len(out) - start)
        out += body[start:end]
    _drop(group, (_SORTING, _GROUP_OFFSET))
    _set(group, _BYTES, sum(one[_METADATA].value[_PLAIN_BYTES].value for one in chunks.elements))
    if _COMPRESSED_BYTES in group:
        _set(group, _COMPRESSED_BYTES, sum(one[_METADATA].value[_SIZE_BYTES].value for one in chunks.elements))


def _path(chunk: Struct) -> list[bytes]:
    path: list[bytes] = chunk[_METADATA].value[_PATH].value.elements
    return path


def _set(struct: Struct, number: int, value: int) -> None:
    struct[number] = ThriftField(struct[number].kind, value)


def _drop(struct: Struct, numbers: Iterable[int]) -> None:
    for number in numbers:
        struct.pop(number, None)
