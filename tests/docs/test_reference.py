"""The reference leaves nothing out, and pages name files and options that there are."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import trioq
from trioq._exports import PUBLIC

ROOT = Path(__file__).parent.parent.parent
PAGES = {path: path.read_text(encoding="utf-8") for path in (ROOT / "docs").rglob("*.rst")}
GUIDES = {path: path.read_text(encoding="utf-8") for path in ROOT.glob("*.md")}
REFERENCE = "\n".join(text for path, text in PAGES.items() if path.parent.name == "reference")


@pytest.mark.parametrize("module", PUBLIC)
def test_the_reference_has_every_public_name(module: str):
    namespace = vars(importlib.import_module(module))
    public = {
        name
        for name, value in namespace.items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module
    }
    documented = set(re.findall(rf"\b{re.escape(module)}\.(\w+)", REFERENCE))
    wholesale = f".. automodule:: {module}\n   :members:" in REFERENCE
    assert wholesale or public <= documented, public - documented


def test_the_reference_has_every_option():
    assert set(re.findall(r"\* - ``(\w+)``", REFERENCE)) >= set(trioq.Options.__annotations__)


def test_every_file_and_folder_that_a_page_names_exists():
    found = 0
    for page, text in (PAGES | GUIDES).items():
        for name in re.findall(r"`((?:trioq|tests|property_tests|benchmarks|docs)/[\w/.]*)`", text):
            if name.startswith("docs/_build"):
                continue  # made by `make docs`
            found += 1
            assert (ROOT / name).exists(), f"{page.name} names {name}"
    assert found > 50


def test_every_function_and_class_of_the_tour_exists():
    tour = PAGES[ROOT / "docs" / "internals" / "life_of_a_job.rst"]
    names = re.findall(r"``((?:Bound|Queue|Worker|WorkerRun|ActiveJob|Signature|JobHandle|run_)[\w.]*)``", tour)
    assert names
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "trioq").rglob("*.py"))
    for name in names:
        for part in name.split("."):
            assert re.search(rf"\b(class|def) {part}\b|\bself\.{part}\b", code), name
