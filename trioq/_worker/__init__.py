"""The worker: stages that own their channels.  ``pipeline`` wires them; each stage has a file of its own.

::

    backend -> dequeue -> limiter -> handler -> settle -> backend
                 watch      renew      sweep      prune

Batches travel from left to right.  Shutdown travels the same way: each stage ends when the channel before it is
closed and it has handed on what it had.
"""
