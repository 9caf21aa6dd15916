"""What an experiment is: a trial, what is judged, on which stores, how often, and the bars for what it measures."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

import attrs

from trioq.testing.simulation.history import STORE, Froze, History, Struck
from trioq.testing.simulation.rules import Rule, broken

from .history import acknowledged
from .processes import ForkServer
from .result import Result
from .stores.store import Store
from .trial import Trial, open_trial


@attrs.frozen
class Bar:
    """The most that a quantile of something measured may be; or the least."""

    measured: str
    share: float
    most: float

    def __str__(self) -> str:
        return f"{quantile_name(self.share)} of {self.measured} at most {self.most:g}"

    def holds(self, result: Result) -> bool:
        """Whether the result is within it; where nothing was measured it is not."""
        samples = result.samples.get(self.measured)
        return samples is not None and len(samples) > 0 and samples.quantile(self.share) <= self.most


def quantile_name(share: float) -> str:
    """As the page calls it."""
    return {0.5: "p50", 1.0: "max"}.get(share, f"p{share * 100:g}")


@attrs.frozen
class Bench:
    """What a trial works with."""

    fork_server: ForkServer
    store: Store
    number: int  #: which trial this is, of all that are run at once
    quick: bool = False  #: whether it should be over soon, for ``make test``

    def trial(self) -> AbstractAsyncContextManager[Trial]:
        """Room for processes, on the store."""
        return open_trial(self.fork_server, self.store)


Run = Callable[[Bench], Awaitable[Result]]


@attrs.frozen(kw_only=True)
class Experiment:
    """Something that is done to real processes on a real store."""

    run: Run
    promise: str  #: what must hold, in words
    stores: tuple[str, ...]
    sample: int  #: so many trials are a sample
    goal: int  #: so many trials are enough
    at_once: int = 4  #: so many trials run at the same time, on all stores together
    alone: bool = False  #: whether each trial needs a store for itself, because it breaks that
    bars: tuple[Bar, ...] = ()

    @property
    def name(self) -> str:
        """As the page calls it."""
        return self.run.__name__.replace("_", " ")

    @property
    def told(self) -> str:
        """What is done: a sentence, and maybe more."""
        return inspect.getdoc(self.run) or ""

    def missed(self, result: Result) -> list[str]:
        """Which promises the result breaks."""
        missed = [f"{result.violations} violations"] if result.violations else []
        return missed + [str(bar) for bar in self.bars if not bar.holds(result)]


#: All of them, in the order in which the page shows them.
EXPERIMENTS: Final[list[Experiment]] = []


def experiment(**details: object) -> Callable[[Run], Experiment]:
    """Make a function an experiment: it runs one trial, its docstring says what is done, and its name is the name."""

    def make(run: Run) -> Experiment:
        made = Experiment(run=run, **details)  # type: ignore[arg-type]
        EXPERIMENTS.append(made)
        return made

    return make


def judge(history: History, *, without: tuple[Rule, ...] = ()) -> Result:
    """What the rules say of one trial, all but those that it breaks on purpose."""
    struck = [(entry.by, str(entry.fault)) for entry in history.all(Struck)]
    struck += [(entry.by, "frozen") for entry in history.all(Froze)]
    done = Result(
        trials=1,
        faults=len(struck),
        jobs=len(acknowledged(history.entries)),
        counts=Counter(f"processes {how}" for by, how in struck if by != STORE),
    )
    return done + Result.wrong(broken(history, without=without))
