"""The texts of Redis' scripts, as the server gets them: what is in them, and what is not."""

from __future__ import annotations

import re

import pytest

from trioq.backends.redis.scripts import SCRIPTS


@pytest.mark.parametrize("verb", SCRIPTS)
def test_a_script_makes_no_function_that_it_does_not_call(verb: str):
    text = SCRIPTS[verb].text
    made = re.findall(rb"^local function (\w+)", text, re.MULTILINE)
    assert made
    assert [name for name in made if len(re.findall(rb"\b%b\b" % name, text)) == 1] == []


@pytest.mark.parametrize("verb", SCRIPTS)
def test_a_script_has_nothing_that_is_only_said(verb: str):
    assert b"--" not in SCRIPTS[verb].text
    assert b"\n\n" not in SCRIPTS[verb].text
