# `make demo` and `make test` do all set-up by themselves; PYTHON names the interpreter to stand on.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo lint types test test-fast coverage docs hooks pre-commit lint-venv need-python clean

ROS_SOURCED := $(filter-out $(CURDIR)/%,$(subst :, ,$(AMENT_PREFIX_PATH)))
PYTHON_3_11 := $(if $(ROS_SOURCED),,$(shell command -v python3.11))
PYTHON ?= $(or $(PYTHON_3_11),python3)
LINT := build/lint-venv/bin
TWO_AT_A_TIME := OMP_NUM_THREADS=1 python -m pytest -n 2 --dist loadfile

# Targets with `##` behind them are listed, below the last `##@` above them.
help:
	@awk 'BEGIN { FS = ":.*## " } \
	/^##@ / { printf "%s%s\n", separator, substr($$0, 5); separator = "\n" } \
	/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

##@ Use
demo: setup ## run the node on a virtual camera; SOURCE= a video, folder or bag, TRUTH= its masks
	@. build/env.sh && proxia demo $(if $(SOURCE),--source "$(SOURCE)") $(if $(TRUTH),--truth "$(TRUTH)")

setup: need-python ## only make .venv, install/ and build/env.sh
	@$(PYTHON) scripts/set_up.py

##@ Develop
hooks: lint-venv ## have git run the checks of .pre-commit-config.yaml before every commit
	@$(LINT)/pre-commit install

pre-commit: lint-venv ## run those checks on all files now; most of them repair what they find
	@$(LINT)/pre-commit run --all-files

##@ Check
# pytest comes last, so that the last line is the verdict. Test files run in two processes, with one
# thread each for torch: more of them wait for each other on a small machine.
test: lint types ## check everything
	@. build/env.sh && $(TWO_AT_A_TIME) $(PYTEST_ARGS)

test-fast: setup ## all tests but those marked slow
	@. build/env.sh && $(TWO_AT_A_TIME) -m "not slow" $(PYTEST_ARGS)

# All checks run, whatever the first one finds. No torch, no ROS: seconds after the first time.
lint: lint-venv ## style, spelling and layers
	@bad=0; set -x; \
	$(LINT)/ruff check . || bad=1; $(LINT)/ruff format --check . || bad=1; \
	$(LINT)/codespell || bad=1; env -u PYTHONPATH $(LINT)/lint-imports --no-logo || bad=1; exit $$bad

# mypy needs the types of torch and numpy, so .venv; without PYTHONPATH it finds the checkout's
# modules, not the installed links to them.
types: setup ## types (mypy)
	@. build/env.sh; set -x; env -u PYTHONPATH mypy

coverage: setup ## all tests with coverage: a table, and pages in build/coverage/html
	@. build/env.sh && python -m pytest --cov --cov-report=term:skip-covered --cov-report=html $(PYTEST_ARGS)

# Serve it for its search: python -m http.server -d build/site
docs: setup ## build the documents as a site in build/site
	@. build/env.sh && NO_MKDOCS_2_WARNING=1 python -m mkdocs build --strict --quiet && echo build/site/index.html

##@ Clean
clean: ## remove what the above made
	rm -rf .venv build install log

lint-venv: need-python
	@$(PYTHON) scripts/set_up.py lint

need-python:
	@command -v $(PYTHON) >/dev/null || { echo "make: no $(PYTHON) on PATH; \
	expected a Python 3; apt install python3.11 python3.11-venv" >&2; exit 1; }
