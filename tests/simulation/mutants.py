"""Deliberate breaks of the product, each of which the simulation must notice: python -m tests.simulation.mutants

A new guard's mutant is one line: its name, a module, the text to replace, what to replace it by, and, where the swarm
takes too long to notice, the scenario that does.
"""

# ruff: noqa: E501, T201 - a mutant is one line, however long; a command prints
import argparse
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass

from tests.property.test_excursions import (
    check_seeds,
    test_a_reading_at_the_start_of_a_window_ends_what_was_held,
)
from tests.simulation.busy_swarm import run_busy_seed
from tests.simulation.faults import NONE, Rates
from tests.simulation.mutation import Edit, Mutant, Scenario, applied, mutant
from tests.simulation.remembered import codecs_remembered
from tests.simulation.simulated_mapping import Options
from tests.simulation.swarm import run_seed
from tests.simulation.test_backlog import (
    faults_of_killer_beside_others,
    faults_of_killer_in_backlog,
    faults_of_live_hours,
    faults_of_live_killer,
    faults_of_live_windows,
)
from tests.simulation.test_ceilings import faults_of_windows_beyond_a_ceiling
from tests.simulation.test_day_reports import faults_of_changed_reports, faults_of_killed_reports
from tests.simulation.test_excursion_deaths import (
    faults_of_a_tick_between,
    faults_of_death_before_hours,
    faults_of_death_in_the_sweep,
    faults_of_deaths,
    faults_of_ringing,
)
from tests.simulation.test_excursions import (
    faults_of_deliveries,
    faults_of_left_rules,
    test_excursion_rings_once_and_clears,
    test_excursions_of_a_fleet_that_stops_end_as_lost,
    test_lasting_excursion_that_began_earlier_is_corrected_step_by_step,
    test_late_readings_withdraw_what_rang,
    test_message_that_cannot_be_sent_waits_and_is_told_in_the_report,
)
from tests.simulation.test_held_times import (
    faults_of_a_broken_roll,
    faults_of_lost_objects,
    faults_of_new_limits,
    faults_of_patches,
    test_a_late_reading_makes_twenty_minutes_of_a_millisecond_less,
)
from tests.simulation.test_scenarios_backfill import faults_of_backfill, faults_of_half_a_group
from tests.simulation.test_scenarios_bookmarks import (
    REQUEST_SECONDS_MAX,
    faults_of_grown_batch,
    faults_of_replay_after_loss,
    faults_of_slow_store,
)
from tests.simulation.test_scenarios_fanout import (
    faults_of_fan_out,
    faults_of_partial_response,
    faults_of_slow_processors,
)
from tests.simulation.test_scenarios_gateway import (
    IN_MEMORY,
    NEVER_FLUSHES,
    faults_of_bad_puts,
    faults_of_damage,
    faults_of_damage_that_flush_meets,
    faults_of_full_disk,
    faults_of_kill,
    faults_of_long_outages,
    faults_of_old_spool,
    faults_of_old_spool_beside_new,
    faults_of_power_loss,
    faults_of_puts_while_the_spool_is_sent,
    faults_of_second_process,
    faults_of_uplink,
)
from tests.simulation.test_scenarios_limits import (
    MANY,
    ONE_BYTE_TOO_MANY,
    faults_of_full_requests,
    faults_of_given_back_records,
    faults_of_long_blocks,
    faults_of_unordered_answers,
)
from tests.simulation.test_scenarios_models import (
    faults_of_kcl_consumer,
    faults_of_read_range,
    faults_of_wrong_shapes,
)
from tests.simulation.test_scenarios_redrive import (
    faults_of_redrive,
    faults_of_redriven_quarantine,
    faults_of_replay,
)
from tests.simulation.test_scenarios_slices import (
    faults_of_bad_blocks,
    faults_of_bad_records,
    faults_of_mixed_aggregates,
    faults_of_slices_of_blocks,
    faults_of_uneven_slices,
    faults_of_unusual_readings_among_bad_ones,
)
from tests.simulation.test_scenarios_stream import faults_of_reshard_under_way
from tests.simulation.test_scenarios_ticks import (
    faults_of_damaged_results,
    faults_of_marker_of_frozen_window,
    faults_of_missed_hours,
    faults_of_taken_partial,
    faults_of_vanished_partial,
)
from tests.simulation.test_scenarios_time import (
    faults_of_earliness,
    faults_of_horizon,
    faults_of_late_reading,
    faults_of_reading_behind_the_last_tick,
    faults_of_sweep,
)
from tests.simulation.test_scenarios_wire import (
    faults_of_arrivals,
    faults_of_empty_aggregates,
    faults_of_indices,
    faults_of_late_copies,
)
from tests.simulation.test_scenarios_writes import faults_of_marker_after_crash, faults_of_short_time
from tests.simulation.test_tick_crashes import faults_of_killed_ticks
from tests.simulation.test_tick_now import faults_of_a_tick_by_hand
from tests.simulation.test_united_sets import (
    faults_of_a_dispatcher_that_dies_before_its_lineage,
    faults_of_a_late_roll_that_waits,
    faults_of_missing_ranges,
    faults_of_several_late_partials,
    faults_of_strange_ranges,
    faults_of_strange_rows,
    faults_of_two_that_roll_from_a_united_set,
)
from tests.simulation.two_dispatchers import faults_of_two_dispatchers

SEEDS_MAX = 40
"""Within so many seeds the swarm must find a mutant that no scenario is named for."""
HOUR_MS = 3_600_000

