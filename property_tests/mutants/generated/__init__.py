"""The mutants that a tool makes of the pure core: ``make mutmut``.

``made`` makes them, ``forks`` tries them, ``equivalent`` lists those that nothing can notice, and why.
"""
