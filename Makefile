# `make demo`, `make test`: each does all set-up that it needs. `make help` lists everything.
SHELL := /bin/bash
VENV := .venv
PYTHON := $(VENV)/bin/python
ARTIFACTS := artifacts
# Stamps: the virtual environment has what the lock file of that name holds. `development` holds all of `server`.
SERVER := $(VENV)/.server
DEVELOPMENT := $(VENV)/.development
# Apart, as only `lock` and `sbom` need it.
TOOLS := $(VENV)/tools
# A module's tests stay in one process, and modules in their order: so what they share is made once, not in turns.
PARALLEL := --numprocesses logical --dist loadfile --no-loadscope-reorder

# The oldest and the newest that are supported.
PYTHONS := 3.11 3.13

# Strong models for tests and measurements, where they lie beside the checkout.
ifneq ($(wildcard ../shared/models),)
test bench: export MEDIASERVER_MODELS ?= $(abspath ../shared/models)
endif

.DEFAULT_GOAL := help
.PHONY: help install system demo demo-fleet test test-unit test-pythons test-js test-boot test-fleet test-network fuzz soak soak-clients check bench bench-isolation bench-peers docs lock lock-images sbom clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(DEVELOPMENT)  ## virtual environment in .venv, with everything in it

$(SERVER): COST := 230 MB to fetch, 0.7 GB on the disk, about a minute
$(DEVELOPMENT): COST := 350 MB to fetch, 1.3 GB on the disk, about two minutes
$(VENV)/.%: requirements/%.txt pyproject.toml deploy/dev/create-venv.sh deploy/dev/install-locked.sh
	@echo "Installing $< into $(VENV). The first time: $(COST)."
	@deploy/dev/create-venv.sh $(VENV)
	@deploy/dev/install-locked.sh $(VENV) $< --editable .
	@touch $(SERVER) $@

$(TOOLS)/.installed: requirements/tools.txt
	@echo "Installing $< into $(TOOLS). The first time: 30 MB to fetch, 100 MB on the disk."
	@deploy/dev/create-venv.sh $(TOOLS)
	@deploy/dev/install-locked.sh $(TOOLS) $<
	@touch $@

system:  ## system packages that some tests need (apt, as root or with passwordless sudo)
	deploy/dev/install-system-packages.sh

demo: $(SERVER)  ## the main job: a clip through a server, then a page to try [CLIP=path.mp4] [ENGINE=triton] [DEMO_MODELS=builtin] [DEMO_ONCE=1]
	@$(PYTHON) -m mediaserver demo $(if $(CLIP),"$(CLIP)") $(if $(ENGINE),--engine $(ENGINE)) $(if $(DEMO_MODELS),--models $(DEMO_MODELS)) $(if $(DEMO_ONCE),--once)

demo-fleet: $(DEVELOPMENT)  ## three nodes behind a real Envoy, ten clients, and keys that kill, drain and fill nodes (root, Linux) [SCRIPT='kill 1; wait 5']
	@$(PYTHON) -m tests.fleet $(if $(SCRIPT),--script "$(SCRIPT)")

test: $(DEVELOPMENT) system  ## installs system packages by apt first; then the suite, but test-boot and test-network
	$(PYTHON) -m pytest -m 'not alone and not boot and not network' $(PARALLEL)
	$(PYTHON) -m pytest -m 'alone and not network'

test-unit: $(DEVELOPMENT)  ## the fast part of the suite, for while you write; what it leaves out: tests/conftest.py
	$(PYTHON) -m pytest -m 'not slow' $(PARALLEL)

test-pythons: $(DEVELOPMENT)  ## test-unit on the oldest and the newest Python that are supported, where they are here
	deploy/dev/test-pythons.sh $(VENV) $(PYTHONS)

