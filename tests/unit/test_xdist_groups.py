"""Tests of one group run on one worker: pytest and xdist agree on how a test is named.

They are two packages with releases of their own. With pytest 9.2 and xdist 3.8 every group was ignored without a
message, and two workers waited for one LocalStack until a time limit.
"""

import pytest


@pytest.mark.xdist_group("group_of_this_test")
def test_a_group_is_part_of_the_name_by_which_xdist_hands_out_a_test(request: pytest.FixtureRequest) -> None:
    """Xdist groups by the end of a test's id, so it must be in the id that pytest tells."""
    if not hasattr(request.config, "workerinput") or not request.config.getvalue("loadgroup"):
        pytest.skip("groups exist under --dist loadgroup only")
    assert request.node.nodeid.endswith("@group_of_this_test")
