"""What the stores that are servers can: be killed, and be brought back."""

from __future__ import annotations

import pytest

from property_tests.faults.stores import SERVERS, STORES


@pytest.mark.slow
@pytest.mark.parametrize("kind", SERVERS)
def test_a_server_that_has_ended_is_started_again_and_one_that_has_not_is_left_alone(kind):
    store = STORES[kind]()
    try:
        assert store.answers()
        assert store.revive() == 0
        store.kill()
        assert not store.answers()
        assert store.revive() == 1
        assert store.answers()
    finally:
        store.close()
