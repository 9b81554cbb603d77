"""Codecs that are asked once for the same bytes, for tests that let the same tick run hundreds of times.

Reading a partial and writing rows are functions of bytes and of rows. A test that kills a tick at each of its requests
asks them for the same thing again and again, and they take most of its time. What is remembered lasts as long as the
context, so no deliberate break of the product finds what the sound one gave.
"""

import io
import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from types import ModuleType
from typing import IO
from unittest.mock import patch

import dispatcher.observation
import dispatcher.patch
import dispatcher.periods
import dispatcher.rows
import tests.simulation.lake
from windrow.rows.rollup import Rollup, batches_of
from windrow.rows.rollup_parquet import RowsSummary

WriteRows = Callable[[int, Iterable[Rollup], IO[bytes]], RowsSummary]


@contextmanager
def codecs_remembered() -> Iterator[None]:
    """Ask each codec once for the same input, while this lasts."""
    written: dict[bytes, tuple[RowsSummary, bytes]] = {}
    exchanged: list[tuple[ModuleType, str, object]] = [
        (dispatcher.observation, "decode_partial", cache(dispatcher.observation.decode_partial)),
        (tests.simulation.lake, "lineage_from", cache(tests.simulation.lake.lineage_from)),
        *(
            (module, "write_rows", _remembering(module.write_rows, written))
            for module in (dispatcher.rows, dispatcher.patch, dispatcher.periods)
        ),
    ]
    with ExitStack() as stack:
        for module, name, remembering in exchanged:
            stack.enter_context(patch.object(module, name, remembering))
        yield


def _remembering(write_rows: WriteRows, written: dict[bytes, tuple[RowsSummary, bytes]]) -> WriteRows:
    """Return `write_rows` with a memory; the rows themselves are the key, so it does not rest on their hash."""

    def write(start_ms: int, parts: Iterable[Rollup], file: IO[bytes]) -> RowsSummary:
        batches = list(batches_of(parts))
        key = pickle.dumps((start_ms, batches))
        if key not in written:
            body = io.BytesIO()
            summary = write_rows(start_ms, batches, body)
            written[key] = summary, body.getvalue()
        summary, octets = written[key]
        file.write(octets)
        return summary

    return write
