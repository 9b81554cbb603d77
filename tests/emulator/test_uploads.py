"""From objects to rows: the embedded stack's bucket, rule, queue and function, then the dispatcher."""

import gzip
import hashlib
import io
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pyarrow
import pyarrow.parquet
import pytest
import urllib3
from click.testing import CliRunner

from infra import api_code, destroy
from infra import stack as stacks
from infra.plan import DeploymentOptions, plan_deployment
from infra.stage_status import stage_statuses
from infra.waiting import poll
from processors import backfill_plan
from producers import Producer, Wire
from tests.emulator.conftest import ignore
from windrow import settings
from windrow.aws.clients import Place, client
from windrow.errors import WindrowError
from windrow.lake import layout
from windrow.lake.gateway_api import GatewayApi
from windrow.lake.layout import RECEIPTS, rows_key
from windrow.lake.quarantine_search import QuarantineSearch
from windrow.lake.receipt import Receipt
from windrow.reading import BadReading, Reading, Readings, Reason
from windrow.stage import Stage
from windrow.window import WINDOW_MS, Window
from windrow.wire.block.block import encode_block
from windrow.wire.json.encode import encode_readings
from windrow_cli.main import windrow
from windrow_operations import gateways
from windrow_operations.gateway_uploading import receipt_of
from windrow_operations.redelivery import redrive_stage
from windrow_operations.ticks import invoke_tick, tick_event

NAME = "uploads"
ARCHIVE = "archive-of-uploads-test"
GATEWAYS = 5
MINUTE_MS = 60_000


