"""Handing the newest values of a batch on to the stage's topic: best effort, within a bound of time, never an error.

It comes after the partials are written, so nothing of a row depends on it. What is not handed on is counted and told in
the log, and left to the next batch: newer values take its place.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from processors.puts import REPORT_RESERVE_MS, Deadline, OutOfTime, Puts
from windrow.aws.clients import Place, client, one_line
from windrow.live.columns import encode_messages, latest, newest
from windrow.reading import Readings

LIVE_SERIES_MAX = 50_000
"""Series of a batch that are handed on; of a larger one those with the latest event times. The rows have all."""
LIVE_MS_MAX = 2_000
"""How long handing on may hold up a batch."""
LIVE_PARALLEL_MAX = 4
WAIT_SECONDS = 1
"""For a connection, and for an answer. A thread that hangs is left behind, and for no longer than both."""


class Topic(Protocol):
    """Where messages are published."""

    def publish(self, message: str) -> None:
        """Publish a message; raises what SNS raises."""


class LiveTopic:
    """The stage's topic, behind an SNS client that waits no longer than a second and sends nothing twice."""

    def __init__(self, place: Place, arn: str) -> None:
        """Make no request, and no client, which the first publish makes."""
        self._place = place
        self._arn = arn

    def publish(self, message: str) -> None:
        """Publish a message with one request."""
        sns: Any = client("sns", self._place, repeats=False, wait_seconds=WAIT_SECONDS)
        sns.publish(TopicArn=self._arn, Message=message)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOn:
    """What became of the newest values of a batch: the series, those beyond LIVE_SERIES_MAX, and messages.

    errors: why messages were not handed on, one text for each cause.
    """

    series: int = 0
    left_out: int = 0
    messages: int = 0
    failed: int = 0
    errors: tuple[str, ...] = ()

    @property
    def counts(self) -> Mapping[str, int]:
        """What is reported, by the names of metrics."""
        return {
            "LiveSeries": self.series,
            "LiveLeftOut": self.left_out,
            "LiveMessages": self.messages,
            "LiveFailed": self.failed,
        }


@dataclass(frozen=True, slots=True)
class LivePublisher:
    """Hands newest values on to a topic, with a few threads of its own, which the partials do not wait for."""

    topic: Topic
    puts: Puts

    def hand_on(self, batches: Sequence[Readings], *, deadline: Deadline) -> HandedOn:
        """Publish the newest of `batches`, each of which has a series once; it raises nothing, whatever goes wrong."""
        try:
            return self._hand_on(batches, deadline=deadline)
        except Exception as error:  # noqa: BLE001 - the rows are written, and nothing here may make them wait
            return HandedOn(failed=1, errors=(one_line(f"{type(error).__name__}: {error}"),))

    def _hand_on(self, batches: Sequence[Readings], *, deadline: Deadline) -> HandedOn:
        everything = batches[0] if len(batches) == 1 else newest(batches)
        chosen = latest(everything, count=LIVE_SERIES_MAX)
        messages = encode_messages(chosen)
        errors = dict.fromkeys(range(len(messages)), f"no answer within {LIVE_MS_MAX} ms")

        def publish(place: int) -> None:
            try:
                self.topic.publish(messages[place])
            except Exception as error:  # noqa: BLE001 - it must not hide what became of the other messages
                errors[place] = one_line(f"{type(error).__name__}: {error}")
            else:
                del errors[place]

        with suppress(OutOfTime):  # then some have no answer
            self.puts.until(_bounded(deadline))(publish, range(len(messages)))
        causes = list(errors.values())
        return HandedOn(
            series=len(chosen),
            left_out=len(everything) - len(chosen),
            messages=len(messages),
            failed=len(causes),
            errors=tuple(sorted(set(causes))),
        )


def _bounded(deadline: Deadline) -> Deadline:
    """Return a deadline that has LIVE_MS_MAX left for work at most."""
    return Deadline(lambda: min(deadline.remaining_ms(), LIVE_MS_MAX + REPORT_RESERVE_MS))
