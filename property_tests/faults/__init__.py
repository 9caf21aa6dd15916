"""Real processes on real servers, broken on purpose, judged by what they noted: ``python -m property_tests.faults``.

Nothing here is part of trioq.  ``trial`` starts the processes of one trial, which note in its ``journal`` what happens;
the rules of `trioq.testing.simulation` judge that.  ``experiments`` break things, and ``page`` writes the results into
``docs/faults``.
"""