@pytest.fixture(scope="module")
def stage(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stage without a stream: readings come as uploads only, also of gateways by the tokens of its user pool."""
    client("s3", place).create_bucket(Bucket=ARCHIVE)
    parameters = {"Uploads": "bucket", "StreamMode": "NONE", "Backfill": "on", "BackfillBucket": ARCHIVE, "Web": "on"}
    options = DeploymentOptions(is_scheduled=False, parameters=parameters)
    home = tmp_path_factory.mktemp("windrow-uploads")
    api = api_code.code_for(place, NAME, options, functions_wheels=None, home=home)
    yield stacks.apply(plan_deployment(place, NAME, options, api=api), ignore).stage
    destroy.apply(destroy.plan_destruction(place, NAME, deletes_data=True), ignore)


def readings_of(gateway: int, window: Window) -> list[Reading]:
    """Ten readings of two sensors of a gateway, and the first of them again."""
    some = [
        Reading(f"g{gateway}-{n % 2}", window.start_ms + n * 20_000, 0, 20_000 + 100 * gateway + n) for n in range(10)
    ]
    return [*some, some[0]]


def encoded(gateway: int, readings: list[Reading]) -> tuple[bytes, str]:
    """The object of a gateway: each has another form."""
    columns = Readings.of(readings)
    lines = b"\n".join(encode_readings(columns))
    rows = "".join(f"{one.sensor_id},{one.event_time_ms},{one.value_milli / 1000}\n" for one in readings)
    return [
        (encode_block(columns), "application/vnd.apache.arrow.stream"),
        (lines, "application/x-ndjson"),
        (gzip.compress(lines), "application/gzip"),
        (f"sensor_id,event_time,temperature\n{rows}".encode(), "text/csv"),
        (lines + b"\n{}", "binary/octet-stream"),
    ][gateway]


def receipts(stage: Stage) -> dict[str, Receipt]:
    found = {}
    for listed in stage.lake.list_objects(RECEIPTS):
        stored = stage.lake.get(listed.key)
        assert stored is not None
        receipt = Receipt.from_json(stored.body)
        found[receipt.key] = receipt
    return found


def of_gateway(stage: Stage, name: str) -> list[Receipt]:
    return [one for key, one in receipts(stage).items() if key.startswith(f"{layout.GATEWAY_UPLOADS}{name}/")]


def test_what_is_uploaded_is_in_the_rows(stage: Stage, place: Place) -> None:
    """Five gateways, five forms, one object twice and one under a key that was used: the rows are the truth."""
    window = recent()
    s3 = client("s3", place)
    sent = [readings_of(gateway, window) for gateway in range(GATEWAYS)]
    for gateway, readings in enumerate(sent):
        body, kind = encoded(gateway, readings)
        s3.put_object(Bucket=stage.uploads_bucket, Key=f"uploads/g{gateway}/1", Body=body, ContentType=kind)
    body, kind = encoded(0, sent[0])
    s3.put_object(Bucket=stage.uploads_bucket, Key="uploads/again", Body=body, ContentType=kind)
    s3.put_object(Bucket=stage.uploads_bucket, Key="uploads/broken", Body=b"\x1f\x8b but no gzip")
    s3.put_object(Bucket=stage.uploads_bucket, Key="elsewhere/unheard", Body=body)

    poll(lambda: len(receipts(stage)) >= GATEWAYS + 2 or None, seconds_max=60, pause_seconds=0.2)

    found = receipts(stage)
    assert found.keys() == {
        *(f"uploads/g{gateway}/1" for gateway in range(GATEWAYS)),
        "uploads/again",
        "uploads/broken",
    }
    assert [(found[f"uploads/g{n}/1"].readings, found[f"uploads/g{n}/1"].duplicates) for n in range(GATEWAYS)] == [
        (10, 1)
    ] * GATEWAYS
    assert found["uploads/g4/1"].rejected == {Reason.MISSING_FIELD: 1}
    assert found["uploads/broken"].rejected == {Reason.UPLOAD_UNREADABLE: 1}
    invoke_tick(stage, tick_event(window.end_ms + 2 * MINUTE_MS, is_dry_run=False))
    stored = stage.results.get(rows_key(window))
    assert stored is not None
    rows = pyarrow.parquet.read_table(io.BytesIO(stored.body)).to_pylist()
    truth: dict[str, tuple[int, int]] = {}
    for one in {one for readings in sent for one in readings}:
        count, total = truth.get(one.sensor_id, (0, 0))
        truth[one.sensor_id] = (count + 1, total + one.value_milli)
    assert {row["sensor_id"]: (row["readings"], int(row["sum_milli"])) for row in rows} == truth


def test_a_stage_without_a_stream_says_so(stage: Stage, place: Place) -> None:
    """Its status is whole, a redrive works, and what asks for the stream is told that there is none."""
    (status,) = [one for one in stage_statuses(place) if one.stage == NAME]
    assert (status.stream, status.shards, status.mapping, status.is_reading) == ("", 0, "", True)
    assert status.uploads_bucket == stage.uploads_bucket != ""
    search = QuarantineSearch(start_ms=0, end_ms=time.time_ns() // 1_000_000 + MINUTE_MS)
    redriven = redrive_stage(stage, search, now_ms=time.time_ns() // 1_000_000, of_quarantine=True, of_failures=True)
    assert (redriven.delivered.records, redriven.delivered.failed) == (1, ())
    assert [one.count for one in redriven.skipped] == [1]
    with pytest.raises(WindrowError, match="has no stream"):
        stage.stream.list_shards()


def test_a_sweep_by_hand_finds_nothing_that_is_done(stage: Stage, place: Place) -> None:
    """The function, invoked as its schedule does; all that is uploaded is younger than half an hour."""
    event = json.dumps({"detail-type": "Scheduled Event", "source": "aws.events"})
    name = next(
        one["OutputValue"]
        for one in client("cloudformation", place).describe_stacks(StackName=f"windrow-{NAME}")["Stacks"][0]["Outputs"]
        if one["OutputKey"] == "UploadsFunctionName"
    )
    answer = client("lambda", place).invoke(FunctionName=name, Payload=event)
    assert json.loads(answer["Payload"].read()) == {"lost": 0, "left": 0}


def test_a_file_is_uploaded_by_command_once(
    stage: Stage, command_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its receipt is waited for and shown; the second time it is there already."""
    monkeypatch.setenv(settings.STAGE, NAME)
    file = tmp_path / "readings.jsonl"
    file.write_bytes(b"\n".join(encode_readings(Readings.of(readings_of(6, recent())))))

    first, second = (CliRunner().invoke(windrow, ["upload", str(file)]) for _ in range(2))

    assert first.exit_code == 0, first.output
    assert first.stdout == f"{file}: 10 readings in 1 windows, 1 duplicates\n"
    assert second.stdout == f"{file}: was uploaded before\n"


def test_a_signed_request_works_once(
    stage: Stage, command_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For who has no credentials: 200, then 412; and the object counts as any other."""
    monkeypatch.setenv(settings.STAGE, NAME)
    file = tmp_path / "signed.jsonl"
    file.write_bytes(b"\n".join(encode_readings(Readings.of(readings_of(7, recent())))))
    result = CliRunner().invoke(windrow, ["upload", "--sign", "--minutes", "2", str(file)])
    assert result.exit_code == 0, result.output
    signed = json.loads(result.stdout)

    def send() -> int:
        answer = urllib3.request(
            signed["method"],
            signed["url"],
            body=file.read_bytes(),
            headers=signed["headers"],
            retries=False,
            timeout=30,
        )
        return answer.status

    assert [send(), send()] == [200, 412]
    poll(
        lambda: any(key.endswith("-signed.jsonl") for key in receipts(stage)) or None, seconds_max=60, pause_seconds=0.2
    )
    (receipt,) = [one for key, one in receipts(stage).items() if key.endswith("-signed.jsonl")]
    assert (receipt.readings, receipt.refusal) == (10, "")


def test_a_gateway_uploads_by_its_token_for_its_sensors_alone(
    stage: Stage, place: Place, command_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By command, twice: counted once, with its receipt. Nothing counts with a foreign sensor, nor once it is gone."""
    monkeypatch.setenv(settings.STAGE, NAME)
    run = CliRunner().invoke
    credentials = tmp_path / "roof.json"
    added = run(windrow, ["gateways", "add", "roof", "--sensors", "g9-"])
    assert added.exit_code == 0, added.output
    credentials.write_text(added.stdout)
    own, foreign = tmp_path / "own.jsonl", tmp_path / "foreign.jsonl"
    own.write_bytes(b"\n".join(encode_readings(Readings.of(readings_of(9, recent())))))
    foreign.write_bytes(b"\n".join(encode_readings(Readings.of(readings_of(6, recent())))))

    for _ in range(2):
        counted = run(windrow, ["upload", "--gateway", str(credentials), str(own)])
        assert counted.exit_code == 0, counted.output
        assert counted.stdout == f"{own}: 10 readings in 1 windows, 1 duplicates\n"
    refused = run(windrow, ["upload", "--gateway", str(credentials), str(foreign)])
    assert refused.exit_code == 1
    assert "sensor 'g6-0' is not among those that its uploader may write for: g9-*" in refused.stdout
    assert sorted(one.readings for one in of_gateway(stage, "roof")) == [0, 10]
    with Producer.to_uploads_by_token(credentials, spool=tmp_path / "spool", wire=Wire.BLOCKS) as producer:
        with pytest.raises(BadReading, match="none of this gateway's sensors"):
            producer.put("g6-0", 20)
        producer.put("g9-2", 20)
        assert producer.flush()
        assert producer.counters.records == 1
    poll(lambda: len(of_gateway(stage, "roof")) == 3 or None, seconds_max=60, pause_seconds=0.2)
    assert sorted(one.readings for one in of_gateway(stage, "roof")) == [0, 1, 10]

    removed = run(windrow, ["gateways", "remove", "roof", "--yes"])
    assert removed.exit_code == 0, removed.output
    ended = run(windrow, ["upload", "--gateway", str(credentials), str(own)])
    assert isinstance(ended.exception, WindrowError)
    assert list(stage.lake.list_objects(layout.GATEWAYS)) == []


def test_a_token_that_is_not_a_gateways_uploads_nothing(stage: Stage, place: Place) -> None:
    """None, a forged one, one without the scope, another gateway's key; and a request changed in any part."""
    window = recent()
    roof, cellar = (GatewayApi(gateways.add(stage, name, [f"{name}-"])) for name in ("roof", "cellar"))
    reader = client("cognito-idp", place).create_user_pool_client(
        UserPoolId=stage.user_pool,
        ClientName="reader",
        GenerateSecret=True,
        AllowedOAuthFlowsUserPoolClient=True,
        AllowedOAuthFlows=["client_credentials"],
        AllowedOAuthScopes=["results/read"],
    )["UserPoolClient"]
    of_reader = token_of(stage, reader["ClientId"], reader["ClientSecret"], "results/read")
    body = b"\n".join(encode_readings(Readings.of([Reading("roof-1", window.start_ms, 0, 1)])))
    asked = {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest(), "content_type": "application/x-ndjson"}

    def ask(token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"{stage.gateways_url}/v1/uploads"
        return urllib3.request("POST", url, json=asked, headers=headers, retries=False, timeout=60).status

    signed = roof._asked("POST", "/v1/uploads", body=json.dumps(asked).encode())
    head, claims, signature = roof._token.split(".")
    assert [ask(token) for token in ("", f"{head}.{claims}.{signature[::-1]}", "a.b.c", of_reader)] == [
        401,
        401,
        401,
        403,
    ]
    with pytest.raises(WindrowError, match="not of the gateway cellar"):
        receipt_of(cellar, signed["key"])
    assert receipt_of(roof, signed["key"]) is None

    def send(body: bytes, **changed: str) -> int:
        headers = signed["headers"] | changed
        return urllib3.request("PUT", signed["url"], body=body, headers=headers, retries=False, timeout=30).status

    refused = [
        send(body, **{"x-amz-meta-sensors": "cellar-"}),
        send(body, **{"Content-Type": "text/csv"}),
        send(body + b"\n", **{"Content-Length": str(len(body) + 1)}),
    ]
    assert refused == [403, 403, 403]
    assert [send(body), send(body)] == [200, 412]
    receipt = poll(lambda: receipt_of(roof, signed["key"]), seconds_max=60, pause_seconds=0.2)
    assert receipt is not None
    assert (receipt.readings, receipt.refusal) == (1, "")
    for name in ("roof", "cellar"):
        gateways.remove(stage, name)
    assert ask(roof._token) == 403


def token_of(stage: Stage, client_id: str, secret: str, scope: str) -> str:
    answer = urllib3.request(
        "POST",
        f"{stage.sign_in_url}/oauth2/token",
        body=urlencode({"grant_type": "client_credentials", "scope": scope}),
        headers={
            **urllib3.make_headers(basic_auth=f"{client_id}:{secret}"),
            "Content-Type": "application/x-www-form-urlencoded",
        },
        timeout=30,
    )
    return str(answer.json()["access_token"])


def test_a_producer_uploads_what_it_is_given(
    stage: Stage, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the spool, in both forms; what was flushed has a receipt that counts it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    for wire in Wire:
        with Producer.to_uploads(
            stage.uploads_bucket,
            name=f"gateway-{wire}",
            endpoint_url=place.endpoint_url,
            region=place.region,
            wire=wire,
            spool=tmp_path / wire,
        ) as producer:
            producer.put_readings(Readings.of(readings_of(8, recent())[:10]))
            assert producer.flush()
            assert producer.counters.records == 1

        def found(prefix: str = f"uploads/gateway-{wire}/") -> Receipt | None:
            return next((one for key, one in receipts(stage).items() if key.startswith(prefix)), None)

        receipt = poll(found, seconds_max=60, pause_seconds=0.2)
        assert receipt is not None
        assert (receipt.readings, receipt.rejected) == (10, {})


def test_history_in_a_bucket_is_backfilled_in_parts(
    stage: Stage, place: Place, command_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty days old: lines, CSV and row groups, cut small, by the command; blocks by the machine: the truth."""
    monkeypatch.setenv(settings.STAGE, NAME)
    monkeypatch.setattr(backfill_plan, "PART_BYTES_MAX", 500)
    monkeypatch.setattr(backfill_plan, "PART_ROWS_MAX", 8)
    start_ms = recent().start_ms - 40 * 86_400_000
    sent = [Reading(f"h{n % 4}", start_ms + n * 15_000, 0, n) for n in range(90)]
    rows = [(one.sensor_id, one.event_time_ms, one.value_milli / 1000) for one in sent]
    names = ["sensor_id", "event_time", "temperature"]
    file = io.BytesIO()
    table = pyarrow.table(dict(zip(names, zip(*rows[40:60], strict=True), strict=True)))
    pyarrow.parquet.write_table(table, file, row_group_size=7)
    text = "\n".join(",".join(map(str, row)) for row in [names, *rows[20:42]])
    bodies = {
        "a.jsonl": b"\n".join(encode_readings(Readings.of(sent[:22]))),
        "b.csv": text.encode(),
        "c.parquet": file.getvalue(),
    }
    put = client("s3", place).put_object
    for name, body in bodies.items():
        put(Bucket=ARCHIVE, Key=f"history/{name}", Body=body)
    for hour in range(3):
        put(Bucket=ARCHIVE, Key=f"stream/hour={hour}/1", Body=encode_block(Readings.of(sent[60 + 10 * hour :][:10])))

    command = ["backfill", "--follow", "--format", "json"]
    here = CliRunner().invoke(windrow, [*command, "--here", f"s3://{ARCHIVE}/history"])
    by_machine = CliRunner().invoke(windrow, [*command, f"s3://{ARCHIVE}/stream"])

    assert (here.exit_code, by_machine.exit_code) == (0, 0), (here.exception, by_machine.exception)
    report, of_machine = json.loads(here.stdout), json.loads(by_machine.stdout)
    assert (report["adds_up"], report["markers_left"], report["found"]) == (True, 0, 64)
    assert report["parts"] > 6
    assert (of_machine["adds_up"], of_machine["markers_left"], of_machine["found"]) == (True, 0, 30)
    counted: dict[tuple[int, str], int] = {}
    for window in {Window.containing(one.event_time_ms) for one in sent}:
        stored = stage.results.get(rows_key(window))
        assert stored is not None
        for row in pyarrow.parquet.read_table(io.BytesIO(stored.body)).to_pylist():
            counted[window.start_ms, row["sensor_id"]] = row["readings"]
    truth = Counter((Window.containing(one.event_time_ms).start_ms, one.sensor_id) for one in sent)
    assert counted == truth


def recent() -> Window:
    """A window that has just ended."""
    return Window((time.time_ns() // 1_000_000 // WINDOW_MS - 2) * WINDOW_MS)
