"""What gateways and the stage say to each other about uploads, as JSON Schema; requests are checked by its patterns."""

from typing import Any

from analytics.api.operations import VERSION
from analytics.api.schemas import TEXT
from windrow.lake.uploads import UPLOAD_BYTES_MAX
from windrow.reading import Reason

Schema = dict[str, Any]

PATH = f"/{VERSION}/uploads"
RECEIPT_PATH = f"{PATH}/receipt"
SIGNED_SECONDS = 900
"""How long a request to store an object may be used: enough for 64 MiB over a slow line."""
REQUEST_BYTES_MAX = 4_096
SHA256 = "^[0-9a-f]{64}$"
CONTENT_TYPE = "^[!-~]([ -~]{0,98}[!-~])?$"

ANNOUNCEMENT: Schema = {
    "type": "object",
    "description": f"The object that is to be stored; at most {REQUEST_BYTES_MAX:,} bytes of JSON",
    "properties": {
        "bytes": {"type": "integer", "minimum": 1, "maximum": UPLOAD_BYTES_MAX, "description": "its length"},
        "sha256": {"type": "string", "pattern": SHA256, "description": "its SHA-256, in small hexadecimal digits"},
        "content_type": {"type": "string", "pattern": CONTENT_TYPE, "description": "as S3 is to keep it"},
    },
    "required": ["bytes", "sha256", "content_type"],
    "additionalProperties": False,
}
_COUNT: Schema = {"type": "integer", "minimum": 0}
SIGNED: Schema = {
    "type": "object",
    "description": "A request that stores the announced object once; S3 answers 412 if it is there already",
    "properties": {
        "key": {"type": "string", "description": "what its receipt is asked for by"},
        "method": {"const": "PUT"},
        "url": {"type": "string", "format": "uri"},
        "headers": {"type": "object", "description": "all to be sent as they are", "additionalProperties": TEXT},
        "seconds": {"const": SIGNED_SECONDS, "description": "how long it may be used"},
    },
    "required": ["key", "method", "url", "headers", "seconds"],
    "additionalProperties": False,
}
RECEIPT: Schema = {
    "type": "object",
    "description": "What became of an object; after it the gateway may forget its readings",
    "properties": {
        **dict.fromkeys(("bucket", "key", "version"), TEXT),
        "written_time": {"type": "string", "format": "date-time", "description": "the arrival of all that is in it"},
        "bytes": _COUNT,
        "form": {"type": "string", "description": "what it held, empty if that could not be told"},
        "readings": _COUNT | {"description": "how many count, each distinct one once"},
        "duplicates": _COUNT | {"description": "how many more repeat one of the same object"},
        "rejected": {
            "type": "object",
            "description": "payloads that do not count, by reason",
            "propertyNames": {"enum": sorted(map(str, Reason))},
            "additionalProperties": _COUNT,
        },
        "windows": {"type": "array", "items": {"type": "string", "format": "date-time"}},
        "refusal": {"type": "string", "description": "why nothing in it counts, empty if it does"},
    },
    "required": [
        *("bucket", "key", "version", "written_time", "bytes", "form"),
        *("readings", "duplicates", "rejected", "windows", "refusal"),
    ],
    "additionalProperties": False,
}
PROBLEMS = {
    "200": "It is as asked",
    "400": "A field is missing, unknown or wrong; detail names it",
    "401": "There is no token, or it is expired, forged or of another pool",
    "403": "The token lacks the scope, its gateway was removed, or the key is another gateway's",
    "404": "There is no receipt yet; ask again",
    "429": "Too many requests",
    "503": "The stage cannot answer now; with Retry-After, ask again",
}
"""What each status of these paths means."""
