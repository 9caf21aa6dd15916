"""What must happen in the end."""

from __future__ import annotations

from tests.simulation.examples import shows
from tests.simulation.made_history import LEASE, MadeHistory
from trioq._core.lifecycle import Reclaim
from trioq.testing.simulation import rules
from trioq.testing.simulation.history import History


@shows(rules.everything_ends)
def a_job_is_left(made: MadeHistory, wrong: bool) -> None:
    made.enqueue("j1")
    if not wrong:
        made.run("w1.1", "j1")


@shows(rules.everything_ends)
def a_client_waits_for_ever(made: MadeHistory, wrong: bool) -> History:
    return made.history(drained=not wrong)


@shows(rules.a_lease_that_ran_out_is_noticed)
def no_worker_sweeps(made: MadeHistory, wrong: bool) -> None:
    made.at(20).enqueue("j1").take("w1.1", "j1").at(21).die("w1.1").at(20 + LEASE + 3)
    if not wrong:
        made.store("w2.1", "j1", Reclaim())
    made.at(60).enqueue("j2")
