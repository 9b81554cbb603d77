"""A producer without the libraries of blocks: what it sends and keeps all the same, and what it refuses."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from producers import Producer, Reading, Readings, Wire, blocks
from producers.pending import readings_of, spool_entries
from producers.spool import Spool
from tests.simulation.scripted_stream import even_shards
from tests.unit.producers_to import NOON_MS, Away, producer_to, reading, readings_in
from windrow.errors import PermanentError
from windrow.reading import SEQUENCE_MAX, TEMPERATURE_MAX_MILLI, TEMPERATURE_MIN_MILLI
from windrow.wire.block import is_block

AWKWARD = [
    Reading('"\\', NOON_MS, 0, TEMPERATURE_MIN_MILLI),
    Reading("\u2028\u00fc\N{GRINNING FACE}", NOON_MS + 1, SEQUENCE_MAX, TEMPERATURE_MAX_MILLI),
    Reading("x" * 128, NOON_MS - 1, 1, -1),
    Reading("{", NOON_MS, 7, 0),
]


@pytest.fixture
def without_blocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """As if the libraries were not installed: to import their one user fails as it does then; `undo` installs them."""
    monkeypatch.setitem(sys.modules, "windrow.wire.block.block", None)
    blocks.are_available.cache_clear()
    yield monkeypatch
    blocks.are_available.cache_clear()


def test_a_batch_is_kept_as_lines(without_blocks: pytest.MonkeyPatch) -> None:
    """One entry, so that all of it is kept or none, and every reading of it comes back as it was."""
    readings = Readings.of([*AWKWARD, *map(reading, range(100))])
    [entry] = spool_entries(readings)
    assert not is_block(entry)

    found, refused = readings_of(entry)

    assert refused == 0
    assert list(found) == list(readings)
    without_blocks.undo()
    assert list(readings_of(entry)[0]) == list(readings)


def test_the_libraries_are_looked_for_once(without_blocks: pytest.MonkeyPatch) -> None:
    """Not at every batch: an import that fails costs milliseconds, each time."""
    looked: list[str] = []
    require = blocks.require
    without_blocks.setattr(blocks, "require", lambda what: (looked.append(what), require(what)))
    for _ in range(3):
        list(spool_entries(Readings.of(map(reading, range(5)))))
    assert len(looked) == 1


def test_a_line_that_is_no_reading_is_counted(without_blocks: pytest.MonkeyPatch) -> None:
    """Its neighbours are sent, and the segment stays on disk, as for a block."""
    [entry] = spool_entries(Readings.of(map(reading, range(3))))
    first, _, last = entry.split(b"\n")

    found, refused = readings_of(b"\n".join([first, b"{}", last]))

    assert (list(found), refused) == ([reading(0), reading(2)], 1)


def test_blocks_that_an_earlier_process_left_wait_for_their_libraries(
    without_blocks: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They are neither lost nor set aside as damaged; once the libraries are there, they are sent."""
    without_blocks.undo()
    blocks.are_available.cache_clear()
    spool = Spool(tmp_path)
    for entry in spool_entries(Readings.of(map(reading, range(50)))):
        assert is_block(entry)
        spool.append(entry)
    spool.close()
    stream = Away(even_shards(1))

    without_blocks.setitem(sys.modules, "windrow.wire.block.block", None)
    with producer_to(stream, spool=Spool(tmp_path)) as producer:
        assert not producer.flush()
        assert isinstance(producer.last_error, PermanentError)
        assert "windrow-producer[blocks]" in producer.last_error.hint
    assert stream.stored == []
    assert not list(tmp_path.glob("*.damaged"))

    without_blocks.undo()
    with producer_to(stream, spool=Spool(tmp_path)) as producer:
        assert producer.flush()
    assert readings_in(stream) == list(map(reading, range(50)))


def test_what_was_kept_as_lines_is_sent(without_blocks: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """After an outage, in the same process and the next."""
    stream = Away(even_shards(2))
    stream.is_away = True
    with producer_to(stream, spool=Spool(tmp_path)) as producer:
        producer.put_readings(Readings.of(map(reading, range(40))))
        assert not producer.flush()
        producer.put_readings(Readings.of(map(reading, range(40, 60))))
        stream.is_away = False
        assert producer.flush()
        stream.is_away = True
        producer.put_readings(Readings.of(map(reading, range(60, 90))).take(np.arange(30)))
        assert not producer.flush()
    stream.is_away = False
    with producer_to(stream, spool=Spool(tmp_path)) as producer:
        assert producer.flush()
    assert sorted(readings_in(stream), key=lambda one: one.sequence) == list(map(reading, range(90)))


@pytest.mark.parametrize("wire", [Wire.BLOCKS, "blocks"])
def test_a_producer_of_blocks_is_refused_at_once(without_blocks: pytest.MonkeyPatch, wire: Wire | str) -> None:
    """Not at the first reading, and before the stream is asked."""
    with pytest.raises(PermanentError, match=r"wire='blocks' cannot be sent: the module .* is not") as caught:
        Producer.to_stream("windrow-dev", wire=wire, endpoint_url="http://127.0.0.1:9")
    assert "pip install" in caught.value.hint