ROWS_WRITTEN = """            etag = put_if_unchanged(roller.buckets.results, rows_key(window), rolled.body, observed_etag=seen.rows_etag)
"""
LINEAGE_FIRST = """            import hashlib
            etag = hashlib.md5(rolled.body).hexdigest()
            put_if_unchanged(roller.buckets.results, lineage_key(window), dataclasses.replace(lineage, result_etag=etag).to_json(), observed_etag=seen.lineage_etag)
            put_if_unchanged(roller.buckets.results, rows_key(window), rolled.body, observed_etag=seen.rows_etag)
            return _RollResult(outcome=RollOutcome.ROLLED, lineage=dataclasses.replace(lineage, result_etag=etag))
"""
TOO_SOON = """    if _is_too_soon(roller, due, seen):
        return _RollResult(outcome=RollOutcome.WAITING, lineage=seen.lineage, detail="it was rolled a short while ago")
"""
RELISTED = """        lineage.fingerprint == fingerprint(listing.digests.union(lineage.digests))
        and lineage.result_etag == (seen.rows_etag or "")
        and listing.partials <= lineage.partials"""
EMPTY = "Partial.of(key.window, __import__('windrow.reading', fromlist=['Readings']).Readings.of([])), DeliveryCounts()"


def short_time() -> list[str]:
    """Several seeds: whether what was not written in time is written afterwards is a matter of chance."""
    return [fault for seed in range(4) for number in (1, 3) for fault in faults_of_short_time(number, seed)]


def several(scenario: Callable[[int], list[str]]) -> list[str]:
    """A scenario with four seeds, where it is a matter of chance whether one of them meets the break."""
    return [fault for seed in range(4) for fault in scenario(seed)]


# fmt: off
TOLD_FIRST = """        self.messages.keep(changes(stood, stood, told), named, windows_between(start.start_ms, window.start_ms))
        return window if self._write(drafts) and goes_on else None
"""
WRITTEN_FIRST = """        is_written = self._write(drafts)
        self.messages.keep(changes(stood, stood, told), named, windows_between(start.start_ms, window.start_ms))
        return window if is_written and goes_on else None
"""


def asserted(test: Callable[[], object]) -> Scenario:
    """A test as a scenario: what it asserts breaks it off."""

    def scenario() -> list[str]:
        test()
        return []

    return scenario


