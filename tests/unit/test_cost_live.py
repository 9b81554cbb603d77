"""What Live=push costs: worked out by hand, and compared with messages as they are encoded."""

import numpy as np
import pytest

from infra.cost import Cost, cost
from infra.cost_live import MESSAGE_SERIES
from infra.cost_traffic import IDLE, Fleet
from infra.prices import price_table
from infra.shape import Shape
from windrow.columns.strings import Strings
from windrow.live.columns import encode_messages
from windrow.reading import Readings

TABLE = price_table()
FLEET = Fleet(sensors=1_000, interval_seconds=10, page_hours=100)
BATCHES = 730 * 3600 / 20
"""Of one shard, with a batching window of 20 seconds."""
OF_PUSH = (
    "Lambda: newest values",
    "Lambda: push",
    "SNS: newest values",
    "SQS: newest values",
    "DynamoDB: newest values",
    "DynamoDB: storage",
    "DynamoDB: tallies",
    "API Gateway: sockets",
)


def of(fleet: Fleet = FLEET, wire: str = "json", **parameters: str) -> Cost:
    """The cost of a fleet at a stage with Live=push, unless the parameters say otherwise."""
    return cost(fleet, wire, Shape({"Web": "on", "Live": "push"} | parameters), TABLE)


def messages_of(series: int) -> list[str]:
    """The newest values of so many sensors, with ids of 21 characters, as a batch hands them on."""
    chance = np.random.default_rng(1)
    return encode_messages(
        Readings(
            Strings.of(f"site-{number // 500:02}/sensor-{number:06}" for number in range(series)),
            np.arange(series, dtype=np.int32),
            1_795_223_100_000 + chance.integers(0, 20_000, series),
            np.zeros(series, np.int64),
            chance.integers(-20_000, 40_000, series).astype(np.int32),
        )
    )


@pytest.mark.parametrize("series", [1_000, 3_000, 20_000])
def test_messages_are_as_large_as_the_model_says(series: int) -> None:
    """Within a tenth, and as many."""
    messages = messages_of(series)
    assert len(messages) == -(-series // MESSAGE_SERIES)
    told = len(messages) * TABLE.figure("live_fixed_bytes") + series * TABLE.figure("live_series_bytes")
    assert sum(map(len, messages)) == pytest.approx(told, rel=0.1)


def test_every_batch_puts_each_of_its_series() -> None:
    """A thousand sensors, one shard, a batch every 20 seconds: one message and a thousand puts each."""
    found = of()
    assert found.traffic.batches == BATCHES
    assert found.dollars("SNS: newest values") == pytest.approx(BATCHES / 1e6 * 0.5)
    assert found.dollars("SQS: newest values") == pytest.approx((730 * 900 + 3 * BATCHES) / 1e6 * 0.4)
    assert found.dollars("DynamoDB: newest values") == pytest.approx(BATCHES * 1_000 / 1e6 * 0.625)
    assert found.dollars("DynamoDB: storage") == pytest.approx(1_000 * 350 / 1e9 * 0.25)
    seconds = BATCHES * 0.3 + BATCHES * 1_000 * 1.2e-3
    lambda_dollars = seconds * 1769 / 1024 * 0.0000133334 + BATCHES / 1e6 * 0.2
    assert found.dollars("Lambda: newest values") == pytest.approx(lambda_dollars)
    minutes, pushed = 100 * 60, 100 * 3600
    assert found.dollars("API Gateway: sockets") == pytest.approx(minutes / 1e6 * 0.25 + pushed / 1e6 * 1.0)
    pages = -(-1_000 * 350 // 4_096)
    assert found.dollars("DynamoDB: tallies") == pytest.approx(730 * 1_800 * 100 / 730 * pages / 1e6 * 0.125)


@pytest.mark.parametrize(
    ("parameters", "puts"),
    [
        ({"LiveIntervalSeconds": "60"}, 1_000 * 730 * 60),
        ({"LiveIntervalSeconds": "10"}, BATCHES * 1_000),
        ({"LiveDeadbandMilli": "100"}, BATCHES * 1_000 * 0.2),
        ({"LiveDeadbandMilli": "100", "LiveIntervalSeconds": "300"}, 1_000 * 730 * 12),
    ],
)
def test_an_interval_and_a_deadband_bound_the_puts(parameters: dict[str, str], puts: float) -> None:
    """By the interval, by the share that is assumed, and never fewer than one in five minutes."""
    assert of(**parameters).dollars("DynamoDB: newest values") == pytest.approx(puts / 1e6 * 0.625)


def test_nobody_pays_for_a_push_that_a_stage_does_not_have() -> None:
    """With Live=on, without the page, or without a stream there is no part of it."""
    without = [of(Live="on"), of(Web="off"), of(IDLE, "uploads", Uploads="bucket", StreamMode="NONE")]
    for one in without:
        assert {part.name for part in one.parts}.isdisjoint(OF_PUSH)


def test_what_is_uploaded_is_not_handed_on() -> None:
    """Nor is anything of an idle stage: only its queue is asked, and its alarms look on."""
    uploading = of(Fleet(sensors=1_000, interval_seconds=10, page_hours=0), "uploads", Uploads="bucket")
    for one in (of(IDLE), uploading):
        assert [name for name in OF_PUSH if one.dollars(name) > 0] in (
            ["SQS: newest values"],
            ["SQS: newest values", "DynamoDB: storage"],
        )


def test_its_metrics_and_alarms_are_counted() -> None:
    """Three metrics while readings come; the alarms always."""
    on, push = of(Live="on"), of()
    assert push.dollars("CloudWatch: metrics") - on.dollars("CloudWatch: metrics") == pytest.approx(0.90)
    assert push.dollars("CloudWatch: alarms") > on.dollars("CloudWatch: alarms")
