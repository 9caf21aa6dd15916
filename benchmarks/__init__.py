"""trioq beside its peers, measured.  ``python -m benchmarks`` runs them; nothing of trioq imports from here."""
