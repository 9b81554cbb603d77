"""The payloads of a batch of stream records: one for a plain record, any number for an aggregated one.

Gives what `windrow.wire.kpl.deaggregate` gives record by record, as columns for the whole batch.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from windrow.columns.arrays import Int64s, Octets
from windrow.columns.payloads import Payloads
from windrow.reading import Reason
from windrow.wire.kpl import DIGEST_BYTES, MAGIC, BrokenAggregate, BrokenDigest, deaggregate
from windrow.wire.kpl_walk import AggregateBodies, walk


@dataclass(frozen=True, slots=True)
class BrokenRecord:
    """A record that begins with the magic and has no payload: no valid aggregate, or one of no user records.

    `record` is its position in the batch.
    """

    record: int
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True, eq=False)
class UnpackedPayloads:
    """n payloads in the order of the stream, and the records that could not be unpacked.

    record: int64[n], the record of the batch that payload i came in; position: int64[n], its position in the aggregate,
    0 for a plain record; broken: ascending by record.
    """

    payloads: Payloads
    record: Int64s
    position: Int64s
    broken: tuple[BrokenRecord, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _PayloadSpans:
    """Where n payloads are in the buffer, and the records they came in, in the order of each record: int64[n] each."""

    record: Int64s
    start: Int64s
    length: Int64s


def unpack(records: Payloads | Sequence[bytes]) -> UnpackedPayloads:
    """Return the payloads of `records`, plain and aggregated.

    A record that begins with the KPL magic and is no valid aggregate, or one of nothing, is reported as broken.
    By the KPL's rule an invalid one is a plain record, but no reading begins with the magic, so nothing is lost.
    """
    whole = records if isinstance(records, Payloads) else Payloads.of(records)
    octets, starts, lengths = whole.octets, whole.starts, whole.lengths
    is_aggregate = whole.begin_with(MAGIC)
    plain, aggregated = np.flatnonzero(~is_aggregate), np.flatnonzero(is_aggregate)
    body_starts, body_ends = starts + len(MAGIC), starts + lengths - DIGEST_BYTES
    bodies = zip(body_starts[aggregated].tolist(), body_ends[aggregated].tolist(), strict=True)
    has_digest = np.fromiter((_has_digest(octets, *body) for body in bodies), bool, len(aggregated))
    sound = aggregated[has_digest]
    walked, is_usual = walk(AggregateBodies(octets, body_starts[sound], body_ends[sound]))
    others = np.union1d(sound[~is_usual], aggregated[~has_digest])
    owners, payloads, broken = _one_by_one(whole, others.tolist())
    one_by_one = Payloads.of(payloads)
    spans = (
        _PayloadSpans(plain, starts[plain], lengths[plain]),
        _PayloadSpans(sound[walked.owner], walked.payload_start, walked.payload_length),
        _PayloadSpans(np.array(owners, np.int64), one_by_one.starts + len(octets), one_by_one.lengths),
    )
    return _in_order(np.concatenate([octets, one_by_one.octets]) if payloads else octets, spans, broken)


def _has_digest(octets: Octets, start: int, end: int) -> bool:
    """Return whether the MD5 of `octets[start:end]`, which may be less than nothing, follows it."""
    if start > end:
        return False
    digest = hashlib.md5(octets.data[start:end], usedforsecurity=False).digest()
    return digest == octets[end : end + DIGEST_BYTES].tobytes()


def _one_by_one(records: Payloads, which: Sequence[int]) -> tuple[list[int], list[bytes], tuple[BrokenRecord, ...]]:
    """Read records with `deaggregate`: return the record of each payload, the payloads, and the broken records."""
    owners: list[int] = []
    payloads: list[bytes] = []
    broken: list[BrokenRecord] = []
    for record in which:
        try:
            user_records = deaggregate(records[record]) or []
        except BrokenAggregate as error:
            reason = Reason.AGGREGATE_DIGEST if isinstance(error, BrokenDigest) else Reason.AGGREGATE_MALFORMED
            broken.append(BrokenRecord(record, reason, str(error)))
            continue
        if not user_records:
            broken.append(BrokenRecord(record, Reason.AGGREGATE_EMPTY, "an aggregate without user records"))
        owners += [record] * len(user_records)
        payloads += [user_record.payload for user_record in user_records]
    return owners, payloads, tuple(broken)


def _in_order(octets: Octets, spans: Sequence[_PayloadSpans], broken: tuple[BrokenRecord, ...]) -> UnpackedPayloads:
    record, start, length = (
        np.concatenate([getattr(part, name) for part in spans]) for name in ("record", "start", "length")
    )
    if (record[1:] < record[:-1]).any():
        order = np.argsort(record, kind="stable")  # within a record the payloads are in order
        record, start, length = record[order], start[order], length[order]
    counts = np.bincount(record)
    position = np.arange(len(record)) - np.repeat(np.cumsum(counts) - counts, counts)
    return UnpackedPayloads(Payloads(octets, start, length), record, position, broken)
