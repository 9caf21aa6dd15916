"""A whole world of clients, workers and faults in one ``trio.run``: simulated, and repeatable to the last step.

``plan`` says what is to happen, ``world`` lets it happen to real workers over a real backend, ``history`` is what
did happen, ``rules`` judges it, ``story`` tells it, and ``shrink`` makes a plan that breaks a rule smaller.
"""
