"""`windrow cost`: numbers that can be worked out by hand."""

import json

import click.testing
import pytest

from infra.cost import HOURS_PER_MONTH, Fleet, cost, prices
from windrow_cli.cost import cost as command

TABLE = prices()


def test_the_price_table_names_its_date_and_sources() -> None:
    """Nobody should take it for more than it is."""
    assert TABLE["known_as_of"]
    assert TABLE["region"] == "us-east-1"
    assert all("aws.amazon.com" in source for source in TABLE["sources"].values())


def test_plain_records_need_shards_for_their_number() -> None:
    """8,000 readings/s at 800 records/s and shard are ten shards, of 0.015 dollars an hour; each pays for 25 KB."""
    plain = cost(Fleet(sensors=80_000, interval_seconds=10), "plain", TABLE)
    assert (plain.shards, plain.records_per_second) == (10, 8_000)
    assert plain.dollars["stream: shards"] == pytest.approx(10 * HOURS_PER_MONTH * 0.015)
    assert plain.dollars["stream: PUT payload units"] == pytest.approx(8_000 * 3600 * HOURS_PER_MONTH / 1e6 * 0.014)


def test_aggregates_pay_for_their_bytes() -> None:
    """8,000 readings/s are 0.9 MB/s: two shards, 18 records/s of three payload units each."""
    aggregated = cost(Fleet(sensors=80_000, interval_seconds=10), "json", TABLE)
    assert aggregated.shards == 2
    assert aggregated.records_per_second == pytest.approx(8_000 * 114 / 51_200)
    units = aggregated.records_per_second * 2 * 3600 * HOURS_PER_MONTH
    assert aggregated.dollars["stream: PUT payload units"] == pytest.approx(units / 1e6 * 0.014)


def test_a_small_fleet_sends_a_record_a_second() -> None:
    """Nothing waits longer; but there are never more records than readings."""
    assert cost(Fleet(sensors=100, interval_seconds=10), "json", TABLE).records_per_second == 1
    assert cost(Fleet(sensors=1, interval_seconds=10), "json", TABLE).records_per_second == 0.1


@pytest.mark.parametrize("sensors", [1, 1_000, 100_000, 1_000_000])
def test_each_form_costs_no_more_than_the_one_before(sensors: int) -> None:
    """Plain, aggregated, blocks."""
    wires = ("plain", "json", "blocks")
    totals = [cost(Fleet(sensors=sensors, interval_seconds=10), wire, TABLE).total for wire in wires]
    assert totals == sorted(totals, reverse=True)
    assert min(totals) > HOURS_PER_MONTH * 0.015


def test_a_query_pays_for_at_least_ten_megabytes() -> None:
    """As Athena counts."""
    assert cost(Fleet(sensors=1, interval_seconds=10), "json", TABLE).query == pytest.approx(5e-5)


@pytest.mark.parametrize("form", ["table", "json"])
def test_the_command_compares_one_record_per_reading_with_the_chosen_form(form: str) -> None:
    """On standard output, for people and for programs."""
    result = click.testing.CliRunner().invoke(
        command, ["--sensors", "20000", "--wire", "blocks", "--format", form], catch_exceptions=False
    )
    assert result.exit_code == 0
    if form == "json":
        assert [one["wire"] for one in json.loads(result.stdout)["costs"]] == ["plain", "blocks"]
