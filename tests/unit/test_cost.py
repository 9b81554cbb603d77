"""The model of costs: numbers that can be worked out by hand, and what each parameter of the stage changes."""

from dataclasses import replace

import pytest

from infra.cost import Cost, cost
from infra.cost_others import others
from infra.cost_traffic import IDLE, WIRES, Fleet, ticks_per_month, traffic
from infra.prices import NOT_SEEN, price_table
from infra.shape import Shape
from windrow.errors import UsageError

TABLE = price_table()
MONTH_HOURS = 730
SMALL = Fleet(sensors=1_000, interval_seconds=10)
LARGE = Fleet(sensors=80_000, interval_seconds=10)
"""8,000 readings a second."""


def of(fleet: Fleet, wire: str = "json", **parameters: str) -> Cost:
    """The cost of `fleet` at a stage with some parameters set."""
    return cost(fleet, wire, Shape(parameters), TABLE)


def test_every_price_names_its_unit_its_source_and_when_it_was_seen() -> None:
    """Nobody should take it for more than it is; what was not seen says so."""
    assert TABLE.region == "us-east-1"
    for name, price in TABLE.prices.items():
        assert price.usd > 0, name
        assert price.unit, name
        assert price.source, name
        assert price.seen == NOT_SEEN or price.seen.startswith("202"), name
    assert not TABLE.prices["metric_month"].is_seen


def test_every_figure_says_how_it_was_found() -> None:
    """Measured, fitted, counted, or plainly assumed."""
    for name, figure in TABLE.figures.items():
        assert figure.how, name
        assert figure.unit, name
    assert TABLE.figures["call_seconds"].is_assumed
    assert not TABLE.figures["tick_lists"].is_assumed


def test_plain_records_need_shards_for_their_number() -> None:
    """8,000 readings/s at 800 records/s and shard are ten shards, of 0.015 dollars an hour; each pays for 25 KB."""
    plain = of(LARGE, "plain")
    assert (plain.traffic.shards_needed, plain.traffic.shards, plain.traffic.records_per_second) == (10, 10, 8_000)
    assert plain.dollars("Kinesis: shards") == pytest.approx(10 * MONTH_HOURS * 0.015)
    assert plain.dollars("Kinesis: PUT payload units") == pytest.approx(8_000 * 3600 * MONTH_HOURS / 1e6 * 0.014)


def test_aggregates_pay_for_their_bytes() -> None:
    """8,000 readings/s are 0.9 MB/s: two shards, 18 records/s of two payload units each."""
    aggregated = of(LARGE)
    assert aggregated.traffic.shards_needed == 2
    assert aggregated.traffic.records_per_second == pytest.approx(8_000 * 114 / 51_200)
    units = aggregated.traffic.records_per_second * 2 * 3600 * MONTH_HOURS
    assert aggregated.dollars("Kinesis: PUT payload units") == pytest.approx(units / 1e6 * 0.014)


def test_shards_are_those_deployed_or_those_needed() -> None:
    """A stage pays for what it has, however little is sent; a fleet that needs more is not priced with less."""
    for shards in ("1", "4"):
        small = of(SMALL, ShardCount=shards)
        assert small.dollars("Kinesis: shards") == pytest.approx(int(shards) * MONTH_HOURS * 0.015)
        assert small.traffic.shards_needed == 1
    assert of(LARGE, ShardCount="1").traffic.shards == 2


def test_a_small_fleet_sends_a_record_a_second_and_shard() -> None:
    """Nothing waits longer; but there are never more records than readings, nor more batches than records."""
    one = Shape({"ShardCount": "1"})
    assert traffic(Fleet(sensors=100, interval_seconds=10), "json", one, TABLE).records_per_second == 1
    single = traffic(Fleet(sensors=1, interval_seconds=100), "json", one, TABLE)
    assert single.records_per_second == 0.01
    assert single.batches == pytest.approx(0.01 * MONTH_HOURS * 3600)


def test_batches_come_with_the_batching_window_of_the_stage() -> None:
    """Three a minute and shard, or one with a window of 60 seconds, and as many partials less."""
    usual, longer = of(SMALL), of(SMALL, BatchingWindowSeconds="60")
    assert usual.traffic.batches == pytest.approx(usual.traffic.shards * 3 * 60 * MONTH_HOURS)
    assert longer.traffic.batches == pytest.approx(usual.traffic.batches / 3)
    assert longer.dollars("S3: requests of the consumer") < 0.5 * usual.dollars("S3: requests of the consumer")


