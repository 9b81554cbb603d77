"""A slice of more windows than one run can write: every delivery gets on, whatever a put takes.

delivery 1   [put put put ....|bookmark]    delivery 2   [bookmark|put put ....|bookmark]    delivery 3   [.... done]
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from processors.bookmark import Bookmark
from processors.puts import REPORT_RESERVE_MS
from tests.simulation.process import Fate, Process
from tests.simulation.scenes import (
    DIRECT,
    HOUR_MS,
    MINUTE_MS,
    START_MS,
    WINDOW_MS,
    Setup,
    World,
    facts,
    put_facts,
    settled_faults,
)
from tests.simulation.simulated_s3_client import LATENCY_MS
from tests.simulation.world import CONSUMER_TIMEOUT_MS, LAKE
from windrow.lake.layout import BOOKMARKS, MARKERS, PARTIALS, parse_marker_key, parse_partial_key

WINDOWS = 120
OBJECTS = 2 * WINDOWS - 1
"""A partial for each window, and a marker for each but the one that is open."""
HORIZON = replace(DIRECT, lateness_horizon_hours=12)
JITTER = 3
"""A simulated request takes between a third of the usual time and three times as long."""
REQUEST_SECONDS_MAX = (CONSUMER_TIMEOUT_MS - REPORT_RESERVE_MS) / 1_000 / 6 / JITTER
"""With this none takes longer than a sixth of a run, up to which every delivery gets on."""
DELIVERIES_MAX = 60


class SlowStore(World):
    """A world whose consumer needs `put_seconds` for a request to S3; it counts what each delivery leaves.

    written: partials and markers; noted: writes that the bookmark names.
    """

    def __init__(self, put_seconds: float, setup: Setup = HORIZON) -> None:
        self.slowness = put_seconds * 1_000 / LATENCY_MS
        self.written: list[int] = []
        self.noted: list[int] = []
        super().__init__(1, setup)

    def _consume(self, process: Process, event: bytes) -> object:
        process.fate = replace(process.fate, slowness=self.slowness)
        try:
            return super()._consume(process, event)
        finally:
            self.written.append(len(self.stored(PARTIALS)) + len(self.stored(MARKERS)))
            self.noted.append(sum(len(_done(body)) for body in self.stored(BOOKMARKS).values()))
            if len(self.written) > DELIVERIES_MAX:
                self.slowness = 1.0

    def stored(self, root: str) -> dict[str, bytes]:
        """Objects of the lake by their keys."""
        return {key: one.body for key, one in self.s3.buckets.get(LAKE, {}).items() if key.startswith(root)}


def catch_up(world: World, windows: int = WINDOWS, *, first: int = 0) -> None:
    """One record with a reading in each of the last windows, of a gateway that was cut off."""
    start_ms = START_MS - (WINDOWS - 1) * WINDOW_MS
    sent = facts(windows, first_ms=start_ms + first * WINDOW_MS, step_ms=WINDOW_MS)
    put_facts(world, sent, is_aggregated=True)


def faults_of_slow_store(put_seconds: float) -> list[str]:
    """What is wrong after one record of many windows, when a request takes this long."""
    with SlowStore(put_seconds) as world:
        world.pass_ms(MINUTE_MS)
        catch_up(world)
        world.drain()
        world.slowness = 1.0
        noted = [0, *world.noted[:-1]]
        faults = [
            f"a delivery got no further than {after} of {WINDOWS} windows"
            for before, after in pairwise(noted)
            if after <= before
        ]
        discarded = sum(mapping.discarded for mapping in world.mappings)
        faults += [f"{discarded} batches were given up"] if discarded else []
        faults += ["a bookmark is left"] if world.noted[-1] else []
        return faults + missing(world)


def missing(world: SlowStore) -> list[str]:
    """Windows without a partial, or whose partial has no marker though it asks for a roll."""
    partials = {parse_partial_key(key).window for key in world.stored(PARTIALS)}
    markers = {parse_marker_key(key).window for key in world.stored(MARKERS)}
    return [
        *([] if len(partials) == WINDOWS else [f"{len(partials)} partials of {WINDOWS}"]),
        *([] if len(markers) >= WINDOWS - 1 else [f"{len(markers)} markers of {WINDOWS - 1}"]),
    ]


def _done(body: bytes) -> frozenset[str]:
    return Bookmark.of_json(body).done


@settings(max_examples=8)
@given(st.floats(0.02, REQUEST_SECONDS_MAX))
@example(0.02)
@example(REQUEST_SECONDS_MAX)
def test_every_delivery_gets_on_however_slow_the_store_is(put_seconds: float) -> None:
    """A request takes from 20 ms to a sixth of the function's time: each delivery notes more, until all is done."""
    assert faults_of_slow_store(put_seconds) == []


