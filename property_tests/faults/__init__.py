"""Real processes on real servers, broken on purpose, judged by what they noted: ``python -m property_tests.faults``.

Nothing here is part of trioq.  ``trial`` starts the processes of one trial, ``history`` is what they noted, ``rules``
judge it, ``experiments`` break things, and ``page`` writes what came of it into ``docs/faults``.
"""