@pytest.mark.parametrize("sensors", [1, 1_000, 100_000, 1_000_000])
def test_each_form_costs_no_more_than_the_one_before(sensors: int) -> None:
    """Plain, aggregated, blocks; and an idle stage least of all."""
    fleet = Fleet(sensors=sensors, interval_seconds=10)
    totals = [of(IDLE).total, *(of(fleet, wire).total for wire in ("blocks", "json", "plain"))]
    assert totals == sorted(totals)


def test_retention_beyond_a_day_costs_by_the_shard() -> None:
    """24 hours are in the price; longer is 0.02 dollars a shard-hour, however long up to a week."""
    assert of(SMALL).dollars("Kinesis: retention") == 0
    for hours in ("25", "168"):
        longer = of(SMALL, StreamRetentionHours=hours, ShardCount="3")
        assert longer.dollars("Kinesis: retention") == pytest.approx(3 * MONTH_HOURS * 0.02)


def test_an_on_demand_stream_pays_for_the_hour_and_for_bytes() -> None:
    """No shards; 0.04 dollars an hour, and each record counts as at least 1 KB."""
    found = of(SMALL, "plain", StreamMode="ON_DEMAND")
    assert found.dollars("Kinesis: shards") == 0
    assert found.dollars("Kinesis: stream") == pytest.approx(29.2)
    gigabytes = 100 * 3600 * MONTH_HOURS * 1024 / 2**30
    assert found.dollars("Kinesis: bytes in") == pytest.approx(gigabytes * 0.08)
    assert of(IDLE, StreamMode="ON_DEMAND").dollars("Kinesis: bytes in") == 0


def test_fan_out_is_paid_for_where_it_is_deployed() -> None:
    """The function that hands on waits for the others."""
    assert of(SMALL).dollars("Lambda: fan-out") == 0
    fanout = of(SMALL, ProcessingMode="fanout")
    assert fanout.dollars("Lambda: fan-out") > fanout.dollars("Lambda: consumer") > 0


def test_alarms_are_counted_in_the_template() -> None:
    """By the metrics they read; what `Operations` leaves out is not paid for."""
    full, simple, none = (of(IDLE, Operations=level) for level in ("full", "simple", "none"))
    assert full.dollars("CloudWatch: alarms") > simple.dollars("CloudWatch: alarms") > 0
    assert none.dollars("CloudWatch: alarms") == 0
    alarms = Shape().resources("AWS::CloudWatch::Alarm")
    metrics = sum(
        len([one for one in alarm.get("Metrics", [{"MetricStat"}]) if "MetricStat" in one]) for alarm in alarms.values()
    )
    assert full.dollars("CloudWatch: alarms") == pytest.approx(0.10 * metrics)


def test_a_stage_without_a_schedule_has_no_ticks() -> None:
    """No dispatcher, no listing, no metric of it; shards and the key stay."""
    idle = of(IDLE, ScheduleState="DISABLED")
    for part in ("Lambda: dispatcher", "S3: requests of the dispatcher", "CloudWatch: metrics", "CloudWatch: logs"):
        assert idle.dollars(part) == 0, part
    assert idle.dollars("KMS: key") == pytest.approx(1.00)


def test_a_tick_of_an_idle_stage_is_paid_for_by_its_requests() -> None:
    """As the simulation counts them, 12 an hour."""
    lists, gets, puts = (TABLE.figure(name) for name in ("tick_lists", "tick_gets", "tick_puts"))
    dollars = 12 * MONTH_HOURS / 1e3 * ((lists + puts) * 0.005 + gets * 0.0004)
    assert of(IDLE).dollars("S3: requests of the dispatcher") == pytest.approx(dollars)


def test_windows_of_many_shards_are_listed_in_pages() -> None:
    """100 shards write 1,600 partials a window; a LIST returns 1,000."""
    many, few = of(SMALL, ShardCount="100"), of(SMALL, ShardCount="10")
    assert many.traffic.partials / (12 * MONTH_HOURS) == pytest.approx(1_600)
    more = (
        (many.dollars("S3: requests of the dispatcher") - few.dollars("S3: requests of the dispatcher"))
        / 12
        / MONTH_HOURS
    )
    pages = TABLE.figure("windows_per_tick")
    reads = (many.traffic.partials - few.traffic.partials) / 12 / MONTH_HOURS
    assert more == pytest.approx((pages * 0.005 + reads * 0.0004) / 1e3)


