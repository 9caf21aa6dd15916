"""Each mutant can still be made, and the page tells of all of them.  That they are noticed shows ``make mutants``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from property_tests.mutants import blind
from property_tests.mutants.catalogue import every_mutant
from property_tests.mutants.mutant import Mutant

ROOT = Path(__file__).parent.parent
MUTANTS = list(every_mutant())


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.file}: {mutant.name}")
def test_a_mutant_can_be_made_and_is_python_still(mutant: Mutant):
    source = mutant.source(ROOT)
    broken = mutant.apply(source.read_text(encoding="utf-8"))
    if source.suffix == ".py":
        compile(broken, str(source), "exec")


def test_a_mutant_whose_code_has_changed_says_so():
    mutant = Mutant("two texts are one", "x.py", "a", "b")
    for text in ("no such letter here: x", "a and a"):
        with pytest.raises(LookupError, match="has changed, so change the mutant 'two texts are one'"):
            mutant.apply(text)


def test_no_two_mutants_have_the_same_name():
    assert len({(mutant.file, mutant.name) for mutant in MUTANTS}) == len(MUTANTS)


def test_the_page_tells_of_each_mutant_and_of_no_other():
    page = (ROOT / "docs" / "spec" / "mutants.rst").read_text(encoding="utf-8")
    told = re.findall(r"^   \* - (.+)\n     - ``(.+)``$", page, re.MULTILINE)
    assert told == [(mutant.name, mutant.file) for mutant in MUTANTS], "run `make mutants`, which writes the page"


def test_ten_mutants_and_more_are_by_somebody_who_has_not_seen_the_properties():
    assert len(blind.MUTANTS) >= 10
