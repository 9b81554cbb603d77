"""The columns of the stored tables: (name, Glue type), in the order of their files.

Codecs, the local engine and the template's tests share them. They stand here by themselves because who only asks a
question needs none of what the codecs load.
"""

Schema = tuple[tuple[str, str], ...]

AGGREGATES: Schema = (
    ("window_start", "timestamp"),
    ("sensor_id", "string"),
    ("quantity", "string"),
    ("unit", "string"),
    ("readings", "bigint"),
    ("sum_milli", "bigint"),
    ("sum_squares_milli2", "decimal(38,0)"),
    ("min_milli", "int"),
    ("max_milli", "int"),
    ("first_milli", "int"),
    ("first_time", "timestamp"),
    ("last_milli", "int"),
    ("last_time", "timestamp"),
    ("p05_milli", "int"),
    ("p25_milli", "int"),
    ("p50_milli", "int"),
    ("p75_milli", "int"),
    ("p95_milli", "int"),
    ("p99_milli", "int"),
    ("integral_milli_ms", "bigint"),
    ("covered_ms", "int"),
    ("histogram_bins", "array<int>"),
    ("histogram_counts", "array<int>"),
    ("conflicts", "bigint"),
)
"""The rows of a window, an hour or a day."""

WINDOWS: Schema = (
    ("window_start", "timestamp"),
    ("window_end", "timestamp"),
    ("revision", "int"),
    ("readings", "bigint"),
    ("sensors", "bigint"),
    ("sensors_expected", "bigint"),
    ("completeness", "double"),
    ("silent", "bigint"),
    ("conflicts", "bigint"),
    ("duplicates_removed", "bigint"),
    ("late", "bigint"),
    ("quarantined", "bigint"),
    ("partials", "int"),
    ("shards", "array<string>"),
    ("is_final", "boolean"),
    ("scheduled_time", "timestamp"),
    ("fingerprint", "string"),
    ("digests", "array<string>"),
    ("rows_sha256", "string"),
    ("result_etag", "string"),
    ("sensors_sha256", "string"),
    ("presence", "string"),
    ("silences_etag", "string"),
    ("format", "int"),
)
"""The lineage of a window."""

SILENCES: Schema = (
    ("window_start", "timestamp"),
    ("sensor_id", "string"),
    ("quantity", "string"),
    ("unit", "string"),
    ("state", "string"),
    ("last_window", "timestamp"),
    ("missing_windows", "int"),
)
"""The sensors that are silent in a window, or were until then."""

EXCURSIONS: Schema = (
    ("window_start", "timestamp"),
    ("rule", "string"),
    ("severity", "string"),
    ("sensor_id", "string"),
    ("quantity", "string"),
    ("unit", "string"),
    ("state", "string"),
    ("began", "timestamp"),
    ("rang", "timestamp"),
    ("until", "timestamp"),
    ("extreme_milli", "bigint"),
    ("beyond_milli_ms", "decimal(38,0)"),
    ("windows", "int"),
    ("revision", "int"),
    ("clear_windows", "int"),
    ("clear_from", "timestamp"),
    ("distance_milli", "bigint"),
    ("held_ms", "bigint"),
    ("holds_until", "timestamp"),
    ("holds_milli", "bigint"),
)
"""What rules track after a window, and what ended in it."""

PARTIALS: Schema = (
    ("sensor_id", "string"),
    ("quantity", "string"),
    ("unit", "string"),
    ("readings", "bigint"),
    ("sum_milli", "bigint"),
    ("min_milli", "int"),
    ("max_milli", "int"),
    ("first_offset_ms", "int"),
    ("offset_ms_steps", "array<int>"),
    ("first_milli", "int"),
    ("milli_steps", "array<int>"),
    ("first_sequence", "bigint"),
    ("sequence_steps", "array<bigint>"),
)
"""A partial, series by series."""

QUARANTINE: Schema = (
    ("reason", "string"),
    ("detail", "string"),
    ("stream", "string"),
    ("shard", "string"),
    ("sequence_number", "string"),
    ("index", "int"),
    ("block_row", "int"),
    ("arrival_time", "timestamp"),
    ("payload_base64", "string"),
)
"""Payloads that do not count."""
