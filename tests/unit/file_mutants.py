"""Deliberate breaks of what guards the reading of files and their backfill; tests/unit/infra_mutants.py runs them.

Each line: its name, the text to replace, the replacement; above them the module, and the tests that must notice.
"""

# ruff: noqa: E501 - a mutant is one line, however long
FILE_BREAKS: tuple[tuple[str, str, tuple[tuple[str, str, str], ...]], ...] = (
    (
        "producers.files.values",
        "test_file_cases",
        (
            ("a value above its bound counts", "is_read &= (values >= quantity.min_milli) & (values <= quantity.max_milli)", "is_read &= values >= quantity.min_milli"),
            ("a value that means none counts", "        is_read &= values != quantity.map.milli(number)\n", "        pass\n"),
            ("a unit in words is not read", "one = quantity if not name else in_unit(quantity, name)", "one = quantity"),
        ),
    ),
    (
        "producers.files.values",
        "test_file_cases",
        (("a cell's own unit is passed over", "            quantity = in_unit(quantity, unit)\n", "            in_unit(quantity, unit)\n"),),
    ),
    (
        "producers.files.csv_form",
        "test_file_cases",
        (("tables of different columns are one", "            if header != first:\n", "            if False:\n"),),
    ),
    (
        "producers.files.series",
        "test_file_cases",
        (
            ("the usual unit is taken for any number", "probable_unit(quantity, number) != usual", "usual is None"),
            ("one odd value is a column of them", "if 2 * len(odd) > len(numbers) else None", "if odd else None"),
            ("a row's value is a temperature", "        quantity = known or own\n", '        quantity = "temperature"\n'),
            ("a quantity may have any name", "        quantities.Quantity(made.name, made.unit)\n", ""),
        ),
    ),
    (
        "producers.files.series",
        "test_files::test_what_two_columns_say_in_two_units_is_read_once",
        (("one sensor in two units is two", "return [one for one in names if one[1] not in dropped], told", "return list(names), told"),),
    ),
    (
        "producers.files.csv_form",
        "test_files::test_units_below_the_names_count",
        (("units below the names are a row", "names, below = _unique(fields), _rows_of_units(rows[header + 1 :])", "names, below = _unique(fields), 0"),),
    ),
    (
        "producers.files.csv_form",
        "test_files::test_words_below_the_names_are_no_units",
        (("words below the names are units", "if not rows or _has_values(rows[0]) or not", "if not rows or not"),),
    ),
    (
        "producers.files.csv_form",
        "test_files::test_lines_of_a_title_may_have_numbers_and_several_fields",
        (("a line of a title has the names", "if _width(row) >= max(2, usual) and any", "if _width(row) > 1 and any"),),
    ),
    (
        "producers.files.table",
        "test_files::test_only_the_first_row_may_have_all_fields",
        (("a row that is cut counts", '(missing if len(row) == form.fields else b"")', "(form.delimiter.encode() * (len(form.names) - len(row)))"),),
    ),
    (
        "producers.files.times",
        "test_files::test_digits_may_be_a_date_and_a_clock",
        (("a date in digits is a second", "if _fitting(form, texts) == len(texts):", "if False:"),),
    ),
    (
        "producers.files.roles",
        "test_files::test_units_below_the_names_say_the_zone_of_times",
        (("another zone than the file's is not told", "zone.offsets_s != of_file.offsets_s:", "False:"),),
    ),
    (
        "producers.files.series",
        "test_files::test_temperatures_that_are_warm_for_air_are_asked_about",
        (("what is warm for air is not told", "if options.unit is None and _are_warm(samples[column])", "if False"),),
    ),
    (
        "producers.files.series",
        "test_file_cases",
        (("units of some rows are those of all", "strict=True) if not unit.strip()]", "strict=True) if False]"),),
    ),
    (
        "producers.files.roles",
        "test_file_cases",
        (("an empty unit is the usual one", "if one == name and not unit.strip()]", "if one == name and not unit_column]"),),
    ),
    (
        "producers.files.names",
        "test_files::test_the_unit_is_in_the_columns_name_or_said",
        (("a unit at a name's end is not seen", "    return by_end[0] if by_end else None\n", "    return None\n"),),
    ),
    (
        "windrow.payloads.guess",
        "test_payloads_command",
        (
            ("a battery's percentage is a voltage", 'if quantity == "battery_voltage" and not', "if not quantity and not"),
            ("a value that says there is none is one", "texts if (none := says_none(quantity, said or usual_unit(quantity), text))}", "texts if (none := None)}"),
            ("the unit that a payload says is not seen", "return next(iter([*beside, *above]), None)", "return None"),
        ),
    ),
    (
        "windrow.payloads.units",
        "test_payload_contracts",
        (("a part of a unit is all of it", "LinearMap(step * Fraction(factor) * scale", "LinearMap(Fraction(factor) * scale"),),
    ),
    (
        "producers.files.roles",
        "test_file_cases",
        (
            ("the begin of what was asked for is the time", "    others.sort(key=lambda columns: len(set(samples[columns[0]])) == 1)\n", ""),
            ("ids of other quantities do not matter", "next(filter(names_another_quantity, ids), None)", "None"),
        ),
    ),
    (
        "producers.files.times",
        "test_file_cases",
        (
            ("naive times need no zone", "needs_zone=zone is None and bool(forms)", "needs_zone=False"),
            ("the zone of a header is not seen", "found = _HEADER_ZONE.search(header)", 'found = _HEADER_ZONE.search("")'),
        ),
    ),
    (
        "producers.files.times",
        "test_files::test_day_and_month_that_may_be_exchanged_are_asked_about",
        (("day and month are guessed", "if count == most >= least)", "if count == most >= least)[:1]"),),
    ),
    (
        "producers.files.rows",
        "test_files::test_json_may_be_lines_or_an_array",
        (("a row of another width counts", "    chosen[list(batch.unreadable)] = False\n    why", "    why"),),
    ),
    (
        "producers.files.rows",
        "test_files::test_a_bad_id_and_a_bad_sequence_are_told",
        (("a row with a bad id counts", "    is_sound[list(why)] = False\n", ""),),
    ),
    (
        "producers.files.rows",
        "test_file_cases",
        (
            ("a sequence is cut to an integer", 'and not fraction.strip("0")', ""),
            ("a row without values is not told", '[LeftOut(row, Reason.MISSING_VALUE, "no value") for row in empty.tolist()]', "[]"),
        ),
    ),
    (
        "producers.files.identities",
        "test_identities",
        (
            ("sequence is no part of an identity in a file", 'for name in ("time", "sequence", "series"):', 'for name in ("time", "series"):'),
            ("different values are no conflict", "is_conflict = values > 1", "is_conflict = values > 2"),
            ("numbered by value, not by appearance", 'np.lexsort([some["position"],', 'np.lexsort([some["value"],'),
            ("equal times in several parts", 'part = (rows["time"].view', 'part = (rows["position"].view'),
            ("the last part in memory is forgotten", "    if self._held:\n            self._spill()\n        for", "    for"),
        ),
    ),
    (
        "producers.files.opening",
        "test_files::test_damaged_compression_and_parquet_are_refused_by_name",
        (("a file that is cut short is read to there", '            raise UsageError(f"{name} cannot be decompressed: {error}") from error\n', "            pass\n"),),
    ),
    (
        "producers.files.opening",
        "test_files::test_folders_and_patterns_are_searched",
        (("a file that is named twice is read twice", "return list(dict.fromkeys(found))", "return found"),),
    ),
    (
        "processors.backfill",
        "test_backfill",
        (
            ("a window with rows is filled", "if lineage_key(partial.window) not in rolled:", "if True:"),
            ("a failed write of a backfill is not told", "new += future.result()", "new += not future.exception()"),
        ),
    ),
    (
        "processors.backfill_part",
        "test_backfill_run",
        (
            ("history is too late", "horizon_ms=NEVER_TOO_LATE_MS", "horizon_ms=604_800_000"),
            ("a part fills windows that were rolled", "if not self.plan.is_rolled(one.window)]", "if True]"),
            ("a part of CSV has no first row", "elif piece.header:", "elif False:"),
            ("a part is done again though it has a report", "return self.report_on(number) or self._do(number)", "return self._do(number)"),
            ("a plan that is there is replaced", "plan.to_json(), if_absent=True)", "plan.to_json())"),
            ("a missing part adds up", "not self.missing\n", "True\n"),
            ("a lost reading adds up", "and all(one.adds_up for one in self.parts)", "and True"),
            ("a wrong window adds up", "and not (self.check and self.check.wrong)", ""),
            ("duplicates are what partials lack", "len(readings) - distinct_readings(readings)", "len(readings) - distinct"),
            ("a byte that nobody read adds up", "for one in self.parts) == self.size_bytes", "for one in self.parts) >= 0"),
        ),
    ),
    (
        "processors.backfill_check",
        "test_backfill_run",
        (
            ("a partial that is in no row is not missed", "if missing := delivered.keys() - set(lineage.digests):", "if missing := set():"),
            ("readings are counted by one side", 'return "" if counted == written else', 'return "" if True else'),
            ("a shared window is not counted", "return _SHARED if counted >= written else", "return _SHARED if True else"),
        ),
    ),
    (
        "processors.backfill_source",
        "test_backfill_run",
        (
            ("a file that has changed is read", "if now != file or len(body) != end - start:", "if len(body) != end - start:"),
            ("an object that has changed is read", "IfMatch=f'\"{file.version}\"'", "IfMatch='*'"),
        ),
    ),
)  # fmt: skip