def test_a_query_pays_for_at_least_ten_megabytes() -> None:
    """As Athena counts; and for its bytes beyond."""
    assert of(Fleet(sensors=1, interval_seconds=10)).query == pytest.approx(5e-5)
    assert of(LARGE).query > 0.01


@pytest.mark.parametrize(
    ("expression", "per_hour"),
    [
        ("cron(2/5 * * * ? *)", 12),
        ("cron(0/10 * * * ? *)", 6),
        ("cron(2,17,32,47 * * * ? *)", 4),
        ("cron(* * * * ? *)", 60),
        ("rate(5 minutes)", 12),
        ("rate(1 hour)", 1),
    ],
)
def test_the_schedule_decides_the_ticks(expression: str, per_hour: int) -> None:
    """Minutes of the hour, or a rate."""
    assert ticks_per_month(Shape({"ScheduleExpression": expression})) == pytest.approx(per_hour * MONTH_HOURS)


def test_a_schedule_that_cannot_be_counted_is_refused() -> None:
    """Not guessed."""
    with pytest.raises(UsageError, match="cannot tell how often"):
        ticks_per_month(Shape({"ScheduleExpression": "cron(0 8 ? * MON *)"}))


def test_other_services_are_priced_for_the_same_fleet() -> None:
    """Managed Flink is an application's KPU and its own; Advantage has a floor for the account; Firehose rounds up."""
    found = {one.name: one for one in others(SMALL, "json", Shape(), TABLE)}
    assert found["Managed Flink"].dollars == pytest.approx(165.6 + MONTH_HOURS * 0.015)
    assert found["the stream on demand, Advantage"].dollars == pytest.approx(2_053, abs=1)
    gigabytes = 100 * 3600 * MONTH_HOURS * 5 * 1024 / 2**30
    assert found["Firehose to S3"].dollars == pytest.approx(gigabytes * 0.029)
    assert found["raw Kinesis and Lambda"].dollars < of(SMALL, ShardCount="1").total
    assert all(one.lacks and one.basis for one in found.values())


def test_a_flink_application_is_paid_for_beside_the_stage() -> None:
    """Two KPUs even without readings, and what else the stage costs stays as it is; without Engine there is no part."""
    beside = of(SMALL, Engine="flink")
    assert beside.dollars("Managed Flink") == pytest.approx(165.6)
    assert beside.total == pytest.approx(of(SMALL).total + 165.6)
    assert of(IDLE, Engine="flink").dollars("Managed Flink") == pytest.approx(165.6)
    assert of(LARGE, Engine="flink").dollars("Managed Flink") == pytest.approx(165.6)  # 8,000 a second: one KPU
    assert not [part for part in of(SMALL).parts if part.name == "Managed Flink"]


def mqtt(readings_per_message: int) -> Cost:
    """10,000 sensors at ten seconds, as messages of MQTT."""
    return of(Fleet(sensors=10_000, interval_seconds=10, readings_per_message=readings_per_message), "mqtt")


def test_a_message_a_reading_costs_a_dollar_a_million() -> None:
    """1,000 readings/s are 2,628 million messages a month; the rule and its action cost 0.15 each, on top."""
    one = mqtt(1)
    assert one.dollars("IoT Core: messages") == pytest.approx(1_000 * 3600 * MONTH_HOURS / 1e6)
    assert one.dollars("IoT Core: rule and action") == pytest.approx(0.3 * one.dollars("IoT Core: messages"))
    assert one.dollars("IoT Core: connections") == pytest.approx(10_000 * MONTH_HOURS * 60 / 1e6 * 0.08)
    assert one.traffic.records_per_second == of(one.traffic.fleet, "plain").traffic.records_per_second == 1_000


def test_messages_are_metered_by_five_kilobytes() -> None:
    """40 readings of 125 bytes fit into one unit, 41 need two; and fewer messages need fewer shards."""
    fits, spills = mqtt(40), mqtt(41)
    assert fits.dollars("IoT Core: messages") == pytest.approx(2_628 / 40)
    assert spills.dollars("IoT Core: messages") == pytest.approx(2_628 / 41 * 2)
    assert (mqtt(1).traffic.shards_needed, fits.traffic.shards_needed) == (2, 1)
    assert fits.traffic.readings == mqtt(1).traffic.readings


