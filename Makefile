# Every target sets up what it needs in .venv by itself, from requirements/*.txt; that takes no time when there is nothing to do.
.NOTPARALLEL:
.PHONY: help run clean-run check test test-all bench setup setup-dev requirements

python := .venv/bin/python
export PYTHON

help:
	@echo 'make run        reconcile examples/workflows and wait; its state is in .run'
	@echo 'make clean-run  forget that state'
	@echo 'make check      formatting, lint, types, import rules'
	@echo 'make test       the gates, and the tests'
	@echo 'make test-all   the gates, and all tests, the slow ones too'
	@echo 'make bench      the benchmarks: aim and figure side by side'

setup:
	@requirements/install run

setup-dev:
	@requirements/install dev

run: setup
	@examples/run

clean-run:
	@rm -rf .run

check: setup-dev
	$(python) -m ruff format --check .
	$(python) -m ruff check .
	$(python) -m mypy
	@$(python) -c 'from importlinter.cli import lint_imports_command as check; check()'

test: check
	@tests/run

test-all: export TYOW_FULL = 1
test-all: check
	$(python) -m pytest
	@tests/javascript/run

bench: setup-dev
	$(python) -m tests.benchmarks

requirements: setup-dev
	@requirements/compile
