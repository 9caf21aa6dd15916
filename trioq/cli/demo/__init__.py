"""``trioq demo``: a small application on a durable queue, which is shown at work.

``tasks`` is the application, ``flow`` runs it, ``sources`` finds its input, ``progress`` and ``report`` show it.
"""
