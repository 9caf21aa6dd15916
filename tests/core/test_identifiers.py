"""What may be an id or a name."""

from __future__ import annotations

import pytest

from trioq._core.errors import BadName
from trioq._core.identifiers import check_name


@pytest.mark.parametrize("name", ["a", "emails", "e mails:2/~", "x" * 200])
def test_a_name_is_1_to_200_printable_ascii_characters(name: str) -> None:
    assert check_name("a queue name", name) == name


@pytest.mark.parametrize("name", ["", "x" * 201, "é", "a\n", "\x00", "\x7f", None, 7, b"a"])
def test_any_other_name_is_refused(name: object) -> None:
    with pytest.raises(BadName, match="an id must be"):
        check_name("an id", name)
