"""A whole world of clients, workers and faults in one ``trio.run``: simulated, and repeatable to the last step.

``plan`` says what is to happen, and ``draw`` draws a plan from a seed.  ``world`` runs it, with real workers over a
real backend: ``clients`` use the store, ``supervisor`` keeps workers running, and ``nemesis`` breaks them.  ``network``
lies between all of these and the store, which is in ``server``.  ``processes`` can be killed.

``recorder`` notes what happens, ``history`` says in which values, ``rules`` judges it, and ``report`` prints it in the
``phrases`` for each entry.  ``shrink`` makes a plan that breaks a rule smaller.  ``seeds`` does all of that for a seed.
"""