def test_only_messages_pay_for_aws_iot_core() -> None:
    """Whoever sends to the stream, and an idle stage, pays nothing there."""
    for cost_of in (of(LARGE), of(LARGE, "plain"), of(LARGE, "blocks")):
        assert not any(part.name.startswith("IoT") for part in cost_of.parts)
    assert sum(part.dollars for part in of(IDLE, "mqtt").parts if part.name.startswith("IoT")) == 0


def test_every_price_and_figure_is_used() -> None:
    """A price that no part reads would only look like knowledge."""
    read: set[str] = set()

    class Watched:
        """The table, remembering what was asked for."""

        def usd(self, name: str) -> float:
            read.add(name)
            return TABLE.usd(name)

        def figure(self, name: str) -> float:
            read.add(name)
            return TABLE.figure(name)

    watched = Watched()
    for mode in ("PROVISIONED", "ON_DEMAND"):
        for wire in WIRES:
            extras = {"Scaling": "auto", "Backfill": "on", "Reports": "on", "ValueRules": "0" * 64}
            extras |= {"LiveDeadbandMilli": "100"}
            chosen = {"StreamMode": mode, "Uploads": "bucket", "Web": "on", "Live": "push", "Audit": "daily"}
            shape = Shape(chosen | extras)
            cost(replace(LARGE, by_token=True), wire, shape, watched)  # type: ignore[arg-type]
            others(LARGE, wire, shape, watched)  # type: ignore[arg-type]
    assert read == {*TABLE.prices, *TABLE.figures}


UPLOADING = Fleet(sensors=1_000, interval_seconds=60, gateways=20, upload_seconds=300)
NO_STREAM = {"Uploads": "bucket", "StreamMode": "NONE"}


def test_uploads_pay_for_objects_and_for_no_shard() -> None:
    """20 gateways every five minutes are 175,200 objects a month, each with a PUT, a receipt and an event."""
    found = of(UPLOADING, "uploads", **NO_STREAM)
    objects = 20 / 300 * 3600 * MONTH_HOURS
    assert found.traffic.records == pytest.approx(objects) == pytest.approx(175_200)
    assert found.dollars("S3: uploads") == pytest.approx(objects * (0.005 + 0.0004) / 1e3)
    assert found.dollars("S3: receipts") == pytest.approx(objects * 0.005 / 1e3)
    assert found.dollars("EventBridge: events") == pytest.approx(objects / 1e6)
    assert not any(part.name.startswith("Kinesis") for part in found.parts)
    assert found.dollars("Lambda: consumer") == 0


def test_waiting_for_more_objects_saves_calls_and_partials() -> None:
    """In five minutes all gateways have uploaded once: one call, and two partials, of two windows."""
    found = of(UPLOADING, "uploads", **NO_STREAM, BatchingWindowSeconds="300")
    assert found.traffic.batches == pytest.approx(3600 * MONTH_HOURS / 300)
    assert found.traffic.partials == 2 * found.traffic.batches
    assert found.total < of(UPLOADING, "uploads", **NO_STREAM).total


def test_a_stream_beside_uploads_is_paid_for() -> None:
    """Its shard, and no record; what the stage does not have is refused."""
    beside = of(UPLOADING, "uploads", Uploads="bucket")
    assert beside.dollars("Kinesis: shards") == pytest.approx(MONTH_HOURS * 0.015)
    assert beside.dollars("Kinesis: PUT payload units") == 0
    with pytest.raises(UsageError, match="no uploads"):
        of(UPLOADING, "uploads")
    with pytest.raises(UsageError, match="no stream"):
        of(UPLOADING, "json", **NO_STREAM)


def test_an_idle_stage_without_a_stream_costs_ticks_and_a_key() -> None:
    """And the questions of an idle queue; less than with a shard."""
    idle = of(IDLE, "uploads", **NO_STREAM)
    assert idle.dollars("S3: uploads") == idle.dollars("S3: receipts") == 0
    assert idle.dollars("SQS: requests") > 0
    assert idle.total < of(IDLE).total - 10
