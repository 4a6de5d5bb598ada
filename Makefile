# Every target installs first if that is needed. `make` alone lists them.

SHELL := /bin/bash
# kept bytecode takes a third off the start of the tests
export PYTHONDONTWRITEBYTECODE :=
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
CHAOS := PYTHONPATH=tests $(BIN)/python -m chaos
FUZZ := PYTHONPATH=.:tests:tests/unit/api:tests/unit/gpu_ops $(BIN)/python -m

.DEFAULT_GOAL := help
.PHONY: help install demo up test test-gpu test-all chaos chaos-report bench bench-short check audit docs format train-cars train-faces gallery shots fuzz fuzz-api licences clean distclean

help: ## list the targets
	@echo "editq: an asynchronous job queue for semantic image editing"; echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

install: ## make .venv and install the pinned dependencies (EDITQ_TORCH_INDEX chooses torch's index)
	@bash deploy/install.sh

demo: install ## edit a picture through the whole service, from nothing; writes demo-out/
	@$(BIN)/python -m editq.demo

up: install ## start the service on this machine and print its address; Ctrl-C stops it
	@$(BIN)/python -m editq.cli up

test: install ## all tests that take less than about ten seconds each
	$(PYTEST) -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"

test-gpu: ## what only a GPU can prove, with a python3 that has torch for it, lpips and safetensors
	PYTHONPATH=. $(or $(GPU_PYTHON),python3) -m pytest tests/gpu -q -p no:cacheprovider --confcutdir tests/gpu

test-all: install ## all tests, the slow ones too
	$(PYTEST)

chaos: install ## break every part on purpose, in short; FAULT=kill RUNS=200 (or chaos-kill RUNS=200): the long form
	$(CHAOS) run $(FAULT) $(if $(RUNS),--runs $(RUNS)) $(if $(SEED),--seed $(SEED))

chaos-report: install ## print the figures of the long runs, and put them into docs/reliability.md
	$(CHAOS) report --write

chaos-%: install
	$(CHAOS) run $* $(if $(RUNS),--runs $(RUNS)) $(if $(SEED),--seed $(SEED))

bench: install ## all benchmarks that run here, within 25 minutes: a table, and bench-out/results.json
	PYTHONPATH=.:tests $(BIN)/python -m benchmarks $(BENCH)

bench-short: install ## the same in short, to see that they run; BENCH="--only legs" of one alone
	PYTHONPATH=.:tests $(BIN)/python -m benchmarks --short $(BENCH)

fuzz: install ## inputs made by dice at every entry, RUNS (100,000) each, then 1,000 through the sandbox: some hours
	$(FUZZ) fuzz --runs $(or $(RUNS),100000)
	$(FUZZ) fuzz --sandbox --runs 1000

fuzz-api: install ## schemathesis over the whole OpenAPI document, EXAMPLES (200) of each operation: half an hour; goes on where it ended
	$(FUZZ) fuzz.openapi --examples $(or $(EXAMPLES),200)

check: install ## lint, format, types, import rules and the quick unit tests: under a minute
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST) -q -n 2 -m "not slow and not thorough" tests/unit

audit: install ## offline: bandit, secrets in the clone, pins and what is installed, licences
	$(BIN)/ruff check .
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml api docs editq examples gpu_ops sandbox storage workers
	$(PYTEST) -q tests/unit/storage/test_no_secrets.py
	$(BIN)/python -m pip check
	$(BIN)/python docs/licences.py --check

docs: install ## the documentation as a site, in build/site; a link that leads nowhere is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

format: install ## let ruff put the code into shape
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

train-cars: install ## make the bundled model from nothing in training-out/cars: several hours; goes on where it ended
	$(BIN)/python -m gpu_ops.training.domain cars training-out/cars

train-faces: install ## the same of the second bundled model, in training-out/faces
	$(BIN)/python -m gpu_ops.training.domain faces training-out/faces

gallery: install ## draw docs/gallery.md and its pictures from the bundled models: some minutes for each
	$(BIN)/python -m gpu_ops.gallery

shots: install ## take the studio's pictures in docs/ anew, of a service started for them: some minutes
	$(BIN)/python docs/studio_shots.py

licences: install ## write docs/licences.md: what each pinned package is licensed under
	$(BIN)/python docs/licences.py

clean: ## remove caches and the demo's pictures; keeps .venv and the data in .editq
	rm -rf demo-out bench-out build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean ## also remove .venv and all data of the embedded service
	rm -rf .venv .editq *.egg-info
