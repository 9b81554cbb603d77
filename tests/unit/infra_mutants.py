"""Deliberate breaks of what guards a deployment, and the reading of files, each of which a test must notice.

    python -m tests.unit.infra_mutants                  tells of each whether it was noticed
    python -m tests.unit.infra_mutants NAME             breaks it and runs its tests; exit code 101 if they notice

A mutant has a process of its own, because a test module that is imported already would be run as it is. It is forked
from one that has imported what most of them need.
"""

# ruff: noqa: T201 - a mutant is one line, however long; a command prints
import os
import sys
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest

from tests.simulation.mutation import Mutant, applied, mutant
from tests.unit.file_mutants import FILE_BREAKS

ROOT = Path(__file__).resolve().parents[2]
SECONDS_MAX = 600
_OF_PYTEST = 100
SURVIVED, KILLED = _OF_PYTEST, _OF_PYTEST + 1
"""Exit codes: all tests passed, and some failed. Others mean that they could not be run, or not with the break."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """A break, and the module of tests/unit that notices it; module::test names one test, if the others take long."""

    broken: Mutant
    tests: str


def _of(module: str, tests: str, *breaks: tuple[str, str, str]) -> list[Guarded]:
    return [Guarded(mutant(name, module, old, new), tests) for name, old, new in breaks]


INFRA_MUTANTS: list[Guarded] = [
    *_of(
        "windrow.aws.listings",
        "test_listings",
        ("an answer that is no XML raises", "    except ET.ParseError:\n", "    except KeyError:\n"),
        ("what is no object is left out", "[element for element in listing if element.tag != tag]", "[]"),
        ("a field that nobody knows is left out", "                return None\n", "                continue\n"),
        (
            "an object has one checksum",
            'found.setdefault(_MANY, []).append(element.text or "")',
            'found[_MANY] = [element.text or ""]',
        ),
        ("objects in a namespace are botocore's", 'return listing.tag[: listing.tag.find("}") + 1]', 'return ""'),
    ),
    *_of(
        "infra.guards",
        "test_guards",
        ("an alarm that rings guards", 'for alarm in found if alarm["StateValue"] != "ALARM"', "for alarm in found"),
        ("nobody is told what rings", 'for alarm in found if alarm["StateValue"] == "ALARM"', "for alarm in ()"),
        (
            "an alarm of the other mode guards",
            'frozenset() if parameters.get("ProcessingMode") == "fanout" else _OF_FANOUT',
            "frozenset()",
        ),
        ("a stage without alarms is guarded", 'if parameters.get("Operations") == "none":', "if False:"),
    ),
    *_of(
        "infra.flink_application",
        "test_flink_application",
        ("a new release leaves the application's old code", "        parameters = {one[", "        _ = {one["),
        ("a running application is started", 'if detail["ApplicationStatus"] != _STARTS_FROM:', "if False:"),
    ),
    *_of(
        "infra.api_code",
        "test_hosted_page",
        ("a new release leaves the API's old code", "        parameters = {one[", "        _ = {one["),
    ),
    *_of(
        "analytics.api.endpoints",
        "test_api",
        ("a viewer asks what is for operators", "or operation.group in groups:", "or groups:"),
        ("an answer about open windows is kept", 'bool(answer.get("is_final")) and', ""),
        ("an answer about another hour tomorrow is kept", "and _is_absolute(arguments)", ""),
        ("each answer has another tag", "if name not in _PASSING", "if name"),
        ("the gateway gives up first", "self.clock() > until", "False"),
    ),
    *_of(
        "analytics.audit",
        "test_hourly_audit",
        ("what was not read proves that rows are wrong", "is_all_read() and evidence", "evidence"),
        (
            "rows of another contract are wrong",
            "complete_from_ms=max(complete_from_ms, settled_ms),",
            "complete_from_ms=complete_from_ms,",
        ),
        ("what another contract read is missing", "        readable_from_ms=settled_ms,\n", ""),
        ("a contract is in force at once", "since_ms + CONTRACT_MS", "since_ms"),
        ("a contract was always in force", "now_ms if since_ms is None", "0 if since_ms is None"),
    ),
    *_of(
        "analytics.decode",
        "test_hourly_audit",
        ("the audit reads the default form", "if contract is not None:", "if False:"),
    ),
    *_of(
        "infra.stack",
        "test_deploy_payloads",
        ("a contract that was undone is not noted", "            _note_contract(prepared, is_done=False)\n", ""),
        ("each deployment begins the audit anew", "if wanted == before:", "if False:"),
    ),
    *_of(
        "analytics.hourly_audit",
        "test_hourly_audit",
        ("an hour of which the stream has forgotten some", "HOUR_MS - HOURS_BACK)", "HOUR_MS - HOURS_BACK - 2)"),
        ("reading goes on when there is no time left", "if not self._time_left():", "if False:"),
        ("a shard is read as fast as it gives", "if due_seconds - now_seconds > 1:", "if False:"),
        ("what the stream forgets meanwhile is extra", "now_ms=now_ms + RUN_MS_MAX)", "now_ms=now_ms)"),
        ("what arrived late is not read", "stage.stream.records_between(max(first_ms, soon_ms), now_ms),", ""),
    ),
    *_of(
        "analytics.api.parameters",
        "test_api",
        ("the second of two values is ignored", "if name in seen:", "if False:"),
    ),
    *_of(
        "analytics.api_handler",
        "test_api",
        ("whoever has no claims may see", "frozenset(names) & {VIEWER, OPERATOR}", "frozenset(names) | {VIEWER}"),
    ),
    *_of(
        "analytics.dashboard",
        "test_api",
        (
            "a window that was never rolled is final",
            "return 0 < windows == final",
            "return final == len(snapshot.lineages)",
        ),
    ),
    *_of(
        "infra.flink_code",
        "test_flink_code",
        ("the jar for files is deployed", "'stream' if reads_stream else 'files'", "'any'"),
    ),
    *_of(
        "infra.belongings",
        "test_deploy_aws",
        ("a bucket of another region", 'if one.get("BucketRegion", place.region) == place.region]', "]"),
        ("the first page of buckets only", 'if not page.get("ContinuationToken"):', "if True:"),
        (
            "a bucket of another stage",
            "tags.get(STAGE_TAG) == stage or (not tags and place.endpoint_url is not None)",
            "True",
        ),
        ("a bucket without a tag, on AWS", "(not tags and place.endpoint_url is not None)", "not tags"),
        ("a key of another stage", "if tags.get(STAGE_TAG) == stage:", "if True:"),
        ("a key that is being deleted is kept", "if state not in _GOING", "if state"),
        ("a key that hides is an error", "hidden += 1\n                continue", "raise"),
        ("a key that hides is not counted", "hidden += 1", "hidden += 0"),
        ("the caller's own buckets are forgotten", "for name in more_buckets if name not in owned", "for name in ()"),
    ),
    *_of(
        "infra.adoption",
        "test_adoption",
        ("rules of destruction come back", 'properties.pop("LifecycleConfiguration", None)', "pass"),
        ("data under another key", 'if key and key.rpartition("/")[2] != chosen.rpartition("/")[2]:', "if False:"),
        ("two buckets of one name", "if len(found) > 1:", "if False:"),
        ("a foreign bucket with the tag", "if not logical:", "if False:"),
        ("kept data is passed over", "    if kept:", "    if False:"),
        ("the policy of a bucket stays outside", "if logical in with_policy:", "if False:"),
        ("a key that is being deleted", "if owned.going_keys and not owned.keys:", "if False:"),
        ("two keys", "if len(owned.keys) > 1:", "if False:"),
        ("a stage that is there", "if adopts and not is_adopted(existing):", "if False:"),
    ),
    *_of(
        "infra.scaling",
        "test_scaling",
        ("more than double at once", "min(2 * shards, limits.shards_max), max", "limits.shards_max, max"),
        ("half of an odd number, rounded down", "max(-(-shards // 2), limits.shards_min)", "max(shards // 2, 1)"),
        ("an eleventh change in a day", ">= CHANGES_PER_DAY", "> CHANGES_PER_DAY"),
        ("halved while closed shards hold records", "if not is_up and done and", "if False and"),
        ("periods from before the last change", "max(since_ms, end_ms - PERIODS", "max(0, end_ms - PERIODS"),
        ("one full period is enough", "if len(full) >= UP_PERIODS:", "if full:"),
        ("a hot key doubles the stream", "self.refused > 0 and percent >= DOWN_PERCENT", "self.refused > 0"),
        ("what is unknown is quiet", "if len(known) == PERIODS and", "if known and"),
        ("a refused change is tried every five minutes", "if refused and now_ms", "if False and now_ms"),
        ("what was refused counts as done", "return action.state is ActionState.ACCEPTED", "return True"),
        ("what was begun counts for ever", "return not (is_last and is_over", "return not (False and is_over"),
        ("a stream that is being changed", "if not is_active:", "if False:"),
        ("a run acts twice", "if done and now_ms - done[-1].at_ms < UNANSWERED_PAUSE_MS:", "if False:"),
    ),
    *_of(
        "infra.scaling_run",
        "test_scaling",
        ("two runs of a minute both act", "_encoded(action), if_absent=True", "_encoded(action)"),
        ("an action that cannot be read is none", 'raise WindrowError(f"{key} is no action', 'raise KeyError(f"{key}'),
    ),
    *_of(
        "infra.scaling_bill",
        "test_scaling_bill",
        ("shards are those of now", "shards, end_ms = action.shards_from, at_ms", "end_ms = at_ms"),
        ("what came after the span counts", "at_ms = min(action.at_ms, end_ms)", "at_ms = action.at_ms"),
        (
            "a suggestion every day",
            "is_told = found.suggests_on_demand and not any(",
            "is_told = found.suggests_on_demand or any(",
        ),
        ("a morning suggests", "is_cheaper and self.hours >= HOURS_MIN", "is_cheaper"),
        ("a day is compared at each run", "if results.get(key) is not None:", "if False:"),
    ),
    *_of(
        "infra.scaling_metrics",
        "test_scaling_function",
        (
            "the hour that just began counts",
            "round(at.timestamp() * 1_000)) < end_ms",
            "round(at.timestamp() * 1_000))",
        ),
    ),
    *_of(
        "windrow_operations.held_history",
        "test_rules_check",
        (
            "readings that are gone are none",
            "if missing := set(lineage.digests) - keys.keys():",
            "if missing := set():",
        ),
        ("held times that are kept are worked out", "            if held is None:", "            if True:"),
    ),
    *_of(
        "analytics.rules",
        "test_rules_check",
        ("every window is looked at", "if not may_be_held(rules, watched):", "if False:"),
        ("a window without a verdict is not told", "unknown[watched.window_start_ms] = error.message", "pass"),
    ),
    *_of(
        "infra.scaling_handler",
        "test_scaling_function",
        ("a comparison fails the run", "except WindrowError as error:  # the", "except OSError as error:  # the"),
    ),
    *_of(
        "infra.resharding",
        "test_resharding",
        ("more than double", "min(wanted, 2 * shards)", "wanted"),
        ("less than half", "max(wanted, -(-shards // 2))", "max(wanted, shards // 2)"),
        ("shards of a stream on demand", "if SHARD_COUNT in chosen:", "if False:"),
        ("the detour goes nowhere new", "if one not in {avoided, shards}", "if one != shards"),
        ("shards that nobody scales are set back", "if had.get(SCALING) != AUTO or SHARD_COUNT", "if SHARD_COUNT"),
        ("what the scaling did meanwhile is undone", "if stream.summary().open_shards != of_stack:", "if False:"),
        ("shards changed by hand", "if stops and str(stops[0]) == had.get(SHARD_COUNT):", "if False:"),
        ("from on demand in one step", "if stops else ()", "if False else ()"),
        (
            "more shards than the template takes",
            'if max((shards, *stops)) > defaults[SHARD_COUNT]["MaxValue"]:',
            "if False:",
        ),
    ),
    *_of(
        "infra.stack_events",
        "test_stack_operations",
        ("the newest page of events only", "if len(fresh) < len(page):", "if True:"),
        ("the whole history at each look", "if len(fresh) < len(page):", "if False:"),
        ("the watching is not waited for", "more_minutes=watch_minutes", "more_minutes=0"),
        ("going back is a success", "if end.status not in _SUCCESSES:", 'if end.status.endswith("_FAILED"):'),
        ("following begins too early", "if event.is_end_of_stack and not is_of_it:", "if False:"),
    ),
    *_of(
        "infra.stack_events",
        "test_stack",
        ("a cancelled resource is blamed", ' and "cancelled" not in self.reason.lower()', ""),
    ),
    *_of(
        "infra.stack_events",
        "test_guards",
        ("why it went back is not told", "(event.is_turn_of_stack and event.reason)", "False"),
    ),
    *_of(
        "infra.release",
        "test_release",
        ("another template is no release", "json.dumps([text, found])", "json.dumps([found])"),
        ("a release makes the next", " - NOT_IN_FUNCTIONS - {RELEASE}", " - NOT_IN_FUNCTIONS"),
        ("a new mail address is a release", " - NOT_IN_FUNCTIONS - {RELEASE}", " - {RELEASE}"),
        ("a default is no value", "(defaults | dict(values)).items()", "dict(values).items()"),
        ("LocalStack gets both modes", "_of_one_mode(_without_aliases(text), values)", "_without_aliases(text)"),
        ("LocalStack gets aliases", "_of_one_mode(_without_aliases(text), values)", "_of_one_mode(text, values)"),
    ),
    *_of(
        "infra.template",
        "test_release",
        ("what a condition excludes stays", "if is_met or mark not in block", "if True"),
        ("the other branch of a choice", r'r"\1" if is_met', r'r"\2" if is_met'),
    ),
    *_of(
        "infra.mapping",
        "test_mapping",
        (
            "LocalStack's mapping reads on",
            "if place.name != LOCALSTACK or MAPPING_TYPE not in changed_types:",
            "if True:",
        ),
        ("AWS's mapping pauses", "if place.name != LOCALSTACK or", "if"),
        ("a mapping that was disabled reads", 'if found["State"] == "Disabled":', "if False:"),
        ("a change begins before the pause", '            _wait_until_it_is(stage, uuid, "Disabled")\n', ""),
    ),
    *_of(
        "infra.stack",
        "test_stack_operations",
        ("another key", "wanted not in (None, before)", "False"),
        ("a second deployment", 'if status.endswith("_IN_PROGRESS") and status not in _ABSENT:', "if False:"),
        ("a deployment that was overtaken", 'details["Code"] not in _OVERTAKEN and', "True or"),
        ("a stuck stack", "if status in _STUCK:", "if False:"),
        ("tags of before are dropped", "tags=_tags(existing) | dict(plan.tags)", "tags=dict(plan.tags)"),
    ),
    *_of(
        "infra.policy",
        "test_policy",
        (
            "any workgroup's answers",
            '{"StringEquals": {"kms:EncryptionContext:aws:athena:arn": scope.workgroup}}',
            "{}",
        ),
        (
            "any role to CloudFormation",
            'pass_role("ActAs", [scope.role_arn], "cloudformation")',
            'pass_role("ActAs", ["*"], "cloudformation")',
        ),
    ),
    *_of(
        "infra.policy_statements",
        "test_policy",
        ("any key of the account", "{**condition, **own}", "condition"),
    ),
    *(one for module, tests, breaks in FILE_BREAKS for one in _of(module, tests, *breaks)),
    *_of(
        "infra.stack",
        "test_deploy_payloads",
        (
            "a contract that functions name too early",
            "        _store_early(plan, is_new=change_set is not None and change_set.is_new_stack)\n",
            "",
        ),
        (
            "a new stage without its contract",
            "        store_contract(stage.lake, plan.contract)\n",
            "        pass\n",
        ),
    ),
    *_of(
        "windrow.lake.by_digest",
        "test_consumer_contracts",
        ("another content under the digest", "if digest_of(found.body) != digest:", "if False:"),
    ),
    *_of(
        "processors.judge_blocks",
        "test_consumer_contracts",
        (
            "a block's reading is judged by the contract",
            "if reader is not None and _hold_rows_of_blocks(records):",
            "if False:",
        ),
        (
            "a slice counts payloads, whatever a contract finds",
            "payloads_max if reader is None else reader.readings_max(payload, payloads_max=payloads_max)",
            "payloads_max",
        ),
    ),
    *_of(
        "processors.judge",
        "test_consumer_contracts",
        ("a crowded record of a contract counts", "if (counts > READINGS_PER_RECORD_MAX).any():", "if False:"),
        ("a row for each bad part of a payload", "        bad = _one_each(bad)\n", "        pass\n"),
    ),
    # What the counterparts found, noticed without them; the rule of the KCL is in tests/simulation/mutants.py.
    *_of(
        "windrow.columns.arrow",
        "test_parquet_forms",
        ("a codec that Trino cannot read", 'compression="zstd(1)"', 'compression="lz4_raw"'),
        ("a writer that Spark cannot parse", "created_by=_CREATED_BY", 'created_by="windrow"'),
    ),
    *_of(
        "infra.template",
        "test_views",
        (
            "a view has a description",
            "return parse(text())",
            'return parse(text().replace("VIRTUAL_VIEW", "VIRTUAL_VIEW\\n        Description: x"))',
        ),
    ),
    *_of(
        "infra.mended_ministack",
        "test_mended_ministack",
        (
            "a child is read from its end",
            "source.replace(edit.old, edit.new)",
            'source.replace(edit.old, edit.new.replace("setdefault(shard_id, 0)", "setdefault(shard_id, 10**6)"))',
        ),
        (
            "a child is read before its parents",
            "source.replace(edit.old, edit.new)",
            'source.replace(edit.old, edit.new.replace("positions.get(p, 0) < len", "0 > len"))',
        ),
    ),
]


_MODULES = {edit.module for one in INFRA_MUTANTS for edit in one.broken.edits}


def texts_of(guarded: Guarded) -> list[tuple[str, int]]:
    """Each text that the break replaces, and in how many places of its module it stands."""
    return [
        (edit.old, (ROOT / f"{edit.module.replace('.', '/')}.py").read_text().count(edit.old))
        for edit in guarded.broken.edits
    ]


def run(name: str) -> int:
    """Break the product and run the tests that should notice; SURVIVED, KILLED or another exit code."""
    (guarded,) = (one for one in INFRA_MUTANTS if one.broken.name == name)
    with applied(guarded.broken):
        module, separator, test = guarded.tests.partition("::")
        tests = str(ROOT / f"tests/unit/{module}.py{separator}{test}")
        return _OF_PYTEST + int(
            pytest.main(["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--no-header", "--tb=no", tests])
        )


def outcome(name: str) -> tuple[int | None, str]:
    """Do so in a process of its own: its exit code, None after SECONDS_MAX, and what it has printed."""
    forking = get_context("forkserver")
    forking.set_forkserver_preload(["pytest", "hypothesis", *sorted(_MODULES)])
    with TemporaryFile("w+") as printed:
        child = forking.Process(target=_run_apart, args=(name, forking.reducer.DupFd(printed.fileno())))
        child.start()
        child.join(SECONDS_MAX)
        code = child.exitcode
        child.kill()
        child.join()
        printed.seek(0)
        return code, printed.read()


def _run_apart(name: str, printed: Any) -> None:
    os.chdir(ROOT)
    descriptor = printed.detach()
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    sys.exit(run(name))


def main() -> int:
    """Run one mutant, or tell of all."""
    if sys.argv[1:]:
        return run(sys.argv[1])
    codes = {}
    for name in (one.broken.name for one in INFRA_MUTANTS):
        code, _ = outcome(name)
        codes[name] = code
        print(f"{ {SURVIVED: 'SURVIVED', KILLED: 'noticed'}.get(code, f'exit code {code}') }  {name}", flush=True)
    return int(any(code != KILLED for code in codes.values()))


if __name__ == "__main__":
    sys.exit(main())
