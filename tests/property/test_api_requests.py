"""The HTTP API, fuzzed by its own document: whatever is sent as a parameter, the answer is one that it describes."""

from typing import Any
from urllib.parse import urlencode

import jsonschema
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from analytics.api import document
from analytics.api.operations import BY_NAME, OPERATIONS, Operation
from analytics.api.parameters import Parameter
from analytics.api.problems import MEDIA_TYPE
from analytics.dashboard import Dashboard
from analytics.web import application
from tests.unit.test_api import BOUNDS, ODD_IDS, PLACE, get, results_with_odd_ids
from tests.unit.test_row_cache import ALL, WINDOWS
from windrow.timestamps import format_rfc3339
from windrow.window import WINDOW_MS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Starlette:
    stored = results_with_odd_ids(tmp_path_factory.mktemp("rows"))
    made = Dashboard(engine=stored.engine, results=stored.results, stage="dev", clock_ms=lambda: ALL.end_ms)
    return application(made, PLACE)


def texts(parameter: Parameter) -> st.SearchStrategy[str]:
    """What a client may send for a parameter: good values, values at its bounds and beyond, and anything at all."""
    schema = parameter.schema
    if schema["type"] == "integer":
        least, most = schema["minimum"], schema["maximum"]
        numbers = st.sampled_from([least, most, least - 1, most + 1]) | st.integers(0, 10**12) | st.integers(0, 3)
        return numbers.map(str) | st.text(max_size=5)
    good = {
        "from": st.sampled_from(["-1h", "-2h", "now", "-31d", "-9999d", *BOUNDS.values(), "0001-01-01T00:00:00Z"]),
        "to": st.sampled_from(["now", *BOUNDS.values(), "9999-12-31T23:59:59Z"]),
        "window": st.integers(0, WINDOWS).map(lambda place: format_rfc3339(ALL.start_ms + place * WINDOW_MS)),
        "sensor": st.sampled_from([*ODD_IDS, "site-0/Sensor-2"]),
        "quantity": st.sampled_from(["temperature", "humidity"]),
        "unit": st.sampled_from(["C", "%"]),
        "sort": st.sampled_from(list(schema.get("enum", [""]))),
    }
    longest = int(schema.get("maxLength", 40))
    anything = st.text(max_size=30) | st.sampled_from(["x" * longest, "x" * (longest + 1), "\x00", "\ud7ff", "%"])
    return good.get(parameter.name, st.nothing()) | anything


@st.composite
def requests(draw: st.DrawFn) -> tuple[Operation, list[tuple[str, str]]]:
    operation = draw(st.sampled_from(OPERATIONS))
    pairs = [(one.name, draw(texts(one))) for one in operation.parameters if one.is_required or draw(st.booleans())]
    odd = draw(st.sampled_from([[], [], [], [], [("colour", "red")], pairs[:1]]))
    return operation, [*pairs, *odd]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(request=requests())
@example(request=(BY_NAME["sensors"], [("page", "999999999"), ("per_page", "200")]))
@example(request=(BY_NAME["fleet"], [("from", "now"), ("to", "-1h")]))
def test_every_request_gets_a_documented_answer(local: Starlette, request: Any) -> None:
    """Its status is one that the document has for the operation, its body is of the schema there, and never a 500."""
    operation, pairs = request
    status, headers, answer = get(local, operation.path, urlencode(pairs))
    documented = document.openapi()["paths"][operation.path]["get"]["responses"]
    assert str(status) in documented
    kind = headers["content-type"]
    if status == 200:
        assert kind == "application/json"
        jsonschema.validate(answer, operation.schema)
        assert headers["etag"].startswith('W/"')
    else:
        assert kind == MEDIA_TYPE
        jsonschema.validate(answer, document.openapi()["components"]["schemas"]["Problem"])
        assert answer["status"] == status
        assert answer["detail"]