MUTANTS = (
    # The set and its union.
    mutant("drop the union", "dispatcher.spill", "united = union(self._window, held)", "united = union(self._window, held[:1])"),
    mutant("drop the union of what was on disk", "dispatcher.spill", "columns = zip(*_columns(raw), strict=True)", "columns = zip(*list(_columns(raw))[:1], strict=True)"),
    Mutant("dedupe off", (
        Edit("windrow.columns.order", "    kept = is_new(word)\n", "    kept = np.ones(len(word), bool)\n"),
        Edit("windrow.columns.order", "        kept = is_new(*ordered)\n", "        kept = np.ones(len(order), bool)\n"),
    )),
    mutant("sequence is no part of identity", "windrow.rows.partial", "columns = (sensor, offset_ms, sequence,", "columns = (sensor, offset_ms, sequence * 0,"),
    mutant("the least of several values wins", "windrow.rows.rollup", "    is_winner[:-1] = (time[1:] != time[:-1]) | (sequence[1:] != sequence[:-1])\n    is_winner[partial.offsets[1:] - 1] = True\n", "    is_winner[1:] = (time[1:] != time[:-1]) | (sequence[1:] != sequence[:-1])\n    is_winner[partial.offsets[:-1]] = True\n"),
    # Quantities.
    mutant("a partial has temperatures only", "windrow.rows.series_columns", '    if "quantity" not in columns:\n', '    if True:\n'),
    mutant("a unit is no part of a series", "windrow.quantities", "np.unique(name * len(distinct_units) + unit,", "np.unique(name * len(distinct_units) + unit * 0,"),
    mutant("a payload has the values of temperatures", "windrow.wire.json.strict", '    if "temperature" in fields or "quantity" not in fields:', '    fields.setdefault("temperature", fields.get("value", 0))\n    if True:'),
    mutant("a block has temperatures only", "windrow.wire.block.block", "    return Readings(sensor_ids, sensor, time, sequence, milli)", "    return Readings(split_series(sensor_ids).sensor_ids, sensor, time, sequence, milli)"),
    # Windows and what belongs to them.
    mutant("window edge off by one", "windrow.rows.partial", "index = readings.event_time_ms // WINDOW_MS", "index = (readings.event_time_ms - 1) // WINDOW_MS"),
    mutant("too late by the clock", "processors.consumer", "for of_shard in _by_shard(records)]", "for of_shard in [[__import__('dataclasses').replace(record, arrival_ms=now_ms) for record in one] for one in _by_shard(records)]]"),
    mutant("horizon without its last millisecond", "processors.judge", "(-horizon_ms <= ahead_ms)", "(-horizon_ms < ahead_ms)", faults_of_horizon),
    mutant("earliness without its last millisecond", "processors.judge", "(ahead_ms <= EARLINESS_MS_MAX)", "(ahead_ms < EARLINESS_MS_MAX)", faults_of_earliness),
    # Records.
    mutant("skip the MD5", "windrow.wire.kpl", "if hashlib.md5(body, usedforsecurity=False).digest() != digest:", "if False:"),
    mutant("a hash key's index is its first octet", "windrow.wire.kpl_walk", "np.where(found.ok, found.value, np.iinfo(np.int64).max), found.end", "np.where(found.ok, found.value & _LOW_BITS, np.iinfo(np.int64).max), found.end", faults_of_indices),
    mutant("a key's index is its first octet", "windrow.wire.kpl_walk", "return UserRecordSpans(owner, at, key_index.value,", "return UserRecordSpans(owner, at, key_index.value & _LOW_BITS,", faults_of_indices),
    mutant("an aggregate of nothing is nothing", "windrow.wire.unpack", "        if not user_records:\n", "        if False:\n", faults_of_empty_aggregates),
    mutant("arrival is cut to a millisecond", "processors.record_columns", "np.rint(column * 1_000)", "np.floor(column * 1_000)", lambda: faults_of_arrivals([-0.4])),
    mutant("padding of base64 is read as bytes", "processors.record_columns", "[:-1], whole - pads)", "[:-1], whole)"),
    mutant("late is counted per copy", "processors.consumer", "DeliveryCounts(late=len(partial) - in_time.get(partial.window, 0)", "DeliveryCounts(late=count - in_time.get(partial.window, 0)", faults_of_late_copies),
    mutant("quarantine dropped", "processors.consumer", "*_quarantine_writes(shard, arrival_ms_default=arrival_ms_default),", ""),
    mutant("a bad payload takes its neighbours along", "windrow.wire.json.strict", "            bad.append(BadPayload(index, error.reason, error.detail))", "            bad.append(BadPayload(index, error.reason, error.detail))\n            break"),
    # The producer.
    mutant("ignore one failed entry", "producers.writer", "                failures[at] = answer\n", "                failures.setdefault(at, answer) if not failures else None\n"),
    mutant("the retry resends nothing", "producers.writer", "        failures = self._attempt(request)\n", "        failures = self._attempt(request) and {}\n"),
    mutant("no answer counts as stored", "producers.writer", "return dict.fromkeys(range(len(request)), Refused(_NO_ANSWER, str(error)))", "return {}"),
    mutant("a page in the place of an answer counts as stored", "windrow.aws.kinesis", "            raise Unanswered(_unreadable(error)) from error", "            return Answers((Stored('shardId-000000000000', '1'),) * len(records))", faults_of_wrong_shapes),
    Mutant("a short answer is taken for a whole one", (
        Edit("windrow.aws.kinesis_answers", "    if len(entries) != asked:", "    if False:"),
        Edit("producers.writer", "answers.entries, strict=True)", "answers.entries, strict=False)"),
    ), lambda: several(faults_of_wrong_shapes)),
    mutant("an entry without a code is stored", "windrow.aws.kinesis_answers", "    return Stored(_shard_id(fields, \"ShardId\"), _decimal(fields, \"SequenceNumber\"))", "    return Stored('shardId-000000000000', '1')", faults_of_wrong_shapes),
    mutant("a late stamp ends the reading of a shard", "windrow.aws.kinesis", "beyond_ms = end_ms + ARRIVAL_STEP_BACK_MS_MAX", "beyond_ms = end_ms", lambda: several(faults_of_read_range)),
    mutant("a shard is read from the very time", "windrow.aws.kinesis", "max(0, start_ms - ARRIVAL_STEP_BACK_MS_MAX)", "start_ms", lambda: several(faults_of_read_range)),
    mutant("only the astray user records are sent again", "producers.sender", "                full += self._add_user_records(user_records)\n", "                full += self._add_user_records([one for one in user_records if _is_skipped([one], shards.get(shard_id))])\n", lambda: several(faults_of_kcl_consumer)),
    mutant("astray in an unknown shard is at home", "producers.sender", "    return shard is None or not all(", "    return shard is not None and not all(", lambda: several(faults_of_kcl_consumer)),
    mutant("flush does not wait for strays", "producers.sender", "            if not self._strays:\n                return\n", "            return\n", lambda: several(faults_of_kcl_consumer)),
    mutant("a reshard drops what waits to be sent", "producers.sender", "for record in waiting:", "for record in waiting[:0]:", faults_of_reshard_under_way),
    # The gateway library.
    mutant("segments go before the stream has them", "producers.courier", "        sender.flush()\n        self._remove(shipment.segments)", "        self._remove(shipment.segments)\n        sender.flush()", lambda: faults_of_kill(cut_off=True)),
    mutant("what was spooled goes before it is sent", "producers.courier", "            sender.flush()\n            self._remove([segment])", "            self._remove([segment])\n            sender.flush()", lambda: faults_of_uplink("unreachable", NEVER_FLUSHES)),
    mutant("flush is true after a failure", "producers.producer", "flush.is_complete = error is None and not self._courier.has_lost", "flush.is_complete = True", lambda: faults_of_uplink("unreachable")),
    mutant("flush is true after damage", "producers.producer", "flush.is_complete = error is None and not self._courier.has_lost", "flush.is_complete = error is None", faults_of_damage_that_flush_meets),
    mutant("flush without a spool tells no error", "producers.producer", "            flush.error = raised\n", "            flush.error = None\n", faults_of_long_outages),
    mutant("a pass answers flushes that came later", "producers.producer", "self._answer(flushes, error)", "self._answer(list(self._flushes), error)"),
    mutant("what a failed pass had is not put back", "producers.courier", "self._pending.put_back(shipment.batches)", "pass", faults_of_long_outages),
    mutant("put returns before the disk has it", "producers.courier", "            for entry in entries:\n                self.spool.append(entry)\n", "", lambda: faults_of_uplink("silent")),
    mutant("back without another look at the spool", "producers.courier", "            segments = spool.seal()\n            self._outage.end()\n", "            segments = []\n            self._outage.end()\n", faults_of_puts_while_the_spool_is_sent),
    mutant("records of a denied request are dropped", "producers.writer", "                queue.give_back(records)\n", "                pass\n", lambda: faults_of_uplink("denied", IN_MEMORY)),
    mutant("an entry that is no reading ends the thread", "producers.courier", "            except BadReading as error:\n                spool.refuse(segment, str(error))\n                continue\n", "            except BadReading as error:\n                raise ValueError from error\n", faults_of_old_spool),
    mutant("put takes a time that no window has", "producers.reading_of", "    check_time(event_time_ms)\n    return event_time_ms", "    return event_time_ms", faults_of_bad_puts),
    mutant("the spool is never synced", "producers.spool", "        if self._is_synced:\n            self._disk.sync(name)\n", "        if self._is_synced:\n", faults_of_power_loss),
    mutant("the folder is never synced", "producers.spool", "                self._disk.sync_folder()\n        self._open_bytes", "                pass\n        self._open_bytes", faults_of_power_loss),
    mutant("a checksum is not looked at", "producers.frames", "    is_intact = zlib.crc32(entry, zlib.crc32(octets[: _HEAD.size])) == checksum\n", "    is_intact = True\n", faults_of_damage),
    mutant("damage ends a segment", "producers.frames", "        if entry is not None:\n            if first > intact_end:", "        if entry is None:\n            break\n        else:\n            if first > intact_end:", faults_of_damage),
    mutant("damage ends a segment of the old form", "producers.frames", "            intact = search.next_intact(first + 1)\n", "            intact = len(octets)\n", lambda: faults_of_damage(old_form=True)),
    mutant("what is damaged is deleted", "producers.spool", "        if damage:\n            self._set_aside(segment, damage)\n            return\n", "", faults_of_damage),
    mutant("a half-written tail is kept", "producers.spool", "            self._disk.truncate(_segment_name(self._next), size_bytes=self._open_bytes)\n", "            pass\n", faults_of_full_disk),
    mutant("a segment's number is used again", "producers.spool", "    following = numbers[-1][0] + 1 if numbers else 1\n", "    following = len(numbers) + 1\n", faults_of_old_spool_beside_new),
    mutant("a folder is shared by two processes", "producers.spool", "        disk.lock()\n", "", faults_of_second_process),
    mutant("a block that is halved loses a reading", "producers.block_aggregator", "rest = np.arange(len(half), len(readings))", "rest = np.arange(len(half) + 1, len(readings))", faults_of_long_blocks),
    mutant("records that are given back keep their room", "producers.writer", "        self._waiting_bytes -= sum(record.size_bytes for record in given_back)\n", "", faults_of_given_back_records),
    mutant("501 records in a request", "producers.writer", "self.records == REQUEST_RECORDS_MAX or", "self.records > REQUEST_RECORDS_MAX or", lambda: faults_of_full_requests(MANY)),
    mutant("5 MiB and a byte in a request", "producers.writer", "self._bytes + size_bytes > REQUEST_BYTES_MAX:", "self._bytes + size_bytes > REQUEST_BYTES_MAX + 1:", lambda: faults_of_full_requests(ONE_BYTE_TOO_MANY)),
    mutant("partition keys weigh nothing in a request", "producers.writer", "            size_bytes = record.size_bytes\n            if", "            size_bytes = len(record.body)\n            if", lambda: faults_of_full_requests(ONE_BYTE_TOO_MANY)),
    mutant("the last answer has the last number", "producers.writer", "self._last[answer.shard_id] = max(sequence_number, self._last.get(answer.shard_id, sequence_number))", "self._last[answer.shard_id] = sequence_number", faults_of_unordered_answers),
    # The consumer's slices.
    mutant("no time is kept for the report", "processors.puts", "self.remaining_ms() - REPORT_RESERVE_MS)", "self.remaining_ms())", lambda: faults_of_uneven_slices([39_000] * 5)),
    mutant("the next slice takes as long as the last", "processors.batch", "longest_ms = max(longest_ms, before_ms - deadline.left_ms())", "longest_ms = before_ms - deadline.left_ms()", lambda: faults_of_uneven_slices([50_000, *[5_000] * 4, 50_000])),
    mutant("a block is one reading of its slice", "processors.judge_blocks", "            return open_block(payload).rows\n", "            open_block(payload)\n            return 1\n", faults_of_slices_of_blocks),
    mutant("a block in an aggregate is one reading of its slice", "processors.judge_blocks", "return READINGS_PER_RECORD_MAX if _holds_block(aggregate) else _user_records_max(aggregate)", "return _user_records_max(aggregate)", faults_of_slices_of_blocks),
    mutant("JSON beside blocks is counted by itself", "processors.judge_blocks", "index=record.index + others[one.index - record.index]) for one", "index=one.index) for one", faults_of_mixed_aggregates),
    mutant("every bad reading of a block has a row", "processors.judge_blocks", "    is_kept_whole = len(bad) > bad_rows_max(len(payload))", "    is_kept_whole = len(bad) > BAD_ROWS_MAX", faults_of_bad_blocks),
    mutant("the good readings of a bad block do not count", "processors.judge_blocks", "        rest = replace(rest, rejected=(whole,))\n", "        return _rejected(whole)\n", faults_of_bad_blocks),
    mutant("a row for each bad payload", "processors.judge", "np.flatnonzero(bad_of_record > rows_max).tolist()", "[]", faults_of_bad_records),
    mutant("a record of bad payloads takes its readings along", "processors.judge", "        readings=parsed.readings if all_count else", "        readings=Readings.of([]) if spoiled else parsed.readings if all_count else", faults_of_bad_records),
    mutant("a record with one bad payload too few is kept whole", "processors.judge", "np.flatnonzero(bad_of_record > rows_max)", "np.flatnonzero(bad_of_record >= rows_max)", faults_of_bad_records),
    mutant("late payloads spoil no record", "processors.judge", "np.concatenate([bad, parsed.untold, far])", "np.concatenate([bad, parsed.untold])", faults_of_bad_records),
    mutant("whatever is not told at once is bad", "windrow.wire.json.strict", "map(quick_no(len(rest)), payloads.objects(which[rest]))", "map(bool, payloads.objects(which[rest]))", faults_of_unusual_readings_among_bad_ones),
    # The consumer's writes.
    mutant("digest out of the key", "windrow.lake.layout", "{partials_prefix(self.window)}{mark}{self.origin}-{self.digest}", "{partials_prefix(self.window)}{mark}{self.origin}-{'0' * 32}"),
    mutant("partials overwrite", "processors.consumer", "store.put(planned.key, planned.body, if_absent=True)", "store.put(planned.key, planned.body)"),
    # Backfills.
    mutant("a backfill's marker goes with the first of its windows", "dispatcher.roller", "if markers <= self.released}", "if markers & self.released}", faults_of_half_a_group),
    mutant("a backfill's marker stays", "dispatcher.roller", "sorted(self.discarded | done)", "sorted(self.discarded)", faults_of_half_a_group),
    mutant("a backfill's marker before its partials", "processors.backfill", "in backfill_markers(by_marker):\n", "in backfill_markers(by_marker):\n                _put_new(lake, key, text)\n", faults_of_backfill),
    mutant("markers of backfills are not read", "dispatcher.tick", "chain(self.of_partials, *self.of_backfills.values())", "self.of_partials", faults_of_backfill),
    mutant("no marker beside a partial that is there", "processors.consumer", "            continue  # a key names", "            return new  # a key names", lambda: faults_of_marker_after_crash(1)),
    mutant("marker only when other ticks have passed", "processors.consumer", "window.end_ms > MARKER_AFTER_MS", "window.end_ms > 300_000", lambda: faults_of_reading_behind_the_last_tick(60_000)),
    mutant("marker never written", "processors.consumer", "if _may_be_ticked(partial.window, now_ms=now_ms):", "if False:", lambda: faults_of_late_reading(3 * HOUR_MS)),
    mutant("what is cut short is done", "processors.batch", "                except OutOfTime:\n                    result.unprocessed = rest[0].sequence_number\n", "                except OutOfTime:\n", short_time),
    mutant("cut short, reports the wrong record", "processors.batch", "                except OutOfTime:\n                    result.unprocessed = rest[0].sequence_number\n", "                except OutOfTime:\n                    result.unprocessed = records[-1].sequence_number\n", short_time),
    mutant("what was written of a slice is not noted", "processors.bookmark", "            if done:\n", "            if False:\n", lambda: faults_of_slow_store(REQUEST_SECONDS_MAX)),
    mutant("a slice is continued with other records", "processors.bookmark", "return numbers.index(bookmark.last) + 1 if bookmark.last in numbers else len(cut)", "return len(cut)", faults_of_grown_batch),
    mutant("what was begun is noted as written", "processors.bookmark", "name_of(rest.writes[place]) for place in error.done", "name_of(write) for write in rest.writes", lambda: faults_of_slow_store(REQUEST_SECONDS_MAX)),
    mutant("a bookmark outlives its slice", "processors.bookmark", "        if bookmark.done:\n", "        if False:\n", faults_of_replay_after_loss),
    # Fan-out.
    mutant("a failed chunk is success", "processors.fanout", "    if answer.outcome is not InvocationOutcome.DONE:\n        return", "    if False:\n        return", lambda: faults_of_partial_response([3])),
    mutant("reports the last failed record", "processors.fanout", "return self.failed[0].sequence_number", "return self.failed[-1].sequence_number", lambda: faults_of_partial_response([2, 5])),
    mutant("a throttled chunk is done", "processors.fanout", "return answer_of(here(event))", "return Answer(InvocationOutcome.DONE)", lambda: faults_of_fan_out(Rates(invoke_throttled=0.5))),
    mutant("a chunk that is out of time is done", "processors.fanout", '        return FailedChunk(chunk.first, "out of time")', "        return None", faults_of_slow_processors),
    # The roll.
    mutant("settled without relisting", "dispatcher.roll", RELISTED, '        lineage.result_etag == (seen.rows_etag or "")'),
    mutant("settled whatever the rows are", "dispatcher.roll", '        and lineage.result_etag == (seen.rows_etag or "")\n', "", faults_of_damaged_results),
    mutant("superset rule off", "dispatcher.roll", "    missing = sorted(set(seen.lineage.digests) - listing.digests) if seen.lineage else []", "    missing: list[str] = []", faults_of_taken_partial),
    mutant("unconditional overwrite", "windrow.lake.store", "return store.put(key, body, if_match=observed_etag)", "return store.put(key, body)"),
    mutant("rows overwrite unconditionally", "dispatcher.roll", ROWS_WRITTEN, "            etag = roller.buckets.results.put(rows_key(window), rolled.body)\n"),
    mutant("lineage before rows", "dispatcher.roll", ROWS_WRITTEN, LINEAGE_FIRST),
    mutant("marker deleted whatever was rolled", "dispatcher.roll", "contained = frozenset(lineage.digests) if lineage else frozenset()", "contained = frozenset(marker.digest for marker in markers)", faults_of_marker_of_frozen_window),
    mutant("markers deleted before the roll", "dispatcher.roll", "    look = first_look\n", "    look = first_look\n    for marker in due.markers:\n        roller.buckets.lake.delete(str(marker))\n", lambda: faults_of_two_dispatchers("rolled before, one arrives")),
    mutant("observed after listing", "dispatcher.roll", f"    seen = look(roller.buckets, window)\n{TOO_SOON}    listing = list_partials(roller.buckets, window)\n", f"    listing = list_partials(roller.buckets, window)\n    seen = observe(roller.buckets, window)\n{TOO_SOON}", lambda: faults_of_two_dispatchers("never rolled, one arrives")),
    mutant("silence of an old window is not marked", "dispatcher.roll", "        if lineage.is_silence_unknown or (roller.has_rules and is_other):\n", "        if False:\n", lambda: faults_of_killed_ticks(after=False)),
    mutant("silence is marked after the lineage", "dispatcher.roll", "            _mark_silence(roller, lineage, before)\n        _write_lineage(roller, lineage, seen.lineage_etag)\n", "            _write_lineage(roller, lineage, seen.lineage_etag)\n            _mark_silence(roller, lineage, before)\n        else:\n            _write_lineage(roller, lineage, seen.lineage_etag)\n", lambda: faults_of_killed_ticks(after=True)),
    mutant("excursions are written the oldest first", "dispatcher.excursions", "for draft in [*others, first]:", "for draft in [first, *others]:", lambda: faults_of_deaths(is_done=True, hours=3, every=4)),
    mutant("excursions are told when they are written", "dispatcher.excursions", TOLD_FIRST, WRITTEN_FIRST, lambda: faults_of_deaths(is_done=True)),
    mutant("excursions are settled once for all", "dispatcher.excursions", "return mark.source == self._source(lineage, rules, before)", "return True", lambda: faults_of_deliveries(0)),
    mutant("what the window before left does not count", "dispatcher.excursions", "_hash_of_rows(lineage), before.state,", '_hash_of_rows(lineage), "",', lambda: faults_of_deliveries(0)),
    mutant("what follows is not worked out", "dispatcher.excursions", "            window = _after(window, 1)\n", "            break\n", asserted(test_lasting_excursion_that_began_earlier_is_corrected_step_by_step)),
    mutant("no marker where excursions go on", "dispatcher.excursions", "        if goes_on:\n", "        if False:\n", asserted(test_lasting_excursion_that_began_earlier_is_corrected_step_by_step)),
    mutant("a tick without its rules forgets what it rolled", "dispatcher.followup", "return not self.leaves_rules if", "return True if", faults_of_left_rules),
    mutant("a tick without its rules marks nothing", "dispatcher.tick", "has_rules=tick.rules is not None or tick.leaves_rules", "has_rules=tick.rules is not None", faults_of_left_rules),
    mutant("a window whose roll died waits for the sweep", "dispatcher.due", "chain(with_partials, begun) if", "with_partials if", faults_of_death_in_the_sweep),
    mutant("windows that nobody rolled are left out", "dispatcher.followup", "            self.excursions.settle(gaps)\n", "", asserted(test_excursions_of_a_fleet_that_stops_end_as_lost)),
    mutant("a row left out that is tracked", "windrow.rules.watched", "    keep = _are_among(rollup.sensor_ids, tracked)\n", "    keep = np.zeros(len(rollup), bool)\n", asserted(test_excursion_rings_once_and_clears)),
    mutant("an excursion that is gone is not withdrawn", "windrow.rules.changes", "        if key not in taken_back:\n", "        if False:\n", asserted(test_late_readings_withdraw_what_rang)),
    mutant("a message that cannot be sent is dropped", "dispatcher.messages", "            except Exception as error:\n                log.exception(\"the message of rule %s was not sent\", rule)\n", "            except Exception as error:\n                self.lake.delete_all(sorted(of_rule))\n", asserted(test_message_that_cannot_be_sent_waits_and_is_told_in_the_report)),
    mutant("messages of earlier ticks are forgotten", "dispatcher.messages", "for key in sorted(set(self.waiting) - self._own.keys())[:WAITING_MAX]:", "for key in ():", lambda: run_seed(5).faults),
    mutant("what the table contradicts is told", "dispatcher.messages", "or _agrees(change, standing.get(excursion))", "or True", faults_of_ringing),
    mutant("what became of it does not count", "dispatcher.messages", "(one.rule, excursion) in own_ids or ", "", faults_of_ringing),
    mutant("what is told in part is told whole", "dispatcher.messages", "        return true\n", "        return true and one.changes\n", faults_of_ringing),
    mutant("what is withheld is dropped", "dispatcher.messages", "self.scheduled_time_ms - one.tick_ms > WITHHELD_MS", "True", faults_of_a_tick_between),
    mutant("what is withheld is never dropped", "dispatcher.messages", "                self.lake.delete_all([key])\n", "                pass\n", faults_of_ringing),
    mutant("a reading at the limit counts as beyond it", "windrow.rows.held", "np.maximum(over if limit.side is Side.ABOVE else -over, 0)", "np.maximum((over if limit.side is Side.ABOVE else -over) + 1, 0)", asserted(lambda: check_seeds(10))),
    mutant("what the window before goes on to hold is lost", "windrow.rules.excursion", "    return max(0, until_ms - track.last_ms - WINDOW_MS)\n", "    return 0\n", asserted(lambda: check_seeds(20))),
    mutant("the minutes of a rule are enough", "windrow.rules.excursion", "held_ms > rule.held_ms if", "held_ms >= rule.held_ms if", asserted(test_a_late_reading_makes_twenty_minutes_of_a_millisecond_less)),
    mutant("held times of other limits will do", "dispatcher.roller", "(are_kept(lineage, self.watches) or not is_recent)", "True", faults_of_new_limits),
    mutant("limits that judged a window are dropped", "dispatcher.held", "sorted({*watches, *_watches_of(lineage)})", "sorted({*watches})", faults_of_new_limits),
    mutant("a clear window does not end what is held", "windrow.rules.excursion", "        clear_from_ms=clear_from_ms,\n        holds_until_ms=0,\n        holds_milli=0,\n", "        clear_from_ms=clear_from_ms,\n", asserted(test_a_reading_at_the_start_of_a_window_ends_what_was_held)),
    mutant("a reading holds for ever", "windrow.rows.rollup", "np.minimum(until - winners.event_time_ms, hold_ms_max)", "until - winners.event_time_ms", asserted(lambda: check_seeds(20))),
    mutant("windows that a dead run rolled are not judged", "dispatcher.excursions", "            first = before\n", "            break\n", faults_of_death_before_hours),
    mutant("held times that are gone stay gone", "dispatcher.excursions", "            self.held_gone.add(window)\n", "", lambda: faults_of_lost_objects("gone")),
    mutant("held times that cannot be read now count as none", "dispatcher.excursions", "if held is None and report.outcome is not RollOutcome.FROZEN:", "if False:", faults_of_a_broken_roll),
    mutant("damaged held times are believed", "dispatcher.held", "stored is None or digest_of(stored.body) != mark.digest", "stored is None", lambda: faults_of_lost_objects("other times")),
    mutant("a patch drops the held times that it does not read", "dispatcher.patch", "            held.keep(one.first, until)\n", "", faults_of_patches),
    mutant("lost a window too early", "windrow.rules.excursion", "track.last_ms < LOST_WINDOWS * WINDOW_MS", "track.last_ms < (LOST_WINDOWS - 1) * WINDOW_MS", asserted(lambda: check_seeds(10))),
    mutant("an equal value is beyond the limit", "windrow.rules.judge", "is_outside |= above > band.high_milli * below", "is_outside |= above >= band.high_milli * below", asserted(lambda: check_seeds(10))),
    mutant("a value between the limits clears", "windrow.rules.excursion", "if verdict == Verdict.BETWEEN:", "if False:", asserted(lambda: check_seeds(10))),
    mutant("a run that breaks goes on", "windrow.rules.excursion", "    if track is None or track.rang_ms is None:\n", "    if track is None:\n", asserted(lambda: check_seeds(10))),
    mutant("revision rises with every roll", "dispatcher.roll", "+ (0 if is_same else 1)", "+ 1"),
    mutant("a partial that is gone is skipped", "dispatcher.observation", "        raise MissingPartial(str(key))", f"        return {EMPTY}", faults_of_vanished_partial),
    # United sets.
    mutant("ranges that are gone stand for partials", "dispatcher.united", "    return listed.issuperset(", "    return True or listed.issuperset(", faults_of_missing_ranges),
    mutant("a strange range is believed", "dispatcher.united", "    if digest_of(stored.body) != key.digest:\n", "    if False:\n", faults_of_strange_ranges),
    mutant("rolled anew without the partials that are gone", "dispatcher.roll", "            if not listing.digests.issuperset(before.digests):\n                raise\n", "", faults_of_strange_ranges),
    mutant("strange rows are copied", "dispatcher.patch", "    if not seen.rows_etag or seen.rows_etag != before.result_etag:\n        return None\n", "", faults_of_strange_rows),
    mutant("a range that another roll replaced freezes its window", "dispatcher.roll", "if seen.lineage and seen.lineage.united and observe(roller.buckets, window).lineage_etag != seen.lineage_etag:", "if False:", faults_of_two_that_roll_from_a_united_set),
    mutant("rows are copied whatever was added", "dispatcher.patch", "touched = additions.readings.keys() if standing else", "touched = set() if standing else"),
    mutant("a range keeps its object whatever was added", "dispatcher.patch", "if first is not None and part == old:", "if first is not None:", faults_of_several_late_partials),
    mutant("replaced ranges are deleted before the lineage", "dispatcher.roll", "        _write_lineage(roller, lineage, seen.lineage_etag)\n        roller.discarded.update([*superseded(before, lineage), *superseded_held(before, lineage)])\n", "        roller.buckets.lake.delete_all(superseded(before, lineage))\n        _write_lineage(roller, lineage, seen.lineage_etag)\n", faults_of_a_dispatcher_that_dies_before_its_lineage),
    mutant("a range is named before it is written", "dispatcher.united", "        self._flush()\n        return tuple", "        return tuple", faults_of_several_late_partials),
    mutant("a range of any size is read back", "dispatcher.spill", "            self._use.unite(file.readings, ", "            (lambda *_: None)(file.readings, ", faults_of_windows_beyond_a_ceiling),
    mutant("a roll goes on until its run is killed", "dispatcher.ceiling", "        if self._ceiling.remaining_ms() > min(", "        if True or self._ceiling.remaining_ms() > min(", faults_of_windows_beyond_a_ceiling),
    mutant("a window that no run can read takes all of each", "dispatcher.ceiling", "        if share >= SURE_AFTER_SHARE and ", "        if False and ", faults_of_windows_beyond_a_ceiling),
    mutant("a late roll waits for ever", "dispatcher.roll", "        and roller.scheduled_time_ms - lineage.scheduled_time_ms < soon_ms\n", "", faults_of_a_late_roll_that_waits),
    mutant("a tick by hand lets late readings wait", "dispatcher.handler", '    if asked.get("late_rolls_now"):\n', "    if False:\n", faults_of_a_tick_by_hand),
    mutant("the schedule lets no late reading wait", "dispatcher.handler", '    if asked.get("late_rolls_now"):\n', "    if True:\n", faults_of_a_tick_by_hand),
    mutant("windrow tick asks like the schedule", "windrow_operations.ticks", '"late_rolls_now": True', '"late_rolls_now": False', faults_of_a_tick_by_hand),
    # What is due.
    mutant("windows without a lineage are not due", "dispatcher.due", "DueReason.NEW: {window for window in without_lineage if after_ms < window.end_ms <= closing},", "DueReason.NEW: set(),", lambda: faults_of_missed_hours(3)),
    mutant("no sweep", "dispatcher.due", "        DueReason.SWEEP: set(within_reach[-SWEEP_TICKS::-SWEEP_TICKS]),\n", "        DueReason.SWEEP: set(),\n", faults_of_sweep),
    mutant("markers make nothing due", "dispatcher.due", "DueReason.MARKED: named.keys(),", "DueReason.MARKED: set(),", lambda: faults_of_late_reading(3 * HOUR_MS)),
    Mutant("no window is live", (
        Edit("dispatcher.due", "    live = [one for one in due if DueReason.RECENT in one.reasons]\n", "    live: list[DueWindow] = []\n"),
        Edit("dispatcher.due", "    others = [one for one in due if DueReason.RECENT not in one.reasons]\n", "    others = list(due)\n"),
    ), lambda: run_busy_seed(3) or run_busy_seed(4)),
    Mutant("only the newest window is live", (
        Edit("dispatcher.due", "    live = [one for one in due if DueReason.RECENT in one.reasons]\n", "    live = list(due[-1:])\n"),
        Edit("dispatcher.due", "    others = [one for one in due if DueReason.RECENT not in one.reasons]\n", "    others = list(due[:-1])\n"),
    ), faults_of_live_windows),
    mutant("a live window that kills its run is tried at every tick", "dispatcher.due", "    if not is_reversed(scheduled_time_ms):\n        suspects = set()\n", "    suspects = set()\n", faults_of_live_killer),
    mutant("all windows begin at once", "dispatcher.tick", "        first, rest = ordered[:1], ordered[1:]\n", "        first, rest = ordered[:0], ordered\n", faults_of_killer_beside_others),
    mutant("hours of live windows wait for the backlog", "dispatcher.tick", "            self._add(follow_up.roll_recent_periods(self.live))\n", "", faults_of_live_hours),
    mutant("hours of a backlog wait for all of it", "dispatcher.tick", "            if is_catching_up_first(self._tick.scheduled_time_ms):\n", "            if False:\n", faults_of_killer_in_backlog),
    mutant("a day whose report was left undone stays without", "dispatcher.day_reports", "        looks_at_all = self.scheduled_time_ms % HOUR_MS < TICK_EVERY_MS\n", "        looks_at_all = False\n", faults_of_killed_reports),
    mutant("a file of a report is taken for what it was", "dispatcher.day_reports", 'fields["picture_etag"] == etags[DayFile.PICTURE]', "True", faults_of_changed_reports),
    # Adapters, replay, redrive.
    mutant("a lost race overwrites", "windrow.lake.s3", "                raise PreconditionFailed(key) from error", "                return self.put(key, body)"),
    mutant("a file is sent from where it was left", "windrow.lake.s3", "body.seek(0)", "body.tell()"),
    mutant("503 is success", "windrow.lake.s3", '            raise self._failed("PutObject", key, error) from error', "            return 'unavailable'"),
    mutant("replay leaves the last chunk out", "processors.replay", "        for shard, chunk, future in in_flight:\n            result", "        for shard, chunk, future in list(in_flight)[:-1]:\n            result", lambda: faults_of_replay(NONE)),
    mutant("redrive leaves the last record out", "processors.redrive", "for raw in batch.records:", "for raw in batch.records[:-1]:", lambda: faults_of_redrive(Options(window_ms=0, retries_max=2))),
    mutant("redriven quarantine forgets its place", "processors.redrive", "            index=one.index,\n", "            index=0,\n", faults_of_redriven_quarantine),
)
# fmt: on


