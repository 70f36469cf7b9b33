# `make demo` and `make test` do all set-up by themselves; PYTHON names the interpreter to stand on.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup test lint demo docs clean

ROS_SOURCED := $(filter-out $(CURDIR)/%,$(subst :, ,$(AMENT_PREFIX_PATH)))
PYTHON_3_11 := $(if $(ROS_SOURCED),,$(shell command -v python3.11))
PYTHON ?= $(or $(PYTHON_3_11),python3)

help:
	@echo "make demo [SOURCE=...] [TRUTH=...]   run the node on a virtual camera, a video, a folder or a bag"
	@echo "make test                check everything"
	@echo "make lint                style, types and layers only"
	@echo "make docs                build the documents as a site in build/site"
	@echo "make setup               only make .venv, install/ and build/env.sh"
	@echo "make clean               remove what the above made"

setup:
	@command -v $(PYTHON) >/dev/null || { echo "make setup: no $(PYTHON) on PATH; \
	expected a Python 3; apt install python3.11 python3.11-venv" >&2; exit 1; }
	@$(PYTHON) scripts/set_up.py

# All checks run, whatever the first one finds.
# mypy must find the checkout's modules, not the installed links to them.
lint: setup
	@. build/env.sh; bad=0; set -x; \
	ruff check . || bad=1; ruff format --check . || bad=1; \
	env -u PYTHONPATH mypy || bad=1; lint-imports --no-logo || bad=1; exit $$bad

# pytest comes last, so that the last line is the verdict
test: lint
	@. build/env.sh && python -m pytest $(PYTEST_ARGS)

demo: setup
	@. build/env.sh && proxia demo $(if $(SOURCE),--source "$(SOURCE)") $(if $(TRUTH),--truth "$(TRUTH)")

# Serve it for its search: python -m http.server -d build/site
docs: setup
	@. build/env.sh && NO_MKDOCS_2_WARNING=1 python -m mkdocs build --strict --quiet && echo build/site/index.html

clean:
	rm -rf .venv build install log