test-js:  ## those modules of the page that need no browser, in node 18 or newer
	node --test --test-reporter=spec web/tests/*.test.js

test-boot: $(DEVELOPMENT)  ## install into a Debian of its own, boot it, kill and hang the server (root; some minutes)
	deploy/dev/install-system-packages.sh debootstrap systemd-container
	$(PYTHON) -m pytest -m boot tests/boot

fuzz: $(DEVELOPMENT)  ## search for input that breaks or holds up a parser [TARGET=sdp_offers] [SECONDS=60, for each target] (Linux)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	$(PYTHON) -m tests.fuzz $(TARGET) $(if $(SECONDS),--seconds $(SECONDS))

test-fleet: $(DEVELOPMENT)  ## several nodes behind a real Envoy: blips, drains, nodes and fronts that die; says how long each takes
	$(PYTHON) -m pytest -s tests/fleet

test-network: $(DEVELOPMENT)  ## narrow and interrupted networks, in namespaces (root; five minutes)
	$(PYTHON) -m pytest -m network

soak: $(DEVELOPMENT)  ## clients of every kind come, go and come back for [MINUTES=30], and nothing grows
	$(PYTHON) -m tests.soak $(MINUTES)

soak-clients: $(DEVELOPMENT)  ## 2,000 clients come and go [CLIENTS=2000], and nothing of them stays
	SOAK_CLIENTS=$(or $(CLIENTS),2000) $(PYTHON) -m pytest tests/e2e/test_leaks.py

check: $(DEVELOPMENT)  ## ruff, mypy --strict, and tsc on the page where node is there
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	@if command -v npx >/dev/null; then npx --yes --package typescript@7.0.2 tsc --project web/tsconfig.json; \
	else echo "tsc skipped: no node here"; fi

bench: $(DEVELOPMENT)  ## the figures of docs/measurements.md, about a quarter of an hour
	for part in path receive inference tracking triton accuracy gateway network; do $(PYTHON) -m tests.bench.$$part || exit; done

bench-isolation: $(DEVELOPMENT)  ## what a good session keeps beside each attack, about ten minutes [PAIRS=1: ten more]
	$(PYTHON) -m tests.bench.isolation
	$(if $(PAIRS),$(PYTHON) -m tests.bench.isolation pairs)

bench-peers: $(DEVELOPMENT)  ## side by side with other servers, some minutes: MODEL=detector.onnx CLIP=path.mp4
	$(PYTHON) -m tests.bench.peers --model $(MODEL) --clip $(CLIP)

docs: $(DEVELOPMENT)  ## regenerate docs/protocol.md and its schema, docs/settings.md, and parts of docs/python.md and docs/operate.md
	$(PYTHON) -m signaling.protocol_document > docs/protocol.md
	$(PYTHON) -m signaling.protocol_schema > docs/protocol.schema.json
	$(PYTHON) -m mediaserver.settings.document > docs/settings.md
	$(PYTHON) -m mediaserver.client.reference docs/python.md
	$(PYTHON) -m mediaserver.telemetry.document docs/operate.md

lock: $(TOOLS)/.installed  ## requirements/ anew, to fit pyproject.toml; with the newest versions: [UPGRADE=1]
	PATH="$(abspath $(TOOLS))/bin:$$PATH" deploy/dev/lock.sh $(if $(UPGRADE),--upgrade)

lock-images:  ## the digests of base images, into deploy/: where their registries can be reached
	deploy/dev/lock-images.sh deploy/Dockerfile deploy/compose.yaml

sbom: $(TOOLS)/.installed  ## artifacts/sbom.cdx.json: what the server is made of, in CycloneDX
	@mkdir -p $(ARTIFACTS)
	$(TOOLS)/bin/python -W ignore::UserWarning -m cyclonedx_py requirements requirements/server.txt \
		--pyproject pyproject.toml --output-reproducible --output-file $(ARTIFACTS)/sbom.cdx.json

clean:  ## remove everything that was made here
	rm -rf $(VENV) $(ARTIFACTS) .pytest_cache .mypy_cache .ruff_cache