@dataclass(frozen=True, slots=True)
class Found:
    """How a mutant was noticed: in its scenario, or after how many seeds; by neither when both are nothing."""

    name: str
    seeds: int | None
    by_scenario: bool
    fault: str = ""

    def __str__(self) -> str:
        """A row of the table."""
        how = "scenario" if self.by_scenario else "NOT FOUND" if self.seeds is None else f"{self.seeds} seeds"
        return f"{self.name:42} {how:>10}  {self.fault[:110]}"


def find(broken: Mutant, *, seeds_max: int = SEEDS_MAX, swarm_only: bool = False) -> Found:
    """Apply the mutant and look for it."""
    with applied(broken):
        if broken.scenario is not None and not swarm_only:
            faults = _faults(broken.scenario)
            if faults:
                return Found(broken.name, None, by_scenario=True, fault=faults[0])
        for seed in range(seeds_max):
            outcome = run_seed(seed)
            if outcome.faults:
                return Found(broken.name, seed + 1, by_scenario=False, fault=outcome.faults[0])
    return Found(broken.name, None, by_scenario=False)


def _faults(scenario: Scenario) -> list[str]:
    try:
        with codecs_remembered():
            return scenario()
    except Exception as error:  # noqa: BLE001 - a scenario that breaks off has noticed
        return [f"broke off: {type(error).__name__}: {error}"]


def main() -> int:
    """Print the table; the exit code is 1 when a mutant is not found."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS_MAX, help="of the swarm, at most, for each mutant")
    parser.add_argument("--swarm-only", action="store_true", help="leave the named scenarios out")
    parser.add_argument("names", nargs="*", help="mutants; all when none is named")
    chosen = parser.parse_args()
    logging.disable(logging.CRITICAL)
    lost = 0
    for broken in MUTANTS:
        if chosen.names and broken.name not in chosen.names:
            continue
        found = find(broken, seeds_max=chosen.seeds, swarm_only=chosen.swarm_only)
        lost += found.seeds is None and not found.by_scenario
        print(found, flush=True)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
