"""The state machine by hand: no store, no worker, no clock."""

import trioq
from trioq import lifecycle

job = trioq.Job(id="1", queue="mail", task="send", max_retries=1, backoff=trioq.Fixed(60))
job = lifecycle.stamp(job, seq=1, now=0)
now = 10

while not job.state.final:
    now = max(now, job.run_at)
    claim = lifecycle.step(job, lifecycle.Claim(worker="w", lease_until=now + 15), now)
    job = job.after(claim)
    print(f"{now:3.0f} s: {claim.event.name}, attempt {job.attempt}")

    fail = lifecycle.step(job, lifecycle.Fail("busy", lifecycle.next_retry_delay(job, roll=0)), now + 1)
    job = job.after(fail)
    print(f"{now + 1:3.0f} s: {fail.event.name}, now {job.state}")

try:
    lifecycle.step(job, lifecycle.Complete(b"1"), now + 2)
except lifecycle.IllegalStep as error:
    print(error)
