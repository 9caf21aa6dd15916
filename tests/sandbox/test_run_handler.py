"""run_handler: a call with Python values on both sides, and errors to catch.  Real processes.

Its timeout is tested where the killing is.
"""

from __future__ import annotations

import pytest

from trioq.sandbox import SandboxError, run_handler


async def test_a_task_or_a_function_is_called_with_its_arguments(handlers):
    assert await run_handler(handlers.decorated, ["abc"]) == "ABC"
    assert await run_handler(handlers.add, [1], {"b": 2}) == 3


async def test_the_result_is_decoded_to_its_annotation(handlers):
    assert await run_handler(handlers.mirror, [handlers.Point(1, 2)], timeout=60) == handlers.Point(2, 1)


@pytest.mark.parametrize(
    ("name", "args", "last_words"),
    [
        ("fail", ["no such file"], "ValueError: no such file"),
        ("leave", [3], "SystemExit: 3"),
        ("end_with", ["reject"], "Reject: no such user"),
        ("end_with", ["snooze"], "Snooze: the handler put the job off for 9 s"),
    ],
)
async def test_what_the_handler_raised_ends_the_text_of_the_error(handlers, name, args, last_words):
    with pytest.raises(SandboxError) as caught:
        await run_handler(getattr(handlers, name), args)
    assert str(caught.value).startswith(f"sandboxed.{name} did not return from its process:\n")
    assert str(caught.value).endswith(last_words)


async def test_arguments_that_do_not_fit_are_refused_before_a_process_starts(handlers):
    with pytest.raises(TypeError, match="missing a required argument: 'a'"):
        await run_handler(handlers.add, [])
