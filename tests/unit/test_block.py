"""Blocks: what a valid block is, how each fault is refused, and that no bytes cost more than the limits allow."""

import re
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.unit.arrow_blocks import HEAD, block_of, table, with_dictionary
from tests.unit.stream_records import WINDOW, reading
from tests.zstandard import CompressionParameter, ZstdCompressor
from windrow.columns.strings import Strings
from windrow.quantities import TEMPERATURE_MAX_MILLI, TEMPERATURE_MIN_MILLI
from windrow.reading import (
    READINGS_PER_RECORD_MAX,
    SEQUENCE_MAX,
    BadReading,
    Readings,
    Reason,
    is_sound,
)
from windrow.timestamps import INSTANT_MS_MAX, INSTANT_MS_MIN
from windrow.wire.block import BLOCK_MAGIC, block, is_block
from windrow.wire.block.block import (
    BLOCK_DECOMPRESSED_BYTES_MAX,
    BLOCK_READINGS_PER_BYTE_MAX,
    decode_block,
    encode_block,
    open_block,
    to_json_payloads,
)
from windrow.wire.block.buffers import numbers
from windrow.wire.block.flatbuffers import BadStream
from windrow.wire.block.stream import EncodedBuffer, parse_stream
from windrow.wire.json.strict import parse_reading
from windrow.wire.kpl import MAGIC

THREE = [reading("roof", sequence=7), reading("ké\u00a0ller", at_ms=1, milli=-5), reading("roof", at_ms=2)]


def readings_of(count: int) -> Readings:
    """`count` readings that differ in their sequence."""
    return Readings(
        Strings.of(["roof"]),
        np.zeros(count, np.int32),
        np.full(count, WINDOW.start_ms, np.int64),
        np.arange(count),
        np.zeros(count, np.int32),
    )


def refused(payload: bytes) -> Reason:
    with pytest.raises(BadReading) as caught:
        decode_block(payload)
    return caught.value.reason


def test_a_block_gives_back_its_readings_in_order() -> None:
    """Also with ids of any characters, sequences, and several readings of one sensor."""
    assert list(decode_block(encode_block(Readings.of(THREE)))) == THREE


def test_sequences_that_are_all_zero_are_left_out() -> None:
    """Producers that do not number their readings pay nothing for the column."""
    without = [reading(at_ms=t) for t in range(3)]

    payload = encode_block(Readings.of(without))

    assert b"sequence" not in payload
    assert list(decode_block(payload)) == without


def test_ids_that_no_reading_has_are_left_out() -> None:
    """A block of a part of a batch does not carry the ids of the whole batch."""
    readings = Readings.of([reading(f"sensor-{n}") for n in range(1_000)])

    payload = encode_block(readings.take(np.array([999])))

    assert [one.sensor_id for one in decode_block(payload)] == ["sensor-999"]
    assert b"sensor-998" not in payload
    assert len(payload) < 2_000


def test_the_same_readings_give_the_same_bytes() -> None:
    """A producer that retries sends the same bytes."""
    assert len({encode_block(Readings.of(THREE)) for _ in range(10)}) == 1


def test_a_block_is_recognised_by_its_first_byte() -> None:
    """The byte is not UTF-8, so no JSON begins with it, and no KPL aggregate does either."""
    with pytest.raises(UnicodeDecodeError):
        BLOCK_MAGIC[:1].decode()
    assert not MAGIC.startswith(BLOCK_MAGIC[:1])
    assert is_block(encode_block(Readings.of(THREE)))
    assert not is_block(b'{"sensor_id":"roof"}')


@pytest.mark.parametrize("compression", [None, "zstd"])
@pytest.mark.parametrize("index", [None, pa.int8(), pa.int16(), pa.int32()])
@pytest.mark.parametrize("with_sequence", [True, False])
def test_blocks_of_another_writer_are_read(
    compression: str | None, index: pa.DataType | None, with_sequence: bool
) -> None:
    """pyarrow's streams: compressed or not, plain strings or a dictionary, with sequences or without."""
    sent = [reading(one.sensor_id, at_ms=n, sequence=n * with_sequence) for n, one in enumerate(THREE)]
    columns = table(Readings.of(sent), with_sequence=with_sequence)
    columns = columns if index is None else with_dictionary(columns, index)

    assert list(decode_block(block_of(columns, compression=compression))) == sent


