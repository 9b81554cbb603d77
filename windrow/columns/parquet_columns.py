"""Some columns of a Parquet file as a Parquet file of their own, without decoding any.

arro3 reads all columns of a file or none. So the pages of the wanted ones are copied as they are, and the footer is
written anew. Format: https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift, whose numbers
of fields are the constants here.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping

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
_COLUMNS, _BYTES, _SORTING, _GROUP_OFFSET, _COMPRESSED_BYTES = 1, 2, 4, 5, 6
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
    tail = _LENGTH_OCTETS + len(_MAGIC)
    length = int.from_bytes(body[-tail : -len(_MAGIC)], "little")
    if not body.endswith(_MAGIC) or length > len(body) - tail - len(_MAGIC):
        raise ValueError("no footer of a Parquet file")
    return body[len(body) - tail - length : len(body) - tail]


def _copy_group(group: Struct, names: Collection[bytes], body: bytes, out: bytearray) -> None:
    """Append the pages of the wanted columns of a row group to `out`, and make `group` say where they are now."""
    chunks: ThriftList = group[_COLUMNS].value
    chunks.elements[:] = [one for one in chunks.elements if _path(one) in [[name] for name in names]]
    for chunk in chunks.elements:
        metadata: Struct = chunk[_METADATA].value
        places = [at for at in (_FIRST_PAGE, _INDEX_PAGE, _DICTIONARY_PAGE) if at in metadata]
        start = min(metadata[at].value for at in places)
        size_bytes = metadata[_SIZE_BYTES].value
        if not 0 < start <= start + size_bytes <= len(body):
            raise ValueError("a column lies outside its file")
        moved = len(out) - start
        for at in places:
            _set(metadata, at, metadata[at].value + moved)
        out += body[start : start + size_bytes]
        _drop(metadata, _BLOOM_FILTER)
        _drop(chunk, _CHUNK_INDEXES)
        _set(chunk, _CHUNK_OFFSET, 0)
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
