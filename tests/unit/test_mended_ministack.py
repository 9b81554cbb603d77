"""The embedded stack's server: MiniStack's Kinesis as it is, and with our edits."""

import asyncio
import base64
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from ministack import services
from ministack.services import apigateway, kinesis, lambda_svc

from infra import mended_ministack
from infra.resharding_edits import EDITS, KINESIS, VERSION, Edit
from infra.socket_edits import GATEWAY
from windrow.errors import WindrowError

STREAM = "stream"
LOW, HIGH = "0", str(2**128 - 1)


class Calls:
    """A module of MiniStack's Kinesis, called without HTTP."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module

    def __call__(self, handler: str, **request: Any) -> Any:
        status, _, body = getattr(self.module, handler)({"StreamName": STREAM, **request})
        answer = json.loads(body)
        assert status == 200, answer
        return answer

    def put(self, text: str, hash_key: str = LOW) -> str:
        """Put a record; the id of its shard."""
        data = base64.b64encode(text.encode()).decode()
        shard: str = self("_put_record", PartitionKey="a", Data=data, ExplicitHashKey=hash_key)["ShardId"]
        return shard

    def page(self, shard: str) -> Any:
        """All that a shard holds, as one answer of GetRecords."""
        iterator = self("_get_shard_iterator", ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        return self("_get_records", ShardIterator=iterator)

    def listed(self, **shard_filter: Any) -> list[int]:
        """The numbers of the shards that ListShards answers."""
        asked = {"ShardFilter": shard_filter} if shard_filter else {}
        return [int(one["ShardId"].rpartition("-")[2]) for one in self("_list_shards", **asked)["Shards"]]


@pytest.fixture
def mended() -> Iterator[Calls]:
    """A copy of the module with the edits, with a stream of one shard that holds a record."""
    module = ModuleType("mended_kinesis")
    sys.modules[module.__name__] = module
    exec(compile(mended_ministack.patched(KINESIS), module.__name__, "exec"), module.__dict__)  # noqa: S102 - MiniStack's own
    calls = Calls(module)
    calls("_create_stream", ShardCount=1)
    calls.put("before")
    yield calls
    del sys.modules[module.__name__]


def split(calls: Calls, shard: str, at: int) -> None:
    calls("_split_shard", ShardToSplit=shard, NewStartingHashKey=str(at))


def texts(page: Any) -> list[str]:
    return [base64.b64decode(record["Data"]).decode() for record in page["Records"]]


def test_ministack_itself_still_loses_the_records_of_a_parent() -> None:
    """When this fails, a newer MiniStack keeps them: take the edits out, and run it as it is."""
    stock = Calls(kinesis)
    stock("_create_stream", ShardCount=1)
    try:
        parent = stock.put("before")
        split(stock, parent, 2**127)
        assert parent not in {one["ShardId"] for one in stock("_list_shards")["Shards"]}
        status, _, _ = kinesis._get_shard_iterator(
            {"StreamName": STREAM, "ShardId": parent, "ShardIteratorType": "TRIM_HORIZON"}
        )
        assert status == 400
    finally:
        stock("_delete_stream")


def test_a_split_keeps_the_parent_until_it_is_read(mended: Calls) -> None:
    """Its records, where it ends, and at its end the children instead of a next iterator."""
    parent = mended.put("and more")
    split(mended, parent, 2**127)
    page = mended.page(parent)
    assert texts(page) == ["before", "and more"]
    assert page["NextShardIterator"] is None
    assert [child["ParentShards"] for child in page["ChildShards"]] == [[parent], [parent]]
    assert [int(child["HashKeyRange"]["StartingHashKey"]) for child in page["ChildShards"]] == [0, 2**127]
    closed, *children = mended("_list_shards")["Shards"]
    end = int(closed["SequenceNumberRange"]["EndingSequenceNumber"])
    assert int(page["Records"][-1]["SequenceNumber"]) < end
    assert all(int(child["SequenceNumberRange"]["StartingSequenceNumber"]) > end for child in children)
    assert all("EndingSequenceNumber" not in child["SequenceNumberRange"] for child in children)
    assert mended("_describe_stream_summary")["StreamDescriptionSummary"]["OpenShardCount"] == 2
    assert len(mended("_describe_stream")["StreamDescription"]["Shards"]) == 3


def test_a_parent_with_more_to_read_has_a_next_iterator(mended: Calls) -> None:
    """The children are told at its end only."""
    parent = mended.put("and more")
    split(mended, parent, 2**127)
    iterator = mended("_get_shard_iterator", ShardId=parent, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    page = mended("_get_records", ShardIterator=iterator, Limit=1)
    assert texts(page) == ["before"]
    assert "ChildShards" not in page
    assert texts(mended("_get_records", ShardIterator=page["NextShardIterator"])) == ["and more"]


def test_a_merge_keeps_both_parents(mended: Calls) -> None:
    """The child names both, takes what comes after, and comes last."""
    split(mended, mended.put("1"), 2**127)
    left, right = mended.put("left", LOW), mended.put("right", HIGH)
    mended("_merge_shards", ShardToMerge=left, AdjacentShardToMerge=right)
    child = mended.put("after", HIGH)
    assert [texts(mended.page(shard)) for shard in (left, right, child)] == [["left"], ["right"], ["after"]]
    assert mended.page(right)["ChildShards"][0]["ParentShards"] == [left, right]
    assert mended.listed() == [0, 1, 2, 3]


def test_a_mapping_reads_parents_first_and_a_child_from_its_beginning(
    mended: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With TRIM_HORIZON nothing is passed over, whatever a reshard has opened since the last look."""
    monkeypatch.setattr(services, "kinesis", mended.module)
    read: list[str] = []
    poll = mended_poll(mended, read)
    poll()
    split(mended, mended.put("and more"), 2**127)
    mended.put("left", LOW)
    mended.put("right", HIGH)
    poll()
    poll()
    assert read == ["before", "and more", "left", "right"]


