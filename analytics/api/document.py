"""The OpenAPI document of the API, made of its operations: `python -m analytics.api.document` prints it."""

import json
import sys
from functools import cache
from typing import Any

from analytics.api import schemas, upload_forms
from analytics.api.operations import OPERATIONS, VERSION, Operation
from analytics.api.parameters import Parameter
from analytics.api.problems import MEDIA_TYPE
from windrow.lake.gateways import SCOPE as UPLOADS_SCOPE

PATH = f"/{VERSION}/openapi.json"
OPENAPI = "3.1.0"
SCOPE = "results/read"
"""The scope that a token needs: the resource server's identifier, and its scope."""

Json = dict[str, Any]

_PROBLEMS = {
    "400": "A parameter is unknown, missing, given twice or out of bounds, or the range is empty, reversed or too long",
    "401": "Hosted: there is no token, or it is expired, forged or for something else",
    "403": "Hosted: the user is in no group that may ask this, or the token lacks the scope",
    "429": "Hosted: too many requests",
    "503": "The results cannot be read now, or not in time; with Retry-After, ask again: what was read is kept",
}
_OF_GATEWAY = frozenset({"401", "429"})
"""What the HTTP API answers before the function is asked, in a form of its own. To a token without the scope it answers
403 so, which is the function's answer to another group."""
_NOT_FOUND = "What is asked for is not there"
_ABOUT = """Exact aggregates of sensor readings: rows per window of five minutes, silences, and how whole windows are.

Times are in ms since the epoch, values in the unit of their quantity. A range selects the windows that start in it; it
is half-open and at most 31 days. Numbers of a window that is not final may change when late readings arrive."""


@cache
def openapi() -> Json:
    """Return the document; the caller must not change it."""
    return {
        "openapi": OPENAPI,
        "info": {
            "title": "windrow",
            "version": VERSION,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": {one.path: {"get": _operation(one)} for one in OPERATIONS} | _upload_paths(),
        "components": {
            "schemas": {"Problem": schemas.PROBLEM, "Message": schemas.MESSAGE}
            | {one.name.title(): one.schema for one in OPERATIONS}
            | {
                "UploadAnnouncement": upload_forms.ANNOUNCEMENT,
                "SignedUpload": upload_forms.SIGNED,
                "UploadReceipt": upload_forms.RECEIPT,
            },
            "responses": {
                "NotModified": {"description": "The answer is the one that If-None-Match names"},
                **{_named(status): _problem(status, said) for status, said in _PROBLEMS.items()},
                _named("404"): _problem("404", _NOT_FOUND),
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
        "security": [{"token": [SCOPE]}, {}],
    }


def _operation(one: Operation) -> Json:
    statuses = sorted([*_PROBLEMS, "404"]) if one.name in {"sensor", "lineage"} else sorted(_PROBLEMS)
    return {
        "operationId": one.name,
        "summary": one.summary,
        "description": f"For users of the group {one.group}.",
        "parameters": [_parameter(parameter) for parameter in one.parameters],
        "responses": {
            "200": {
                "description": one.summary,
                "headers": {
                    "ETag": {"description": "A weak tag of the answer's content", "schema": schemas.TEXT},
                    "Cache-Control": {"description": "For a day if the answer is final", "schema": schemas.TEXT},
                },
                "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{one.name.title()}"}}},
            },
            "304": {"$ref": "#/components/responses/NotModified"},
            **{status: {"$ref": f"#/components/responses/{_named(status)}"} for status in statuses},
        },
    }


def _upload_paths() -> Json:
    """Return the paths of gateways, which only a hosted stage with an uploads bucket has (docs/uploads.md)."""
    key = {"name": "key", "in": "query", "required": True, "description": "As it was answered", "schema": schemas.TEXT}
    announced = {"content": _json("UploadAnnouncement"), "required": True}
    about = "For gateways of a hosted stage with uploads"
    return {
        upload_forms.PATH: {
            "post": {
                "operationId": "upload",
                "summary": "A request that stores one object once",
                "description": f"{about}. The same object has the same key.",
                "security": [{"token": [UPLOADS_SCOPE]}],
                "requestBody": announced,
                "responses": _upload_responses("SignedUpload", is_searching=False),
            }
        },
        upload_forms.RECEIPT_PATH: {
            "get": {
                "operationId": "receipt",
                "summary": "What became of an object",
                "description": f"{about}: of their own objects alone. 404 until the object was read.",
                "security": [{"token": [UPLOADS_SCOPE]}],
                "parameters": [key],
                "responses": _upload_responses("UploadReceipt", is_searching=True),
            }
        },
    }


def _upload_responses(schema: str, *, is_searching: bool) -> Json:
    said = upload_forms.PROBLEMS
    statuses = sorted(status for status in said if status != ("400" if is_searching else "404"))
    return {
        "200": {"description": said["200"], "content": _json(schema)},
        # No authorizer stands before these paths: of the HTTP API's own answers there is 429 alone.
        **{status: _problem(status if status == "429" else "", said[status]) for status in statuses if status != "200"},
    }


def _json(schema: str) -> Json:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _parameter(parameter: Parameter) -> Json:
    return {
        "name": parameter.name,
        "in": "query",
        "required": parameter.is_required,
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }


def _problem(status: str, description: str) -> Json:
    message = {"application/json": {"schema": {"$ref": "#/components/schemas/Message"}}}
    document = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    content = message if status in _OF_GATEWAY else document | message if status == "403" else document
    return {"description": description, "content": content}


def _named(status: str) -> str:
    return f"Problem{status}"


def text() -> str:
    """Return the document as it is kept in docs/openapi.json."""
    return json.dumps(openapi(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
