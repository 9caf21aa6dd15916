"""``python -m property_tests.mutants``."""

from .runner import main

main()