def mended_poll(calls: Calls, read: list[str]) -> Callable[[], object]:
    """The function that reads for a mapping, with its edits; it has one mapping, whose function notes what it gets."""
    arn = calls("_describe_stream")["StreamDescription"]["StreamARN"]
    mapping = {"UUID": "mapping", "EventSourceArn": arn, "FunctionName": "f", "StartingPosition": "TRIM_HORIZON"}

    def note(_function: object, event: dict[str, Any]) -> dict[str, Any]:
        read.extend(base64.b64decode(record["kinesis"]["data"]).decode() for record in event["Records"])
        return {}

    of_stand_ins = {
        "_iter_all_esms": lambda: [(lambda_svc.get_account_id(), lambda_svc.get_region(), mapping)],
        "_get_func_record_for_qualifier": lambda *_: ({}, {}),
        "_execute_function": note,
        "_kinesis_positions": {},
    }
    names = {**vars(lambda_svc), **of_stand_ins}
    edits = tuple(edit for edit in EDITS if edit.function == "_poll_kinesis")
    source = mended_ministack.edited(inspect.getsource(lambda_svc._poll_kinesis), edits)
    exec(compile(source, "mended_poll", "exec"), names)  # noqa: S102 - MiniStack's own
    poll: Callable[[], object] = names["_poll_kinesis"]
    return poll


def test_list_shards_heeds_its_filter(mended: Calls) -> None:
    """By the kinds of ShardFilter in the API reference, after a split at an instant that is known."""
    parent = mended.put("1")
    split(mended, parent, 2**127)
    shards = mended.module._all_shards(mended.module._streams[STREAM])
    for shard, starts, ends in zip(shards.values(), (1_000, 5_000, 5_000), (4_000, None, None), strict=True):
        shard["starting_sequence_number"] = f"{starts * 1_000:020d}{0:010d}"
        if ends is not None:
            shard["ending_sequence_number"] = f"{ends * 1_000:020d}{0:010d}"
    filters = {
        ("FROM_TRIM_HORIZON", None): [0, 1, 2],
        ("AT_TRIM_HORIZON", None): [0],
        ("AT_LATEST", None): [1, 2],
        ("AT_TIMESTAMP", 2_000): [0],
        ("AT_TIMESTAMP", 0): [0],
        ("AT_TIMESTAMP", 6_000): [1, 2],
        ("FROM_TIMESTAMP", 2_000): [0, 1, 2],
        ("FROM_TIMESTAMP", 4_500): [1, 2],
    }
    mended.module._expire_records = lambda _: None  # these instants are long ago
    for (kind, instant), expected in filters.items():
        given = {} if instant is None else {"Timestamp": instant}
        assert mended.listed(Type=kind, **given) == expected, (kind, instant)
    assert mended.listed(Type="AFTER_SHARD_ID", ShardId=parent) == [1, 2]


def test_a_closed_shard_goes_when_its_records_have_expired(mended: Calls) -> None:
    """A day after its end it is listed no more, and its children stand at the horizon."""
    parent = mended.put("1")
    split(mended, parent, 2**127)
    closed = mended.module._streams[STREAM]["closed_shards"][parent]
    closed["ending_sequence_number"] = f"{int(closed['ending_sequence_number'][:20]) - 86_401_000:020d}{0:010d}"
    assert mended.listed(Type="AT_TRIM_HORIZON") == [1, 2]


