"""A whole world of clients, workers and faults in one ``trio.run``: simulated, and repeatable to the last step.

``plan`` says what is to happen, and ``draw`` draws it from a seed.  ``world`` lets it happen to real workers over a
real backend: ``people`` use it, ``staff`` keeps its workers running, ``nemesis`` breaks them, ``network`` lies between
all of them and the store, and ``processes`` can be killed.  ``history`` is what did happen, ``rules`` judges it,
``story`` tells it, and ``shrink`` makes a plan that breaks a rule smaller.  ``seeds`` does all of that for a seed.
"""
