"""How often what goes wrong, and the one source of chance that decides when."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

Choice = TypeVar("Choice")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Probabilities from 0 to 1, each of one decision: a request, an invocation, a tick, a delivery of a gateway."""

    # Kinesis, for each PutRecords request or each of its entries.
    put_throttled: float = 0.0  # the whole request is refused
    put_entry_failed: float = 0.0  # one entry is refused
    put_lost: float = 0.0  # no answer, nothing stored
    put_ack_lost: float = 0.0  # no answer, all stored
    put_half_stored: float = 0.0  # 500 after some of the entries were stored
    put_zombie: float = 0.0  # no answer; stored seconds later, after the retry
    put_sdk_repeat: float = 0.0  # the client repeats by itself what was stored
    put_wrong_shape: float = 0.0  # all, some or none stored; the answer is none of Kinesis's
    stamped_back: float = 0.0  # an entry's arrival is some seconds before that of the one before it
    list_stale: float = 0.0  # the shards as they were before the last split or merge
    get_throttled: float = 0.0
    get_wrong_shape: float = 0.0  # an answer to another request that is none of Kinesis's
    iterator_expired: float = 0.0
    # S3, for each attempt of the SDK.
    s3_unavailable: float = 0.0  # 503 or 500, nothing done
    s3_ack_lost: float = 0.0  # done, no answer; the SDK repeats it: a conditional put then meets itself
    s3_conflict: float = 0.0  # 409 to a conditional put
    s3_body_broken: float = 0.0  # a body that ends before its length
    s3_slow: float = 0.0  # a second instead of milliseconds
    # Functions, for each invocation.
    killed: float = 0.0  # at one of its requests
    killed_request_arrives: float = 0.0  # given killed: the request on the wire takes effect later
    stalled: float = 0.0  # a hundred times slower and more, so that it runs out of time
    frozen: float = 0.0  # it stands still for up to half an hour, at its beginning or at one of its requests
    slow_slice: float = 0.0  # a slice of a batch is planned for seconds, or for longer than a run may last
    zombie: float = 0.0  # given a timeout: it goes on and finishes
    invoke_throttled: float = 0.0
    invoke_refused: float = 0.0  # a service error before the function ran
    invoke_ack_lost: float = 0.0  # the function runs, the caller gets a timeout
    # The mapping, for each batch or record given up.
    wrong_identifier: float = 0.0  # the partial-batch response names a record that is none of the batch
    destination_denied: float = 0.0
    # The schedule, for each tick.
    tick_missed: float = 0.0
    tick_doubled: float = 0.0
    tick_late: float = 0.0
    # The topics of rules, for each message; only of seeds that have rules.
    message_refused: float = 0.0
    message_ack_lost: float = 0.0  # told, no answer
    # Producers, for each delivery or payload.
    gateway_killed: float = 0.0
    uplink_lost: float = 0.0  # nothing comes through for up to ten minutes
    power_lost: float = 0.0  # the gateway ends, and its disk loses what it had not written yet
    disk_damaged: float = 0.0  # an octet of its spool changes
    disk_full: float = 0.0
    clock_jumped: float = 0.0
    bad_put: float = 0.0  # a call of the library that could not count
    resent: float = 0.0  # once more, in other records
    resent_elsewhere: float = 0.0  # once more, under another key, so in another shard
    conflicting: float = 0.0  # the same identity with another value
    same_instant: float = 0.0  # the same sensor, time and value under another sequence
    malformed: float = 0.0
    corrupted: float = 0.0  # a record damaged on its way to the stream
    late: float = 0.0
    early: float = 0.0
    on_edge: float = 0.0  # an event time on a window's first or last millisecond
    hostile_id: float = 0.0


NONE = Rates()


class Chance:
    """Draws, and counts of what they led to. Nothing that is switched off draws anything."""

    def __init__(self, random: Random, rates: Rates = NONE) -> None:
        """`rates` may be replaced while the simulation runs."""
        self.random = random
        self.rates = rates
        self.injected: Counter[str] = Counter()

    def happens(self, kind: str, *, rate: float | None = None) -> bool:
        """Whether the fault `kind`, a field of Rates, happens here; counted when it does."""
        probability = getattr(self.rates, kind) if rate is None else rate
        if not probability or self.random.random() >= probability:
            return False
        self.injected[kind] += 1
        return True

    def latency_ms(self, typical_ms: int) -> int:
        """From a third of the typical to three times it."""
        return max(1, round(typical_ms * 3 ** self.random.uniform(-1, 1)))

    def pick(self, choices: Sequence[Choice]) -> Choice:
        """One of them."""
        return self.random.choice(choices)

    def calm(self) -> None:
        """From now on nothing goes wrong."""
        self.rates = NONE


def swarm_rates(random: Random) -> Rates:
    """Each fault is off in half of all seeds; where it is on, its rate is anything up to its worst."""
    worst: dict[str, float] = {
        **dict.fromkeys((one.name for one in dataclasses.fields(Rates) if not one.name.startswith("message_")), 0.1),
        "put_entry_failed": 0.4,
        "s3_unavailable": 0.25,
        "s3_ack_lost": 0.2,
        "killed": 0.35,
        "stalled": 0.2,
        "frozen": 0.2,
        "zombie": 1.0,
        "killed_request_arrives": 1.0,
        "tick_missed": 0.5,
        "tick_doubled": 0.4,
        "tick_late": 0.4,
        "invoke_throttled": 0.3,
        "gateway_killed": 0.2,
        "uplink_lost": 0.5,
        "power_lost": 0.2,
        "disk_damaged": 0.2,
        "disk_full": 0.2,
        "clock_jumped": 0.2,
        "bad_put": 0.5,
        "resent": 0.4,
        "resent_elsewhere": 0.3,
        "late": 0.3,
        "on_edge": 0.5,
        "hostile_id": 0.2,
        "wrong_identifier": 1.0,
        "put_ack_lost": 0.2,
        "put_wrong_shape": 0.3,
        "stamped_back": 0.5,
        "list_stale": 0.5,
        "slow_slice": 0.3,
        "put_zombie": 0.2,
        "destination_denied": 0.5,
        "same_instant": 0.3,
        "conflicting": 0.3,
        "corrupted": 0.2,
    }
    draw: Callable[[float], float] = lambda most: most * random.random() ** 2 if random.random() < 0.5 else 0.0  # noqa: E731
    return Rates(**{name: draw(most) for name, most in worst.items()})
