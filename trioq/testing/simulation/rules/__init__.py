"""The rules that every history keeps: what trioq promises, each in a sentence and in code.

The rules of `ANY` judge the histories of real processes, too.  Such a rule needs only what the processes saw, what
trioq told them, and the records at the end.  The other rules need the store's own entries, or the plan, of a simulated
world.

The first paragraph of a rule's docstring is the promise, as the specification prints it.  No rule uses trioq's own
table of transitions, which would approve its own mistakes.  Times that a store has kept are compared to within
`ROUNDING`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from ..history import History, SimulatedHistory
from .announcing import (
    every_handler_is_told,
    outages_and_worker_states_are_told_in_order,
    what_is_lost_is_told,
    what_is_told_as_lost_is_lost,
)
from .answers import (
    a_cancel_is_answered_truly,
    a_pause_that_is_answered_holds,
    a_requeue_is_answered_truly,
    a_result_is_answered_truly,
    an_enqueue_is_answered_truly,
)
from .claims import (
    a_lease_is_as_long_as_its_worker_says,
    a_paused_queue_hands_out_nothing,
    nothing_is_claimed_before_its_time,
    the_first_in_line_is_claimed_first,
)
from .contents import (
    a_delay_is_as_asked,
    a_result_is_what_was_returned,
    an_error_says_what_went_wrong,
    progress_is_what_was_reported,
)
from .handling import (
    a_draining_worker_begins_nothing,
    a_job_runs_in_one_place,
    a_stopped_worker_leaves_nothing_behind,
    no_worker_breaks,
    what_begins_was_claimed,
)
from .holding import (
    a_healthy_worker_keeps_its_jobs,
    a_job_is_taken_back_only_once_its_lease_ran_out,
    a_worker_that_was_cut_off_takes_no_other_for_dead,
    only_clients_that_were_asked_cancel_and_requeue,
    only_its_holder_settles_a_run,
)
from .idling import (
    a_cancel_is_heard_at_once,
    hints_spare_the_wait,
    no_worker_idles_beside_ready_work,
    what_is_claimed_begins_at_once,
)
from .limits import (
    a_job_on_its_last_life_runs_alone,
    no_job_has_more_attempts_than_it_may,
    no_window_has_more_starts_than_the_rate,
    no_worker_runs_more_than_it_has_slots_for,
    nothing_begins_after_its_ttl,
    only_what_is_too_late_expires,
)
from .ordering import (
    a_new_record_is_as_ordered,
    nothing_acknowledged_is_lost,
    what_is_stored_was_asked_for,
    what_was_ordered_never_changes,
)
from .progress import a_lease_that_ran_out_is_noticed, everything_ends
from .records import (
    a_job_fails_only_at_its_limits,
    a_record_says_one_thing,
    a_repeated_write_is_recognised,
    a_unique_key_has_one_live_job,
    every_step_is_legal,
    no_stale_write_is_accepted,
    the_end_is_what_was_stored,
)
from .settling import a_run_is_settled_as_its_handler_ended, what_a_handler_did_is_stored_at_once
from .stopping import (
    a_handler_ends_by_its_timeout,
    a_handler_ends_with_the_grace,
    a_handler_that_lost_its_job_stops,
    no_handler_is_cut_short_without_a_reason,
)
from .telling import (
    an_event_tells_what_was_stored,
    no_step_is_told_twice,
    what_is_answered_was_told,
    what_is_stored_is_told,
)

#: A rule yields a line for each time that the history breaks it.
Rule = Callable[[SimulatedHistory], Iterator[str]]

#: A rule that needs nothing of a simulated world.
RuleOfAny = Callable[[History], Iterator[str]]

_STORE: Final[tuple[Rule, ...]] = (
    nothing_acknowledged_is_lost,
    what_is_stored_was_asked_for,
    a_new_record_is_as_ordered,
    every_step_is_legal,
    no_stale_write_is_accepted,
    a_repeated_write_is_recognised,
    what_was_ordered_never_changes,
    a_record_says_one_thing,
    a_job_fails_only_at_its_limits,
    a_unique_key_has_one_live_job,
    the_end_is_what_was_stored,
    a_paused_queue_hands_out_nothing,
    nothing_is_claimed_before_its_time,
    the_first_in_line_is_claimed_first,
    a_lease_is_as_long_as_its_worker_says,
    an_enqueue_is_answered_truly,
    a_cancel_is_answered_truly,
    a_requeue_is_answered_truly,
    a_result_is_answered_truly,
    a_pause_that_is_answered_holds,
)
_WORKERS: Final[tuple[Rule, ...]] = (
    what_begins_was_claimed,
    what_is_claimed_begins_at_once,
    no_worker_idles_beside_ready_work,
    hints_spare_the_wait,
    a_job_runs_in_one_place,
    a_handler_that_lost_its_job_stops,
    a_cancel_is_heard_at_once,
    a_handler_ends_by_its_timeout,
    a_handler_ends_with_the_grace,
    no_handler_is_cut_short_without_a_reason,
    only_its_holder_settles_a_run,
    a_run_is_settled_as_its_handler_ended,
    what_a_handler_did_is_stored_at_once,
    a_result_is_what_was_returned,
    an_error_says_what_went_wrong,
    progress_is_what_was_reported,
    a_delay_is_as_asked,
    only_clients_that_were_asked_cancel_and_requeue,
    a_job_is_taken_back_only_once_its_lease_ran_out,
    a_lease_that_ran_out_is_noticed,
    a_healthy_worker_keeps_its_jobs,
    a_worker_that_was_cut_off_takes_no_other_for_dead,
    a_draining_worker_begins_nothing,
    a_stopped_worker_leaves_nothing_behind,
    no_worker_breaks,
)
_LIMITS: Final[tuple[Rule, ...]] = (
    no_worker_runs_more_than_it_has_slots_for,
    no_window_has_more_starts_than_the_rate,
    a_job_on_its_last_life_runs_alone,
    no_job_has_more_attempts_than_it_may,
    nothing_begins_after_its_ttl,
    only_what_is_too_late_expires,
)
_EVENTS: Final[tuple[Rule, ...]] = (
    an_event_tells_what_was_stored,
    no_step_is_told_twice,
    what_is_stored_is_told,
    what_is_answered_was_told,
    every_handler_is_told,
    what_is_lost_is_told,
    what_is_told_as_lost_is_lost,
    outages_and_worker_states_are_told_in_order,
)

#: What any history is judged by, be it of a simulated world or of real processes.
ANY: Final[tuple[RuleOfAny, ...]] = (
    *(nothing_acknowledged_is_lost, everything_ends, what_is_stored_was_asked_for, an_enqueue_is_answered_truly),
    *(a_record_says_one_thing, every_step_is_legal, no_stale_write_is_accepted, what_begins_was_claimed),
    *(a_job_runs_in_one_place, a_healthy_worker_keeps_its_jobs, what_is_lost_is_told),
    *(a_run_is_settled_as_its_handler_ended, a_result_is_what_was_returned, no_job_has_more_attempts_than_it_may),
    *(no_worker_runs_more_than_it_has_slots_for, no_window_has_more_starts_than_the_rate),
    *(a_job_on_its_last_life_runs_alone, a_draining_worker_begins_nothing, a_stopped_worker_leaves_nothing_behind),
    *(no_worker_breaks, every_handler_is_told, no_step_is_told_twice, outages_and_worker_states_are_told_in_order),
)

#: What no fault can break, at any moment.
SAFETY: Final[tuple[Rule, ...]] = (*_STORE, *_WORKERS, *_LIMITS, *_EVENTS)

#: What comes true once the faults have stopped.
LIVENESS: Final[tuple[Rule, ...]] = (everything_ends,)

#: Every rule, by the chapter of the specification that it stands in.
GROUPS: Final[Mapping[str, tuple[Rule, ...]]] = MappingProxyType(
    {
        "the store": _STORE,
        "workers": (*_WORKERS, *LIVENESS),
        "limits": _LIMITS,
        "events": _EVENTS,
    }
)


#: One mistake may break many rules.  These, in this order, say best which mistake it was; the others follow.
_TELLING: Final[tuple[Rule, ...]] = (
    *(nothing_acknowledged_is_lost, a_job_is_taken_back_only_once_its_lease_ran_out, a_healthy_worker_keeps_its_jobs),
    *(a_worker_that_was_cut_off_takes_no_other_for_dead, only_its_holder_settles_a_run, no_stale_write_is_accepted),
    *(a_job_runs_in_one_place, what_begins_was_claimed, a_run_is_settled_as_its_handler_ended, every_step_is_legal),
    no_worker_breaks,
)

_ORDER: Final = tuple(dict.fromkeys((*_TELLING, *_WORKERS, *_LIMITS, *_STORE, *_EVENTS, *LIVENESS)))


def broken(history: History, *, without: Collection[Rule] = ()) -> list[str]:
    """Which rules the history breaks, and how: ``"rule_name: line"`` for each time, the most telling rules first.

    *without* names the rules that an experiment breaks on purpose.
    """
    if isinstance(history, SimulatedHistory):
        rules = [rule for rule in _ORDER if history.plan.heals or rule not in LIVENESS]
        return [f"{rule.__name__}: {line}" for rule in rules for line in rule(history)]
    return [f"{rule.__name__}: {line}" for rule in ANY if rule not in without for line in rule(history)]
