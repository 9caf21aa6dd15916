"""``trioq demo``: a small application on a durable queue, and a look at it while it works.

``tasks`` is the application, ``flow`` runs it, ``sources`` finds its input, ``progress`` and ``report`` show it.
"""
