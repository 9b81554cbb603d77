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
from windrow.payloads.senml import RELATIVE_BELOW_S
from windrow.payloads.values import DecodedReading
from windrow.reading import Reading, Readings

_BATCH_PAYLOADS = 20_000
_HINT = "say when they arrived, --arrival TIME, or take each file's own time, --arrival file"


@dataclass(frozen=True)
class PayloadRecording:
    """A file of JSON lines, or an array, each line or element one payload; a pack of SenML is one array a payload.

    Nothing in it is guessed. Every refusal is a row left out. arrival_ms: when all payloads arrived, for times that
    count from their arrival; None if nobody says it, and then such a time is refused.
    """

    file: OpenedFile
    contract: Contract
    contract_name: str
    arrival_ms: int | None = None
    unreadable: list[UnreadableRow] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Raise UsageError for a file that is no JSON, or a contract that takes an arrival that nobody says."""
        if self.file.file_format not in {FileFormat.JSON, FileFormat.JSONL}:
            raise UsageError(f"{self.file.name} is no JSON, and --payloads says what JSON means")
        for kind in self.contract.kinds:
            if kind.time is not None and kind.time.form == "arrival" and self.arrival_ms is None:
                raise UsageError(
                    f"{self.contract_name}: {kind.name} takes the time of arrival, and a file has none", hint=_HINT
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
            decoded = decode(one_each, payload, arrival_ms=self.arrival_ms or 0)
            is_pack = payload.lstrip()[:1] == b"["
            if is_pack and self.arrival_ms is None and any(map(_counts_from_arrival, decoded.readings)):
                message = f"{self.file.name}, row {number}: its time counts from its arrival, and a file has none"
                raise UsageError(message, hint=_HINT)
            found += [(number, reading) for reading in decoded.readings]
            left_out += [LeftOut(number, refusal.reason, str(refusal)) for refusal in decoded.refusals]
            rows += 1
            if rows == _BATCH_PAYLOADS:
                yield _batch(rows, found, left_out)
                found, left_out, rows = [], [], 0
        if rows:
            yield _batch(rows, found, left_out)


def _counts_from_arrival(reading: DecodedReading) -> bool:
    """Whether the time of a pack's reading, decoded as if it had arrived in 1970, is one relative to now.

    An absolute one is later.
    """
    return reading.event_time_ms < RELATIVE_BELOW_S * 1000


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
