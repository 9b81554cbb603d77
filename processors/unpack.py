"""From stream records to the payloads within them: each is one object of a plain record or of an aggregate."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from processors.event import Record
from processors.quarantine import Quarantined, quarantine_record
from windrow.kpl import BrokenAggregate, BrokenDigest, deaggregate
from windrow.reading import Reason


@dataclass(frozen=True, slots=True, eq=False)
class Payloads:
    """m payloads in stream order, and the quarantine of the records that are broken as a whole.

    record: int64[m], the position in the batch of the record that payload i came in; index: int64[m], its position
    in the aggregate (0 for a plain record).
    """

    payloads: list[bytes]
    record: npt.NDArray[np.int64]
    index: npt.NDArray[np.int64]
    rejected: tuple[Quarantined, ...]


def unpack(records: Sequence[Record]) -> Payloads:
    """The payloads of `records`.

    A record that begins with the KPL magic and is no sound aggregate is rejected whole: by the KPL's rule it is a
    plain record, and no reading begins with the magic, so nothing is lost by saying what is wrong with it.
    """
    unpacked: list[list[bytes]] = []
    rejected: list[Quarantined] = []
    for record in records:
        try:
            unpacked.append(_payloads_of(record))
        except BrokenAggregate as error:
            unpacked.append([])
            reason = Reason.AGGREGATE_DIGEST if isinstance(error, BrokenDigest) else Reason.AGGREGATE_MALFORMED
            rejected.append(quarantine_record(record, reason=reason, detail=str(error)))
    counts = np.fromiter(map(len, unpacked), np.int64, len(unpacked))
    first = np.cumsum(counts) - counts
    owner = np.repeat(np.arange(len(records)), counts)
    index = np.arange(len(owner)) - first[owner]
    return Payloads(list(chain.from_iterable(unpacked)), owner, index, tuple(rejected))


def _payloads_of(record: Record) -> list[bytes]:
    user_records = deaggregate(record.payload)
    if user_records is None:
        return [record.payload]
    return [user_record.payload for user_record in user_records]
