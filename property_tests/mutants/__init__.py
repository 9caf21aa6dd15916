"""Deliberate faults, and what notices them: ``make mutants``.

``core``, ``memory``, ``sqlite``, ``worker`` and ``blind`` list the mutants of one part each, ``catalogue`` names the
parts and what is asked of them, ``catchers`` asks, ``runner`` breaks a copy of the tree again and again, ``report``
writes the tables of the docs.  ``generated`` does the same with the mutants that a tool makes.  No property lives here.
"""
