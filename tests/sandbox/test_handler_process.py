"""How a handler in a process of its own ends, whatever it does.  Real processes."""

from __future__ import annotations

import signal

import pytest
import trio

from trioq._core.outcome import BadPayload, Raised, Rejected, RetryAsked, Returned, Snoozed
from trioq._core.payload import NO_ARGUMENTS, Signature
from trioq.sandbox import Sandbox, Target, run_payload

LIMIT = 2**20


@pytest.fixture
def run(handlers):
    """Run a handler of `sandboxed` by its name, in a process that is used once."""

    async def run(name, *args, limit=LIMIT):
        fn = getattr(handlers, name)
        fn = getattr(fn, "fn", fn)
        payload = Signature.of(fn).encode(args, {}, 2**30)
        return await run_payload(Target.of(fn), payload, limit)

    return run


def last_line(outcome):
    return outcome.error.splitlines()[-1]


async def test_a_sync_handler_returns_its_encoded_result(run):
    assert await run("add", 1, 2) == Returned(b"3")


async def test_an_async_handler_gets_a_trio_run_of_its_own(run):
    assert await run("sleepy", "abc") == Returned(b'"ABC"')


async def test_arguments_and_results_are_converted_by_their_annotations(run, handlers):
    assert await run("mirror", handlers.Point(1, 2)) == Returned(b'{"x":2,"y":1}')


async def test_the_function_of_a_task_is_found_behind_its_name(run):
    assert await run("decorated", "abc") == Returned(b'"ABC"')


async def test_an_exception_is_raised_with_the_handlers_traceback(run):
    outcome = await run("fail", "no such file")
    assert isinstance(outcome, Raised)
    assert 'sandboxed.py", line' in outcome.error
    assert last_line(outcome) == "ValueError: no such file"


async def test_sys_exit_in_a_handler_is_an_error_like_any_other(run):
    assert last_line(await run("leave", 3)) == "SystemExit: 3"


async def test_a_process_that_exits_is_an_error_with_its_exit_code(run):
    error = last_line(await run("vanish", 3))
    assert error == (
        "trioq.sandbox.ProcessDied: the process of sandboxed.vanish exited with code 3 before its handler returned"
    )


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGSEGV, "was killed by SIGSEGV before"),
        (signal.SIGKILL, "was killed by SIGKILL (out of memory?) before"),
    ],
)
async def test_a_process_killed_by_a_signal_is_an_error_that_names_it(run, number, words):
    assert words in last_line(await run("crash", int(number)))


@pytest.mark.slow
async def test_results_and_arguments_of_many_mebibytes_pass(run):
    size = 5 * 2**20
    assert await run("big", size, limit=2**30) == Returned(b'"' + b"x" * size + b'"')
    assert await run("length", "x" * size) == Returned(str(size).encode())


async def test_a_result_over_the_limit_is_an_error(run):
    assert "PayloadTooLarge: " in last_line(await run("big", LIMIT))


async def test_a_result_that_is_no_json_is_an_error(run):
    assert "NotSerializable: " in last_line(await run("unserialisable"))


@pytest.mark.parametrize("payload", [NO_ARGUMENTS, b'[["one"],{}]', b"\x80\x04pickle"])
async def test_arguments_that_do_not_fit_are_told_apart(handlers, payload):
    outcome = await run_payload(Target.of(handlers.add), payload, LIMIT)
    assert isinstance(outcome, BadPayload)


@pytest.mark.slow
async def test_signals_come_through(run):
    retry, by_backoff, snooze, reject = [
        await run("end_with", name) for name in ("retry", "retry by backoff", "snooze", "reject")
    ]
    assert isinstance(retry, RetryAsked)
    assert retry.after == 7
    assert isinstance(by_backoff, RetryAsked)
    assert by_backoff.after is None
    assert snooze == Snoozed(9.0)
    assert isinstance(reject, Rejected)
    assert last_line(reject).endswith("Reject: no such user")


async def test_a_signal_is_found_inside_a_nursery(run):
    outcome = await run("retry_in_a_nursery")
    assert isinstance(outcome, RetryAsked)
    assert outcome.after == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "error"),
    [
        (Target("no_such_module", "f"), "ModuleNotFoundError: No module named 'no_such_module'"),
        (
            Target("sandboxed", "no_such_function"),
            "AttributeError: module 'sandboxed' has no attribute 'no_such_function'",
        ),
    ],
)
async def test_a_function_that_is_not_there_is_an_error(handlers, target, error):
    assert last_line(await run_payload(target, NO_ARGUMENTS, LIMIT)) == error


@pytest.mark.slow
async def test_what_a_handler_prints_goes_to_the_workers_stderr(run, capfd):
    assert await run("chatter") == Returned(b'"done"')
    assert capfd.readouterr() == ("", "from print\nfrom fd 1\n")


@pytest.mark.slow
async def test_nonsense_on_the_socket_ends_the_process_and_is_an_error(run):
    with trio.fail_after(60):
        assert "wrote to its worker's socket" in last_line(await run("babble"))


@pytest.mark.slow
async def test_of_a_handler_that_forks_only_the_original_answers(run):
    assert await run("fork_and_return") == Returned(b"0")


@pytest.mark.slow
async def test_a_request_to_stop_is_the_workers_to_judge_but_stops_what_the_handler_started(run):
    assert await run("be_told_to_stop") == Returned(str(int(signal.SIGTERM)).encode())


@pytest.mark.slow
async def test_the_death_of_a_process_is_seen_while_its_children_live_on_which_are_killed(run, fifo):
    outcome = None

    async def die():
        nonlocal outcome
        outcome = await run("hold_and_vanish", fifo.path)

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(die)
            assert await fifo.wait_held() == "running\n"
        assert await fifo.wait_free() == ""
    assert "exited with code 3" in last_line(outcome)


async def test_where_the_system_has_no_process_to_give_it_is_an_error(handlers, monkeypatch):
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    async with Sandbox() as sandbox:
        outcome = await sandbox.run(Target.of(handlers.pid), NO_ARGUMENTS, LIMIT)
    assert last_line(outcome).startswith("FileNotFoundError")
