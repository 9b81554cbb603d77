"""What reads the embedded stack without botocore reads what botocore reads, and a question loads little."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import Any, NoReturn

import pytest
from botocore.exceptions import ClientError

from infra.embedded_clients import LightCloudFormation, LightKinesis, LightLambda, LightS3
from infra.targets import find_place
from tests.emulator.test_store_contract import new_bucket
from tests.rows_file import encode_rollup
from tests.simulation.store_contract import HOSTILE_KEYS, StoreContract
from tests.unit.stored_results import START_MS, some_readings
from windrow import settings
from windrow.aws.clients import Place, client
from windrow.deployment import find_stage, stack_name
from windrow.lake.layout import rows_key
from windrow.lake.s3 import S3Store
from windrow.lake.store import ObjectStore
from windrow.reading import Readings
from windrow.rows.partial import partials_of
from windrow.rows.rollup import roll
from windrow.stage import Stage
from windrow.timestamps import format_rfc3339
from windrow.window import WINDOW_MS

# Each takes longer to load than the answer to a question takes.
UNWANTED = {
    "pandas",
    "pyarrow",
    "numpy",
    "sqlglot",
    "boto3",
    "botocore.session",
    "arro3",
    "nanoarrow",
    "google",
    "yaml",
}
PROGRAM = """
import json, sys
from windrow_cli.main import run
code = run(sys.argv[1:])
print(json.dumps(sorted({*sys.modules, *(name.split(".")[0] for name in sys.modules)})), file=sys.stderr)
sys.exit(code)
"""


def never() -> NoReturn:
    raise AssertionError("botocore's client was made")


class TestLightS3(StoreContract):
    """The adapter over the light client keeps the contract of every store, whoever answers a request."""

    @pytest.fixture
    def store(self, place: Place) -> ObjectStore:
        """An empty bucket."""
        return S3Store(LightS3(place, lambda: client("s3", place)), new_bucket(place))

    @pytest.fixture
    def paged_store(self, place: Place) -> ObjectStore:
        """An empty bucket with small pages."""
        return S3Store(LightS3(place, lambda: client("s3", place)), new_bucket(place), page_keys=3)


def test_objects_are_listed_and_got_without_botocore(place: Place) -> None:
    """Hostile keys, pages and prefixes too."""
    bucket = new_bucket(place)
    written = S3Store(client("s3", place), bucket)
    etags = {key: written.put(f"p/{key}", key.encode()) for key in HOSTILE_KEYS}
    light = S3Store(LightS3(place, never), bucket, page_keys=3)
    assert list(light.list_objects("p/")) == list(written.list_objects("p/"))
    assert list(light.list_prefixes("p/")) == list(written.list_prefixes("p/"))
    for key, etag in etags.items():
        found = light.get(f"p/{key}")
        assert found is not None
        assert (found.body, found.etag) == (key.encode(), etag)


def test_a_stage_is_found_without_botocore(stack: Stage) -> None:
    """All that commands ask of a stack is as botocore has it."""
    name = stack_name(stack.name)
    (light,) = LightCloudFormation(stack.place, never).describe_stacks(StackName=name)["Stacks"]
    (whole,) = client("cloudformation", stack.place).describe_stacks(StackName=name)["Stacks"]
    assert len(light["Outputs"]) > 10
    assert light == {key: without(whole.get(key, []), "Description", "ExportName") for key in light}


def test_a_stream_and_its_readers_are_known_without_botocore(stack: Stage) -> None:
    """What `windrow status` shows of them; instants are instants."""
    of = {"StreamName": stack.stream_name}
    summary = client("kinesis", stack.place).describe_stream_summary(**of)["StreamDescriptionSummary"]
    assert LightKinesis(stack.place, never).describe_stream_summary(**of)["StreamDescriptionSummary"] == summary
    of = {"EventSourceArn": summary["StreamARN"]}
    mappings = client("lambda", stack.place).list_event_source_mappings(**of)["EventSourceMappings"]
    light = LightLambda(stack.place, never).list_event_source_mappings(**of)["EventSourceMappings"]
    assert mappings
    assert [{name: one[name] for name in whole} for one, whole in zip(light, mappings, strict=True)] == mappings


def without(values: Any, *names: str) -> Any:
    """The values, and where they are a list of objects, these without some of their fields."""
    if not isinstance(values, list):
        return values
    return [{name: value for name, value in one.items() if name not in names} for one in values]


def test_what_is_not_there_is_refused_as_botocore_does(stack: Stage) -> None:
    """A stack, a bucket; and a missing object is none."""
    place = stack.place
    stacks = LightCloudFormation(place, lambda: client("cloudformation", place))
    with pytest.raises(ClientError, match="ValidationError"):
        stacks.describe_stacks(StackName="windrow-nobody")
    assert {one["StackName"] for one in stacks.describe_stacks()["Stacks"]} >= {stack_name(stack.name)}
    objects = LightS3(place, lambda: client("s3", place))
    with pytest.raises(ClientError, match="NoSuchBucket"):
        objects.list_objects_v2(Bucket="windrow-nobody", Prefix="")
    assert S3Store(objects, stack.results_bucket).get("nothing") is None


def test_a_question_loads_little_and_finds_the_same_stage(stack: Stage, home: Any) -> None:
    """The command, in a process of its own: the answer, and what it imported on the way."""
    for partial in partials_of(Readings.of(some_readings())):
        stack.results.put(rows_key(partial.window), encode_rollup(roll(partial)))
    bounds = ["--from", format_rfc3339(START_MS), "--to", format_rfc3339(START_MS + WINDOW_MS)]
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "WINDROW_"))}
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, "query", "fleet", "--format", "json", *bounds],
        env=plain | {settings.HOME: str(home), settings.STAGE: stack.name},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    (row,) = json.loads(ended.stdout)
    assert (row["window_start"], row["sensors"], row["readings"]) == (format_rfc3339(START_MS), 3, 90)
    assert UNWANTED.isdisjoint(json.loads(ended.stderr.splitlines()[-1]))
    assert find_stage(find_place("embedded", home=home), stack.name) == replace(stack)
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, "status"],
        env=plain | {settings.HOME: str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"stage {stack.name}: " in ended.stdout
    assert "Enabled" in ended.stdout
    assert UNWANTED.isdisjoint(json.loads(ended.stderr.splitlines()[-1]))
