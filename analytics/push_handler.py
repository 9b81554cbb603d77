"""The Lambda function that pushes live values: from the stream of the newest values to every open connection."""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

from windrow.cold_start import importing

with importing():
    from aws_lambda_powertools import Logger, Metrics
    from aws_lambda_powertools.metrics import MetricUnit
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from analytics.push.changes import Changes, changes_of
    from analytics.push.connections import Connection, ConnectionTable
    from analytics.push.latest import LatestTable
    from analytics.push.messages import Json, messages_of, value_item
    from analytics.push.posting import THREADS, ManagementApi, Posts, PushReport, push
    from analytics.push.site_tally import site_tally, untallied
    from analytics.stage_rules import rules_reader
    from windrow.aws.clients import FUNCTION, Place, client
    from windrow.live.newest import site_of
    from windrow.rules.rule import Rule
    from windrow.settings import PushSettings
    from windrow.stage import Stage

POST_SECONDS_MAX = 5
"""API Gateway takes a message for a browser and answers at once; the others wait for the next one."""

logger = Logger()
metrics = Metrics()


@logger.inject_lambda_context
@metrics.log_metrics
def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:  # noqa: ARG001 - Lambda's signature
    """Push what a batch of stream records says; return the numbers of the report.

    What one connection or one record does wrong fails no batch. A table that does not answer does, and then the batch
    comes again while its values are worth it, as the mapping says.
    """
    changes = changes_of(event["Records"])
    report = _stage_push().push(changes, now_s=int(time.time()))
    told = {
        "MessagesPosted": report.posted,
        "MessagesSkipped": report.skipped,
        "ConnectionsGone": report.gone,
        "ConnectionsClosed": report.closed,
        "ChangesUnreadable": changes.unreadable,
    }
    for name, value in told.items():
        if value or name == "MessagesPosted":  # each metric is paid for by the hour in which it is told
            metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)
    return told


@dataclass(frozen=True, kw_only=True)
class StagePush:
    """What pushes a stage's changes: its tables, its connections, and its rules."""

    latest: LatestTable
    connections: ConnectionTable
    posts: Posts
    rules: Sequence[Rule]

    def push(self, changes: Changes, *, now_s: int) -> PushReport:
        """Post to each connection the changes of what it wants; nothing is read but the connections if there are none.

        A connection without anything to hear is still closed if it has expired.
        """
        connections = [] if changes.is_empty else list(self.connections.all())
        parts = self._parts_by_site(changes, connections, now_s)
        messages: dict[str | None, list[bytes]] = {}
        for site in {one.site for one in connections}:
            own = [parts[site]] if site in parts else []
            of_site = list(parts.values()) if site is None else own
            messages[site] = messages_of(
                {name: [item for part in of_site for item in part[name]] for name in ("values", "tally")}
            )
        return push(self.posts, self.connections, connections, lambda one: messages[one.site], now_s=now_s)

    def _parts_by_site(
        self, changes: Changes, connections: Sequence[Connection], now_s: int
    ) -> dict[str, dict[str, list[Json]]]:
        """Return the values and the tally of each touched site that somebody wants."""
        wanted = [site for site in changes.touched if any(one.wants(site) for one in connections)]

        def tallied(site: str) -> list[Json]:
            values = self.latest.of_site(site, now_s=now_s)
            quantities = changes.touched[site]
            if values is None:
                return list(untallied(site, quantities))
            return list(site_tally(site, values, quantities, self.rules))

        with ThreadPoolExecutor(THREADS) as threads:
            tallies = dict(zip(wanted, threads.map(tallied, wanted), strict=True))
        parts: dict[str, dict[str, list[Json]]] = {
            site: {"values": [], "tally": tally} for site, tally in tallies.items()
        }
        for value in changes.values:
            if (site := site_of(value.sensor_id)) in parts:
                parts[site]["values"].append(value_item(value))
        return parts


@cache
def _stage_push() -> StagePush:
    """Return what pushes for all events of this execution environment."""
    stage, settings = Stage.of_function(os.environ), PushSettings.from_environment(os.environ)
    dynamodb = client("dynamodb", stage.place)
    management = Place(FUNCTION, settings.socket_url.replace("ws", "http", 1), stage.place.region)
    return StagePush(
        latest=LatestTable(dynamodb, settings.latest_table),
        connections=ConnectionTable(dynamodb, settings.connections_table),
        posts=ManagementApi(
            client("apigatewaymanagementapi", management, repeats=False, wait_seconds=POST_SECONDS_MAX)
        ),
        rules=rules_reader(stage)(),
    )
