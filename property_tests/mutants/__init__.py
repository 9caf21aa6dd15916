"""Deliberate faults, and what notices them: ``make mutants``.

``core``, ``memory``, ``sqlite``, ``redis``, ``postgres``, ``servers``, ``worker`` and ``blind`` list the mutants of one
part each; ``in_python`` and ``in_text`` make them.  ``catalogue`` says which tests must notice them; ``catchers`` runs
those, each ``alone``.  ``runner`` breaks copies of the tree, ``report`` writes the page.  ``generated`` does
the same with mutants that a tool makes.  No property lives here.
"""
