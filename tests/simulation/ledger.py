"""What was sent, by whom it was told accepted, and what must come of it: the simulation's own books."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.oracle import Fact, window_start_ms
from tests.simulation.payloads import Truth, facts_of_block, is_block, plain, walk
from tests.simulation.simulated_kinesis import HeldRecord
from windrow.wire.kpl import UserRecord, aggregate

EARLINESS_MS_MAX = 300_000

Place = tuple[str, str, int, int | None]
"""Where a payload lies in the stream: shard, sequence number, index in its aggregate, row in its block."""


@dataclass(slots=True)
class Expectation:
    """What the stream's records come to.

    facts: the readings that count, by window start; quarantine: for each place the reason, the payload, and the arrival
    of its record.
    """

    facts: dict[int, set[Fact]] = field(default_factory=dict)
    quarantine: dict[Place, tuple[str, bytes, int]] = field(default_factory=dict)
    uncertain: set[int] = field(default_factory=set)
    """The windows of readings that the stream forgot before any function was done with them."""

    def add_what_came_of(self, lost: "Expectation", *, partials: set[Fact], quarantined: Iterable[Place]) -> None:
        """Add records that were lost to retention.

        An attempt at them may have come as far as a partial or the quarantine. What is there counts, the rest does not.
        """
        self.uncertain |= lost.facts.keys()
        for start_ms, facts in lost.facts.items():
            there = facts & partials
            if there:
                self.facts.setdefault(start_ms, set()).update(there)
        self.quarantine |= {place: lost.quarantine[place] for place in quarantined if place in lost.quarantine}


class Ledger:
    """The truth about every payload and every damaged record, and what producers were told of them."""

    def __init__(self) -> None:
        self.truths: dict[bytes, Truth] = {}
        self.broken: dict[bytes, str] = {}
        self.held_by_broken: dict[bytes, tuple[bytes | Fact, ...]] = {}
        self.made: Counter[bytes] = Counter()
        """Records that somebody tried to send."""
        self.accepted: set[bytes | Fact] = set()
        """Payloads, and readings of blocks, that a producer was told are stored."""

    def knows(self, payload: bytes, truth: Truth) -> bytes:
        """Write down what `payload` is, and return it."""
        assert self.truths.setdefault(payload, truth) == truth
        return payload

    def breaks(self, body: bytes, damaged: bytes, reason: str) -> bytes:
        """Write down that the record `body` was damaged on its way, and return what became of it."""
        self.broken[damaged] = reason
        self.held_by_broken[damaged] = tuple(_contents(body))
        return damaged

    def lost_of(self, records: Iterable[HeldRecord]) -> list[bytes | Fact]:
        """What a producer was told is stored, and the stream never had."""
        return self.missing_of(self.accepted, records)

    def missing_of(self, contents: Iterable[bytes | Fact], records: Iterable[HeldRecord]) -> list[bytes | Fact]:
        """What of these payloads and readings the stream never had; a reading in any form will do."""
        held: set[bytes | Fact] = set()
        for body in {record.body for record in records}:
            held.update(self.held_by_broken.get(body, ()) if body in self.broken else _contents(body))
        held.update([self.truths[one] for one in held if isinstance(one, bytes) and one in self.truths])
        return sorted(set(contents) - held, key=repr)

    def strangers_of(self, records: Iterable[HeldRecord]) -> list[bytes]:
        """The records that the stream has and nobody ever tried to send."""
        return [record.body for record in records if not self.made[record.body]]

    def expectation(self, records: Iterable[HeldRecord], *, horizon_ms: int) -> Expectation:
        """What must come of these records: each payload counts or is in quarantine, judged by its record's arrival."""
        expected = Expectation()
        for record in records:
            place = (record.shard_id, str(record.sequence_number))
            reason = self.broken.get(record.body)
            if reason is not None:
                expected.quarantine[*place, 0, None] = (reason, record.body, record.arrival_ms)
                continue
            payloads = walk(record.body)
            if not payloads:
                expected.quarantine[*place, 0, None] = ("aggregate_empty", record.body, record.arrival_ms)
            spoiled = self._spoiled(record.body, payloads, record.arrival_ms, horizon_ms)
            if spoiled is not None:
                first, body = spoiled
                expected.quarantine[*place, first, None] = ("record_payloads", body, record.arrival_ms)
            for index, payload in enumerate(payloads):
                for row, spelled, judged in self._judged(payload, record.arrival_ms, horizon_ms):
                    if isinstance(judged, str):
                        if spoiled is not None and not is_block(payload):
                            continue
                        expected.quarantine[*place, index, row] = (judged, spelled, record.arrival_ms)
                    else:
                        expected.facts.setdefault(window_start_ms(judged[1]), set()).add(judged)
        return expected

    def _judged(self, payload: bytes, arrival_ms: int, horizon_ms: int) -> list[tuple[int | None, bytes, Truth]]:
        """What becomes of a payload; of a block with many bad readings it is the block that is in quarantine."""
        judged = [(row, body, _judged(truth, arrival_ms, horizon_ms)) for row, body, truth in self._truths(payload)]
        good = [one for one in judged if not isinstance(one[2], str)]
        if is_block(payload) and len(judged) - len(good) > _rows_max(payload):
            return [*good, (None, payload, "block_readings")]
        return judged

    def _spoiled(
        self, body: bytes, payloads: list[bytes], arrival_ms: int, horizon_ms: int
    ) -> tuple[int, bytes] | None:
        """What is in quarantine of a record of which too many JSON payloads are bad, and under which index.

        It is the record, or, if it holds blocks, the aggregate of all else in it.
        """
        others = [(index, payload) for index, payload in enumerate(payloads) if not is_block(payload)]
        bad = [one for one in others if isinstance(_judged(self.truths[one[1]], arrival_ms, horizon_ms), str)]
        if others and len(others) < len(payloads):
            body = aggregate([UserRecord("a", payload) for _, payload in others])
        return (others[0][0], body) if len(bad) > max(4, len(body) // 4096) else None

    def _truths(self, payload: bytes) -> Sequence[tuple[int | None, bytes, Truth]]:
        """What a payload holds: row of the block, how it is spelled in quarantine, and what it is."""
        if is_block(payload):
            return [(row, plain(fact), fact) for row, fact in enumerate(facts_of_block(payload))]
        return [(None, payload, self.truths[payload])]


def _rows_max(block: bytes) -> int:
    """How many bad readings of a block are kept one by one, after docs/blocks.md."""
    return min(256, max(4, len(block) // 512))


def _contents(body: bytes) -> list[bytes | Fact]:
    """The payloads of a record, of blocks their readings."""
    contents: list[bytes | Fact] = []
    for payload in walk(body):
        contents += facts_of_block(payload) if is_block(payload) else [payload]
    return contents


def _judged(truth: Truth, arrival_ms: int, horizon_ms: int) -> Truth:
    if isinstance(truth, str):
        return truth
    if truth[1] > arrival_ms + EARLINESS_MS_MAX:
        return "too_early"
    return "too_late" if truth[1] < arrival_ms - horizon_ms else truth