def test_the_example_of_the_documentation_is_a_block() -> None:
    """The code is run exactly as the page shows it."""
    text = (Path(__file__).parents[2] / "docs" / "blocks.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, bytes] = {}
    exec(example, names)  # noqa: S102 - our own documentation

    assert [one.sensor_id for one in decode_block(names["payload"])] == ["roof", "cellar"]


def test_the_number_of_readings_is_known_without_decompressing() -> None:
    """Batches are cut into slices by this number."""
    assert open_block(encode_block(Readings.of(THREE))).rows == 3


# ---- form ----------------------------------------------------------------------------------------------------------


def test_every_cut_of_a_block_is_refused() -> None:
    """No reading of a truncated block is used."""
    payload = encode_block(Readings.of(THREE))

    assert {refused(payload[:length]) for length in range(len(BLOCK_MAGIC), len(payload))} == {Reason.BLOCK_MALFORMED}


def test_bytes_after_the_end_are_refused() -> None:
    """Nothing can be hidden after the end of the stream."""
    assert refused(encode_block(Readings.of(THREE)) + b"\0") is Reason.BLOCK_MALFORMED


def test_another_version_is_refused() -> None:
    """A later release may read it; until then the block is in quarantine and can be redriven."""
    payload = bytearray(encode_block(Readings.of(THREE)))
    payload[len(BLOCK_MAGIC)] = 2

    assert refused(bytes(payload)) is Reason.BLOCK_MALFORMED


COLUMNS = table(Readings.of(THREE))


@pytest.mark.parametrize(
    "columns",
    [
        COLUMNS.drop_columns(["value_milli"]),
        COLUMNS.append_column("unit", pa.array(["C"] * 3)),
        COLUMNS.rename_columns(["id", "event_time_ms", "value_milli", "sequence"]),
        COLUMNS.select(["event_time_ms", "sensor_id", "value_milli", "sequence"]),
        COLUMNS.set_column(1, "event_time_ms", COLUMNS.column(1).cast(pa.timestamp("ms"))),
        COLUMNS.set_column(2, "value_milli", pa.array([1.5, 2.5, 3.5])),
        COLUMNS.set_column(2, "value_milli", pa.array([1, 2, 3], pa.int64())),
        COLUMNS.set_column(2, "value_milli", pa.array([1, None, 3], pa.int32())),
        COLUMNS.set_column(0, "sensor_id", pa.array(["a", None, "b"])),
        COLUMNS.set_column(0, "sensor_id", pa.array([b"a", b"b", b"c"])),
        COLUMNS.set_column(0, "sensor_id", pa.array(["a", "b", "c"], pa.large_string())),
        COLUMNS.set_column(3, "sequence", pa.array([1, 2, 3], pa.uint64())),
        COLUMNS.set_column(0, "sensor_id", COLUMNS.column(0).cast(pa.dictionary(pa.uint8(), pa.string()))),
        COLUMNS.slice(0, 0),
    ],
)
def test_other_columns_are_refused(columns: pa.Table) -> None:
    """Names, order and types must be those of the definition, without nulls."""
    assert refused(block_of(columns)) is Reason.BLOCK_MALFORMED


def test_lz4_and_several_batches_are_refused() -> None:
    """One codec and one batch are enough; each further one would need bounds of its own."""
    assert refused(block_of(COLUMNS, compression="lz4")) is Reason.BLOCK_MALFORMED
    assert refused(block_of(pa.concat_tables([COLUMNS, COLUMNS]))) is Reason.BLOCK_MALFORMED


@pytest.mark.parametrize("length", [0, 129])
def test_an_id_of_a_forbidden_length_refuses_the_block(length: int) -> None:
    """The limit is 128 characters, not bytes; a longer id could be repeated by every reading."""
    columns = table(Readings.of([reading("é" * 128), reading("a")]))
    assert len(list(decode_block(block_of(columns)))) == 2

    ids = pa.array(["é" * length, "a"])

    assert refused(block_of(columns.set_column(0, "sensor_id", ids))) is Reason.BLOCK_MALFORMED


@pytest.mark.parametrize("index", [None, pa.int8()])
@pytest.mark.parametrize("sensor_id", ["\0", "a\x1fb", "roof\x7f", "\u0080", "é\u009f"])
def test_an_id_with_a_control_character_is_bad_by_itself(sensor_id: str, index: pa.DataType | None) -> None:
    """Its readings are unsound, and as JSON they are bad because of the id; all other readings are sound."""
    columns = table(Readings.of([reading("roof"), reading(sensor_id), reading("é\u00a0"), reading(sensor_id, at_ms=1)]))

    found = decode_block(block_of(columns if index is None else with_dictionary(columns, index)))

    assert is_sound(found).tolist() == [True, False, True, False]
    for spelled in to_json_payloads(found, np.array([1, 3])):
        with pytest.raises(BadReading) as caught:
            parse_reading(spelled)
        assert caught.value.reason is Reason.SENSOR_ID


def test_ids_that_are_no_utf8_refuse_the_block() -> None:
    """Every id must be UTF-8 by itself: a character that spans two ids is not enough."""
    payload = block_of(table(Readings.of([reading("aé"), reading("b")])), compression=None)
    torn = payload.replace(struct.pack("<iii", 0, 3, 4), struct.pack("<iii", 0, 2, 4))

    assert torn != payload
    assert refused(torn) is Reason.BLOCK_MALFORMED
    assert refused(payload.replace("é".encode(), b"\xc3\xc3")) is Reason.BLOCK_MALFORMED


@pytest.mark.parametrize("places", [[0, 2], [-1, 1], [2**31 - 1, 0]])
def test_a_place_outside_the_dictionary_refuses_the_block(places: list[int]) -> None:
    """Below 0 and beyond the last entry."""
    columns = table(Readings.of([reading("a"), reading("b", at_ms=1)]))
    ids = pa.DictionaryArray.from_arrays(pa.array(places, pa.int32()), pa.array(["a", "b"]), safe=False)

    assert refused(block_of(columns.set_column(0, "sensor_id", ids))) is Reason.BLOCK_MALFORMED


# ---- limits --------------------------------------------------------------------------------------------------------


def test_the_number_of_readings_in_a_block_is_limited() -> None:
    """The limit itself is allowed, one more is not."""
    most = readings_of(READINGS_PER_RECORD_MAX)
    assert len(decode_block(encode_block(most))) == READINGS_PER_RECORD_MAX

    with pytest.raises(ValueError, match="131073 readings"):
        encode_block(readings_of(READINGS_PER_RECORD_MAX + 1))
    assert refused(block_of(table(readings_of(READINGS_PER_RECORD_MAX + 1)))) is Reason.TOO_MANY_READINGS
    with pytest.raises(ValueError, match="0 readings"):
        encode_block(readings_of(0))


def test_readings_repeated_over_and_over_are_refused() -> None:
    """A batch of such blocks would take minutes; exactly at the limit they are allowed."""
    repeated = readings_of(1).take(np.zeros(20_000, np.int64))
    payload = encode_block(repeated)
    assert refused(payload) is Reason.BLOCK_TOO_LARGE

    length = 20_000 // BLOCK_READINGS_PER_BYTE_MAX
    columns = with_dictionary(table(repeated), pa.int32())
    short, long = (padded_block(columns, at_least=at_least) for at_least in (length - 16, length))
    assert len(short) < length <= len(long)
    assert refused(short) is Reason.BLOCK_TOO_LARGE
    assert len(decode_block(long)) == 20_000


def padded_block(columns: pa.Table, *, at_least: int) -> bytes:
    """Make a block of at least `at_least` bytes, padded with metadata that is ignored."""
    padding = at_least - len(block_of(columns.combine_chunks().replace_schema_metadata({"padding": ""})))
    return block_of(columns.combine_chunks().replace_schema_metadata({"padding": "x" * padding}))


def test_what_a_block_decompresses_to_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The declared sizes decide, before anything is decompressed; the limit itself is allowed."""
    payload = encode_block(Readings.of(THREE))
    size_bytes = parse_stream(payload[len(HEAD) :]).decompressed_bytes

    monkeypatch.setattr(block, "BLOCK_DECOMPRESSED_BYTES_MAX", size_bytes)
    assert len(decode_block(payload)) == 3
    monkeypatch.setattr(block, "BLOCK_DECOMPRESSED_BYTES_MAX", size_bytes - 1)
    assert refused(payload) is Reason.BLOCK_TOO_LARGE


@pytest.mark.slow
def test_a_decompression_bomb_that_declares_its_size_is_refused() -> None:
    """Zeros instead of ids, many times the limit of a block."""
    ids = pa.array(["\0" * (2 * BLOCK_DECOMPRESSED_BYTES_MAX)])
    payload = block_of(table(readings_of(1)).set_column(0, "sensor_id", ids))

    assert len(payload) < 10_000
    assert refused(payload) is Reason.BLOCK_TOO_LARGE


def compressed(content: bytes, *, declared_bytes: int, **options: int) -> EncodedBuffer:
    """Make a buffer whose frame holds `content` without its length, while the metadata declare `declared_bytes`."""
    settings = {CompressionParameter[name]: value for name, value in options.items()}
    compressor = ZstdCompressor(options={CompressionParameter.content_size_flag: 0, **settings})
    frame = compressor.compress(content) + compressor.flush()
    return EncodedBuffer(memoryview(frame), declared_bytes, is_compressed=True)


@pytest.mark.slow
def test_a_frame_is_never_decompressed_beyond_what_is_declared() -> None:
    """A gigabyte that declares 64 bytes costs no more than 64 bytes, and is refused."""
    bomb = compressed(bytes(1 << 30), declared_bytes=64)
    tracemalloc.start()
    try:
        with pytest.raises(BadStream, match="not as long as it declares"):
            numbers(bomb, np.int64, 8)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("declared_bytes", [65, 1_000])
def test_a_frame_that_falls_short_is_refused(declared_bytes: int) -> None:
    """Missing bytes are not replaced by anything."""
    assert numbers(compressed(bytes(64), declared_bytes=64), np.int64, 8).tolist() == [0] * 8
    with pytest.raises(BadStream, match="not as long as it declares"):
        numbers(compressed(bytes(64), declared_bytes=declared_bytes), np.int64, 8)


def test_a_frame_that_asks_for_a_large_window_is_refused() -> None:
    """The decompressor would have to allocate 128 MiB."""
    assert len(numbers(compressed(bytes(64), declared_bytes=64, window_log=24), np.int64, 8)) == 8
    with pytest.raises(BadStream, match="broken"):
        numbers(compressed(bytes(64), declared_bytes=64, window_log=25), np.int64, 8)


# ---- readings that are out of range --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("event_time_ms", INSTANT_MS_MIN, None),
        ("event_time_ms", INSTANT_MS_MIN - 1, Reason.EVENT_TIME),
        ("event_time_ms", INSTANT_MS_MAX, None),
        ("event_time_ms", INSTANT_MS_MAX + 1, Reason.EVENT_TIME),
        ("event_time_ms", -(2**63), Reason.EVENT_TIME),
        ("sequence", SEQUENCE_MAX, None),
        ("sequence", -1, Reason.SEQUENCE),
        ("sequence", -(2**63), Reason.SEQUENCE),
        ("value_milli", TEMPERATURE_MIN_MILLI, None),
        ("value_milli", TEMPERATURE_MIN_MILLI - 1, Reason.TEMPERATURE_RANGE),
        ("value_milli", TEMPERATURE_MAX_MILLI, None),
        ("value_milli", TEMPERATURE_MAX_MILLI + 1, Reason.TEMPERATURE_RANGE),
        ("value_milli", -(2**31), Reason.TEMPERATURE_RANGE),
    ],
)
def test_a_reading_is_judged_as_the_json_that_means_the_same(column: str, value: int, reason: Reason | None) -> None:
    """At every limit, a reading in a block is judged as the strict reader judges it in JSON."""
    columns = table(Readings.of([reading('ro"o\u2028f', sequence=1)]))
    place = columns.schema.get_field_index(column)
    edge = decode_block(
        block_of(columns.set_column(place, column, pa.array([value], columns.schema.field(column).type)))
    )

    assert is_sound(edge).tolist() == [reason is None]
    (spelled,) = to_json_payloads(edge, np.array([0]))
    if reason is None:
        assert [parse_reading(spelled)] == list(edge)
    else:
        with pytest.raises(BadReading, match=re.escape(reason)):
            parse_reading(spelled)