def test_a_slice_that_is_written_in_time_is_written_in_one_delivery() -> None:
    """The bookmark costs a large slice one request, and no delivery more."""
    with SlowStore(0.4) as world:
        world.pass_ms(MINUTE_MS)
        catch_up(world)
        world.drain()
        assert world.written == [OBJECTS]
        assert list(world.stored(BOOKMARKS).values()) == [b""]


def test_a_slice_of_few_windows_has_no_bookmark() -> None:
    """The usual batch makes no more requests than before."""
    with SlowStore(0.4) as world:
        world.pass_ms(MINUTE_MS)
        catch_up(world, 16)
        world.drain()
        assert world.stored(BOOKMARKS) == {}


def faults_of_grown_batch(sizes: Sequence[int] = (40, 30)) -> list[str]:
    """What is wrong when the delivery that continues a slice holds further records, which would make other objects."""
    with SlowStore(15.0) as world:
        world.pass_ms(MINUTE_MS)
        catch_up(world, sizes[0])
        world.pass_ms(MINUTE_MS)  # the first delivery is on its way
        catch_up(world, sizes[1], first=sizes[0])
        while len(world.written) < 1:
            world.pass_ms(MINUTE_MS)
        begun = len(world.stored(PARTIALS))
        # Another poller, which cuts its batches anew from the checkpoint.
        for mapping in world.mappings:
            mapping.restart(replace(mapping.options, batch_records_max=10_000))
        world.drain()
        world.slowness = 1.0
        faults = [] if 0 < begun < sizes[0] else [f"{begun} partials after the first delivery"]
        written = len(world.stored(PARTIALS))
        faults += [] if written == sum(sizes) else [f"{written} partials of {sum(sizes)} windows: some were made twice"]
        return faults


def test_a_slice_is_continued_as_it_was_begun() -> None:
    """The records that came meanwhile are a slice of their own; nothing is written a second time under another name."""
    assert faults_of_grown_batch() == []


@pytest.mark.parametrize("dies_at", [1, 2, 20, 60])
def test_a_killed_delivery_leaves_a_bookmark_that_is_true(dies_at: int) -> None:
    """It is killed wherever it is; the next one goes on from the bookmark that there is, or from none."""
    with SlowStore(REQUEST_SECONDS_MAX) as world:
        world.pass_ms(MINUTE_MS)
        world.consumer.next_fate = Fate(dies_at=dies_at)
        catch_up(world)
        world.drain()
        assert missing(world) == []


def test_rows_are_right_after_several_deliveries() -> None:
    """The way to the rows, and everything else that is checked of a stage at rest."""
    with SlowStore(25.0) as world:
        world.pass_ms(MINUTE_MS)
        catch_up(world, 24, first=WINDOWS - 24)
        world.drain()
        assert len(world.noted) > 1
        world.slowness = 1.0
        assert settled_faults(world) == []


def test_a_replay_writes_again_what_was_deleted() -> None:
    """What was written in several deliveries is not taken for written for ever."""
    assert faults_of_replay_after_loss() == []


def faults_of_replay_after_loss() -> list[str]:
    """What is wrong when a partial, written in the first of several deliveries, is deleted and the stream replayed."""
    with SlowStore(REQUEST_SECONDS_MAX) as world:
        world.pass_ms(MINUTE_MS)
        catch_up(world)
        world.drain()
        faults = [] if len(world.noted) > 1 else ["one delivery was enough"]
        world.slowness = 1.0
        deleted = sorted(world.stored(PARTIALS))[3]
        del world.s3.buckets[LAKE][deleted]
        world.pass_ms(HOUR_MS)
        world.replay()
        return [*faults, *([] if deleted in world.stored(PARTIALS) else [f"{deleted} is gone"])]
