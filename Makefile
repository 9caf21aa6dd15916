# Each target sets up what it needs, in .venv, and again only when pyproject.toml has changed.
# Two to know: `make demo` and `make test`.  `make check` is all else that must hold.

VENV := .venv
BIN := $(VENV)/bin
DEMO_ARGS ?=
TEST_ARGS ?=
PROCESSES ?= 4
BUDGET := 240
MINUTES ?= 20
FAULTS ?=
BENCH ?=
MUTANT ?=

export HYPOTHESIS_PROFILE ?= dev

# What pytest and Python compile is kept: four processes and all that they start would compile it again.
unexport PYTHONDONTWRITEBYTECODE

# The first of these names that runs and will do.  A name alone proves nothing: version managers leave dead ones.
NAMES := python3 python3.14 python3.13 python3.12 python3.11 python
WILL_DO := -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))'
PYTHON ?= $(shell for name in $(NAMES); do $$name $(WILL_DO) >/dev/null 2>&1 && echo $$name && break; done)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:  # half a virtual environment is none
.PHONY: help demo test test-all newest soak faults faults-full bench mutants mutmut check lint format words async types typing imports docs clean

help:
	@echo "make demo     watch real jobs go through a durable queue (DEMO_ARGS='--help' for its options)"
	@echo "make test     run the tests that each change needs (TEST_ARGS='-k lease', PROCESSES=0)"
	@echo "make test-all run all tests (HYPOTHESIS_PROFILE=ci)"
	@echo "make newest   run a sample of them on the newest Python that there is"
	@echo "make check    all of: lint format words async types typing imports docs"
	@echo "make soak     simulate new worlds, and count them (MINUTES=20)"
	@echo "make faults   break real processes and servers for a quarter of an hour, and count (FAULTS='kill redis')"
	@echo "make bench    measure trioq and its peers side by side (BENCH='--quick', BENCH='bullmq drain')"
	@echo "make mutants  break trioq on purpose, one fault at a time, and see what notices it (MUTANT='lease')"
	@echo "make mutmut   the same with each change that a tool can make to the pure core (MUTANT='delay')"
	@echo "make clean    remove the virtual environment and everything that was built"

demo: $(VENV)/.has-cli
	$(BIN)/trioq demo $(DEMO_ARGS)

# More processes than cores, since most of the time is waiting; one test at a time, since some take a thousand times as
# long as others.
PYTEST = $(BIN)/python -m pytest -n $(PROCESSES) --dist load --maxschedchunk 1

test: $(VENV)/.has-test
	TEST_BUDGET=$(BUDGET) $(PYTEST) -m "not slow" $(TEST_ARGS)

test-all: $(VENV)/.has-test
	$(PYTEST) $(TEST_ARGS)

# A sample of a minute on the newest Python that there is: another virtual environment, beside the usual one.
NEWEST ?= $(shell for name in python3.14 python3.13 $(wildcard $(HOME)/.pyenv/versions/3.1[34]*/bin/python3); do \
	$$name $(WILL_DO) >/dev/null 2>&1 && echo $$name && break; done)
newest:
	@test -n "$(NEWEST)" || { echo "no Python 3.13 or newer was found. Name one: make newest NEWEST=/path/to/python3.14" >&2; exit 1; }
	$(MAKE) VENV=.venv-newest PYTHON=$(NEWEST) test TEST_ARGS="tests/core tests/api tests/worker tests/sandbox \
		tests/backends/test_sqlite.py property_tests/test_lifecycle.py property_tests/test_backend_matches_model.py"

soak: $(VENV)/.has-test
	$(BIN)/python -m property_tests.soak --minutes $(MINUTES)

# A sample of every experiment, added to the sums in docs/faults; and until each has been run often enough: hours, in
# as many pieces as you like.  Words pick a few: those whose name, with its store, has all of them.
faults: $(VENV)/.has-test
	$(BIN)/python -m property_tests.faults $(FAULTS)

faults-full: $(VENV)/.has-test
	$(BIN)/python -m property_tests.faults --full $(FAULTS)

# An hour, and it writes the page of docs/benchmarks, unless it is a quick run or words pick a few.  The peers come from
# the package registries, each into an environment of its own; those that can't be had are left out.
bench: $(VENV)/.has-bench
	$(BIN)/python -m benchmarks $(BENCH)

# Both write their page of docs/spec, unless words pick a few: those whose sentence, file or lines have one of them.
mutants: $(VENV)/.has-test
	$(BIN)/python -m property_tests.mutants $(or $(MUTANT),--write)

mutmut: $(VENV)/.has-mutmut
	$(BIN)/python -m property_tests.mutants.generated $(or $(MUTANT),--write)

check: lint format words async types typing imports docs

# --- each check ---------------------------------------------------------------------------------

lint: $(VENV)/.has-dev
	$(BIN)/ruff check

format: $(VENV)/.has-dev
	$(BIN)/ruff format --check

# A sentence names its actor: a worker, a caller, another process.  This number may only fall.
NAMELESS = 0
words:
	@grep -rwniE --include='*.py' --include='*.sql' --include='*.lua' 'who(m)?ever|(some|no|any|every)body' trioq | \
		awk '{ print } END { if (NR > $(NAMELESS)) { \
			print NR " lines have no actor, more than $(NAMELESS): name the worker, the caller, the process"; exit 1 } }'

# What ruff's ASYNC rules let pass, such as an unshielded await in a finally.  It reads no folders and no pyproject.toml,
# and takes most of a second for a file: so only trioq/ is read, where it has async code, by two processes.
# ASYNC9 wants a checkpoint on every path of private functions, too; ASYNC114 wants every startable function listed here.
async: $(VENV)/.has-dev
	grep -rlE --include='*.py' 'async (def|with|for)' trioq | \
		xargs -P 2 -n 20 $(BIN)/flake8-async --disable=ASYNC9,ASYNC114

types: $(VENV)/.has-dev
	$(BIN)/mypy

# What users see.  Cases that must be refused are `# pyright: ignore[rule]`: one that pyright accepts is an error.
typing: $(VENV)/.has-dev
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright --pythonpath $(BIN)/python

imports: $(VENV)/.has-test
	$(BIN)/lint-imports --no-logo

docs: $(VENV)/.has-dev
	$(BIN)/python -m sphinx -n -W --keep-going -q -b html docs docs/_build/html

# --- set-up -------------------------------------------------------------------------------------

# $(VENV)/.has-EXTRA: this extra is installed, as pyproject.toml asks for it now.
$(VENV)/.has-%: pyproject.toml trioq/_version.py | $(VENV)/pyvenv.cfg
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@

$(VENV)/pyvenv.cfg:
	@$(or $(PYTHON),false) $(WILL_DO) >/dev/null 2>&1 || { \
		echo "trioq needs Python 3.11 or later, with its venv module. Tried: $(or $(PYTHON),$(NAMES))" >&2; \
		echo "Name one that will do: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; \
		exit 1; }
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) .venv-newest build dist docs/_build .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
