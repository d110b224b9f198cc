# `make demo`, `make test`: each does all set-up that it needs. `make help` lists everything.
SHELL := /bin/bash
VENV := .venv
PYTHON := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
ARTIFACTS := artifacts

# Strong models for tests and measurements, where they lie beside the checkout.
ifneq ($(wildcard ../shared/models),)
test bench: export MEDIASERVER_MODELS ?= $(abspath ../shared/models)
endif

.DEFAULT_GOAL := help
.PHONY: help install system demo test test-js test-boot check bench docs clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(INSTALLED)  ## virtual environment in .venv, with everything in it

$(INSTALLED): pyproject.toml deploy/dev/create-venv.sh
	deploy/dev/create-venv.sh $(VENV)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --editable '.[test,check]'
	@touch $@

system:  ## system packages that some tests need (apt, as root or with passwordless sudo)
	deploy/dev/install-system-packages.sh

demo: $(INSTALLED)  ## the main job: a clip through a server, then a page to try [CLIP=path.mp4] [ENGINE=triton] [DEMO_ONCE=1]
	@$(PYTHON) -m mediaserver demo $(if $(CLIP),"$(CLIP)") $(if $(ENGINE),--engine $(ENGINE)) $(if $(DEMO_ONCE),--once)

test: $(INSTALLED) system  ## the suite, but test-boot; what cannot run here is skipped with its reason
	$(PYTHON) -m pytest

test-js:  ## those modules of the page that need no browser, in node 18 or newer
	node --test --test-reporter=spec web/tests/*.test.js

test-boot: $(INSTALLED)  ## install into a Debian of its own, boot it, kill and hang the server (root; some minutes)
	deploy/dev/install-system-packages.sh debootstrap systemd-container
	$(PYTHON) -m pytest -m boot tests/boot

check: $(INSTALLED)  ## ruff, mypy --strict, and tsc on the page where node is there
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	@if command -v npx >/dev/null; then npx --yes --package typescript@7 tsc --project web/tsconfig.json; \
	else echo "tsc skipped: no node here"; fi

bench: $(INSTALLED)  ## the figures of docs/measurements.md, about a quarter of an hour
	for part in path receive inference triton accuracy gateway; do $(PYTHON) -m tests.bench.$$part || exit; done

docs: $(INSTALLED)  ## regenerate what is generated: docs/protocol.md, docs/settings.md
	$(PYTHON) -m signaling.protocol_document > docs/protocol.md
	$(PYTHON) -m mediaserver.settings.document > docs/settings.md

clean:  ## remove everything that was made here
	rm -rf $(VENV) $(ARTIFACTS) .pytest_cache .mypy_cache .ruff_cache