@pytest.mark.parametrize("counts", [(2,), (2, 3), (2, 4, 2), (2, 3, 5, 3, 2, 1), (2, 4, 6, 4)])
def test_update_shard_count_splits_and_merges(mended: Calls, counts: tuple[int, ...]) -> None:
    """As many open shards as asked for, even, and all that was ever put is still read."""
    put = ["before"]
    for count in counts:
        mended("_update_shard_count", TargetShardCount=count, ScalingType="UNIFORM_SCALING")
        shards = mended("_list_shards")["Shards"]
        opened = [one for one in shards if "EndingSequenceNumber" not in one["SequenceNumberRange"]]
        ranges = sorted((int(one["HashKeyRange"]["StartingHashKey"])) for one in opened)
        assert ranges == [number * (2**128 // count) for number in range(count)]
        for hash_key in ranges:
            put.append(f"{count} {hash_key}")
            mended.put(put[-1], str(hash_key))
        assert sorted(text for one in shards for text in texts(mended.page(one["ShardId"]))) == sorted(put)


@pytest.mark.parametrize(("before", "target"), [(1, 3), (2, 5), (4, 1), (5, 2)])
def test_update_shard_count_refuses_more_than_double_and_less_than_half(
    mended: Calls, before: int, target: int
) -> None:
    """As the API reference says, and nothing is changed."""
    module = mended.module
    mended("_delete_stream")
    mended("_create_stream", ShardCount=before)
    status, _, body = module._update_shard_count({"StreamName": STREAM, "TargetShardCount": target})
    assert status == 400
    assert f"from {before} to {target} shards" in json.loads(body)["message"]
    assert mended.listed() == list(range(before))


def test_edits_are_for_the_release_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one is refused by its number, with the command that installs the right one."""
    monkeypatch.setattr(mended_ministack.importlib.metadata, "version", lambda _: "1.5.34")
    with pytest.raises(WindrowError, match=r"MiniStack 1\.5\.34 is installed") as refused:
        mended_ministack.mend()
    assert refused.value.hint == f"run: pip install ministack=={VERSION}"


def test_an_edit_whose_text_is_not_there_is_named() -> None:
    """Nor is one applied where it could mean two places."""
    edit = Edit(KINESIS, "f", "x", "y")
    assert mended_ministack.edited("a x b", (edit,)) == "a y b"
    for source in ("a b", "x x"):
        with pytest.raises(ValueError, match=r"kinesis\.f has not once: 'x'"):
            mended_ministack.edited(source, (edit,))


@pytest.mark.slow
def test_the_patch_holds_every_edit() -> None:
    """All of it, in all modules: what is offered upstream is what runs here."""
    lines = list(mended_ministack.patch())
    assert [line for line in lines if line.startswith("+++")] == [
        f"+++ b/{name.replace('.', '/')}.py\n"
        for name in dict.fromkeys(edit.module for edit in mended_ministack.ALL_EDITS)
    ]
    added = "".join(line[1:] for line in lines if line.startswith(("+", " ")))
    assert all(edit.new.strip("\n") in added for edit in mended_ministack.ALL_EDITS)


def accepted(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a WebSocket is accepted with whose $connect chooses a subprotocol."""
    told = {"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": "chosen"}}
    came = [{"type": "websocket.connect"}, {"type": "websocket.disconnect"}]
    sent: list[Any] = []

    async def answer(*_: object, **__: object) -> Any:
        return told

    async def receive() -> Any:
        return came.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    monkeypatch.setattr(module, "_api_owner", lambda _: ("WEBSOCKET", "123456789012", "us-east-1"))
    monkeypatch.setattr(module, "_match_ws_route", lambda _, key: {"routeKey": key})
    monkeypatch.setattr(module, "_invoke_ws_lambda", answer)
    asyncio.run(module.handle_websocket({"path": "/live", "headers": []}, receive, send, "api1"))
    return sent[0]


def test_a_subprotocol_that_is_chosen_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """MiniStack itself still leaves it out. When it no longer does, take the edits out, and run it as it is."""
    assert accepted(apigateway, monkeypatch) == {"type": "websocket.accept"}
    module = ModuleType("mended_gateway")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(mended_ministack.patched(GATEWAY), module.__name__, "exec"), module.__dict__)  # noqa: S102 - MiniStack's own
    assert accepted(module, monkeypatch) == {"type": "websocket.accept", "subprotocol": "chosen"}
