"""What readings cost that come as objects: the uploads, their events, the queue between, and receipts.

Lambda asks a queue for messages all the time, whether there are any or not, and lists objects for its sweep.
"""

from collections.abc import Iterator

from infra.cost_traffic import UPLOADS, Traffic
from infra.prices import PriceTable
from infra.shape import Shape
from infra.stream_bill import HOURS_PER_MONTH
from windrow.errors import UsageError

GB = 1e9
DAYS_PER_MONTH = HOURS_PER_MONTH / 24
LIST_KEYS_MAX = 1_000
MESSAGES_PER_RECEIVE = 10
"""The most that one ReceiveMessage returns; as many are deleted by one request."""
SWEEP_HOURS = 6


def uploads(sent: Traffic, shape: Shape, table: PriceTable) -> Iterator[tuple[str, float, str]]:
    """Yield name, dollars a month and basis of each part; none unless the stage has uploads."""
    if not shape.is_true("HasUploads"):
        return
    objects = sent.records if sent.wire == UPLOADS else 0.0
    put, get = table.usd("s3_put_thousand") / 1e3, table.usd("s3_get_thousand") / 1e3
    yield (
        "S3: uploads",
        objects * (put + get),
        f"{objects:,.0f} PUT and GET of objects of {sent.record_bytes:,.0f} bytes",
    )
    yield "S3: receipts", objects * put, f"{objects:,.0f} PUT, one for each object"
    yield "EventBridge: events", objects / 1e6 * table.usd("events_million"), f"{objects:,.0f} events of S3"
    polls = HOURS_PER_MONTH * 3600 * table.figure("queue_polls_per_second")
    requests = objects + polls + 2 * objects / min(MESSAGES_PER_RECEIVE, max(1.0, _per_batch(objects, sent)))
    basis = f"{requests:,.0f} requests, of which {polls:,.0f} ask an empty queue"
    yield "SQS: requests", requests / 1e6 * table.usd("queue_requests_million"), basis
    days = shape.number("PartialsRetentionDays")
    kept = objects / DAYS_PER_MONTH * days
    lists = HOURS_PER_MONTH / SWEEP_HOURS * 2 * (kept // LIST_KEYS_MAX + 1)
    yield (
        "S3: sweep",
        lists * put,
        f"{lists:,.0f} LIST: uploads and receipts of {days:g} days, every {SWEEP_HOURS} hours",
    )
    stored = kept * sent.record_bytes / GB
    yield "S3: objects uploaded", stored * table.usd("s3_gb_month"), f"{stored:,.1f} GB: objects of {days:g} days"


def tokens(sent: Traffic, shape: Shape, table: PriceTable) -> Iterator[tuple[str, float, str]]:
    """Yield the parts of gateways that upload by tokens; none unless the fleet has some. UsageError without the API.

    Each is a client of the user pool, and asks for a token a day; each object is one question to the API.
    """
    if not sent.fleet.by_token:
        return
    if not shape.is_true("HasGateways"):
        hint = "add: --set Web=on --set Uploads=bucket"
        raise UsageError("the stage gives no tokens to gateways", hint=hint)
    gateways = sent.fleet.gateways
    asked = gateways * DAYS_PER_MONTH
    dollars = gateways * table.usd("token_client_month") + asked / 1e3 * table.usd("tokens_thousand")
    yield "Cognito: gateways", dollars, f"{gateways} clients, {asked:,.0f} tokens: one a day each"
    objects = sent.records if sent.wire == UPLOADS else 0.0
    seconds = objects * table.figure("token_upload_seconds")
    memory_gb = float(shape.resources("AWS::Serverless::Function")["ApiFunction"]["MemorySize"]) / 1024
    dollars = (
        objects / 1e6 * (table.usd("http_requests_million") + table.usd("function_requests_million"))
        + seconds * memory_gb * table.usd("function_gb_second")
        + objects * table.figure("question_log_bytes") / GB * table.usd("log_gb")
    )
    yield "API: uploads by token", dollars, f"{objects:,.0f} questions to API and function, and their log"


def _per_batch(objects: float, sent: Traffic) -> float:
    return objects / sent.batches if sent.batches else 1.0
