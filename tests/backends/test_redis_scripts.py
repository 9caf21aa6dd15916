"""The texts of Redis' scripts, as the server gets them: what is in them, and what is not."""

from __future__ import annotations

import re

from trioq.backends.redis.scripts import SCRIPTS

TEXTS = {verb: script.text for verb, script in SCRIPTS.items()}


def test_a_script_makes_no_function_that_it_does_not_call():
    made = {verb: re.findall(rb"^local function (\w+)", text, re.MULTILINE) for verb, text in TEXTS.items()}
    assert {verb for verb, names in made.items() if not names} == set()
    assert {
        (verb, name)
        for verb, names in made.items()
        for name in names
        if len(re.findall(rb"\b%b\b" % name, TEXTS[verb])) == 1
    } == set()


def test_a_script_has_nothing_that_is_only_said():
    assert {verb for verb, text in TEXTS.items() if b"--" in text or b"\n\n" in text} == set()
