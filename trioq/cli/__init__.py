"""The command line.  ``_app`` lists the commands, and each has a module of its own.

Importing this needs no extra: only running a command does.
"""

from ._main import main as main
