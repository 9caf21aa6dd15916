"""The pages say what was run: the matrix is that of the stored sums, and each line for operators has its experiment."""

from __future__ import annotations

import re

from property_tests.faults import experiments  # noqa: F401  fills EXPERIMENTS
from property_tests.faults.experiment import EXPERIMENTS
from property_tests.faults.page import label, page
from property_tests.faults.totals import FOLDER, stored_totals


def test_the_committed_matrix_is_that_of_the_sums():
    committed = (FOLDER / "matrix.rst").read_text(encoding="utf-8")
    assert committed == page(stored_totals(), EXPERIMENTS), "run `python -m property_tests.faults --page`"


def test_the_page_and_its_data_stay_small():
    page, data = ((FOLDER / name).read_text(encoding="utf-8") for name in ("matrix.rst", "totals.jsonl"))
    assert len(page.splitlines()) <= 300
    assert len(data.splitlines()) <= sum(len(each.stores) for each in EXPERIMENTS)


def test_each_line_for_operators_names_its_experiment_and_none_is_left_out():
    text = (FOLDER / "index.rst").read_text(encoding="utf-8")
    assert set(re.findall(r":ref:`[^<`]+ <([^>]+)>`", text)) == {label(each) for each in EXPERIMENTS}
    rows = re.findall(r"^   \* - .*?(?=^   \* - |^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    assert all(":ref:" in row or row.startswith("   * - when") for row in rows)
