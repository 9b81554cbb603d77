"""A file of JSON payloads, read under a payload contract as the consumer reads those of the stream."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from producers.files.json_table import JsonTable
from producers.files.opening import OpenedFile
from producers.files.options import FileFormat
from producers.files.rows import FileBatch, LeftOut, QuantityReadings
from producers.files.table import UnreadableRow
from windrow.errors import UsageError
from windrow.payloads.contract import Contract, Decoder, Framing
from windrow.payloads.decode import decode
from windrow.payloads.values import DecodedReading
from windrow.reading import Reading, Readings

_BATCH_PAYLOADS = 20_000


@dataclass(frozen=True)
class PayloadRecording:
    """A file of JSON lines, or an array, each line or element one payload; a pack of SenML is one array a payload.

    Nothing in it is guessed. Every refusal is a row left out.
    """

    file: OpenedFile
    contract: Contract
    contract_name: str
    unreadable: list[UnreadableRow] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Raise UsageError for a file that is no JSON, or a contract that takes the time of arrival."""
        if self.file.file_format not in {FileFormat.JSON, FileFormat.JSONL}:
            raise UsageError(f"{self.file.name} is no JSON, and --payloads says what JSON means")
        for kind in self.contract.kinds:
            if kind.time is not None and kind.time.form == "arrival":
                raise UsageError(
                    f"{self.contract_name}: {kind.name} takes the time of arrival, and a file has none",
                    hint="name the field that holds the time",
                )

    @property
    def guesses(self) -> tuple[str, ...]:
        """Nothing."""
        return ()

    @property
    def has_sequences(self) -> bool:
        """Whether the contract says where sequences are."""
        return any(kind.sequence is not None for kind in self.contract.kinds)

    @cached_property
    def table(self) -> JsonTable:
        """The file as rows of text."""
        is_array = self.file.file_format is FileFormat.JSON
        if is_array and any(kind.decoder is Decoder.SENML for kind in self.contract.kinds):
            raise UsageError(f"{self.file.name} is one array", hint="write each pack of SenML on a line of its own")
        return JsonTable(self.file.name, self.file.path, is_array)

    def batches(self) -> Iterator[FileBatch]:
        """Yield what all payloads are, in order."""
        one_each = replace(self.contract, framing=Framing.OBJECT)
        found: list[tuple[int, DecodedReading]] = []
        left_out: list[LeftOut] = []
        rows = 0
        for number, payload in self.table.objects():
            decoded = decode(one_each, payload, arrival_ms=0)
            found += [(number, reading) for reading in decoded.readings]
            left_out += [LeftOut(number, refusal.reason, str(refusal)) for refusal in decoded.refusals]
            rows += 1
            if rows == _BATCH_PAYLOADS:
                yield _batch(rows, found, left_out)
                found, left_out, rows = [], [], 0
        if rows:
            yield _batch(rows, found, left_out)


def _batch(rows: int, found: list[tuple[int, DecodedReading]], left_out: list[LeftOut]) -> FileBatch:
    kinds = dict.fromkeys((one.quantity, one.unit) for _, one in found)
    groups = [
        (quantity, unit, [(row, one) for row, one in found if (one.quantity, one.unit) == (quantity, unit)])
        for quantity, unit in kinds
    ]
    return FileBatch(
        rows=rows,
        found=tuple(
            QuantityReadings(
                quantity,
                unit,
                Readings.of(
                    Reading(one.sensor_id, one.event_time_ms, one.sequence, one.value_milli) for _, one in some
                ),
                np.array([row for row, _ in some], np.int64),
            )
            for quantity, unit, some in groups
        ),
        left_out=tuple(left_out),
        filtered=0,
        missing=0,
    )
