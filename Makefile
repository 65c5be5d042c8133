# make demo: from nothing to a report. make test, make lint: what a change has to pass. `make help` lists everything.

PYTHON ?= python3
BIN := .venv/bin
SNAKE_FILES := Snakefile workflow/rules
PYTHON_FILES := $(wildcard src tests bench workflow/scripts)

.PHONY: help demo test test-slurm lint format config lock
help:
	@echo "make demo    install, render a demo collection, run everything on it"
	@echo "make venv    install into .venv only"
	@echo "make test    unit tests and a run on a tiny collection"
	@echo "make test-kills  runs killed at many moments (ten minutes)"
	@echo "make test-slurm  the whole workflow on a Slurm of its own, half an hour (root, slurm-wlm, munge)"
	@echo "make lint    format, rules of the house, layers of the rooms, types"
	@echo "make format  bring the code into form"
	@echo "make config  write config.yaml, docs/config.md and the schema for editors anew from src/bow2cnn/config"
	@echo "make lock    renew requirements.txt from requirements.in and pyproject.toml"

# The environment. Done anew whenever the lock changes.
.PHONY: venv
venv: .venv/complete
.venv/complete: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("bow2cnn needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# The photos of the demo, rendered by the project itself.
DEMO := demo-photos
$(DEMO)/demo.json: | .venv/complete
	$(BIN)/python -m bow2cnn_demo $(DEMO)

demo: .venv/complete $(DEMO)/demo.json
	$(BIN)/snakemake --cores all
	@$(BIN)/python -m bow2cnn summary results/demo

# Arguments for pytest, and the number of processes: make test ARGS="-k index" WORKERS=1
WORKERS ?= 2
test: .venv/complete
	$(BIN)/python -m pytest -m "not long" -n $(WORKERS) --dist worksteal $(ARGS)

.PHONY: test-kills
test-kills: .venv/complete
	$(BIN)/python -m pytest -m long tests/workflow/test_kills.py

# Cancelled jobs, lost nodes and the rest of a cluster's life, on a Slurm that the tests start and end; the demo on it too, without which
# it takes ten minutes: make test-slurm ARGS='-m "not long"'
test-slurm: .venv/complete
	$(BIN)/python -m pytest --slurm tests/slurm $(ARGS)

lint: .venv/complete
	$(BIN)/ruff check $(PYTHON_FILES)
	$(BIN)/ruff format --check $(PYTHON_FILES)
	$(BIN)/snakefmt --check $(SNAKE_FILES)
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy --no-error-summary
	$(BIN)/snakemake --lint --configfile tests/configs/lint.yaml

format: .venv/complete
	$(BIN)/ruff check --fix $(PYTHON_FILES)
	$(BIN)/ruff format $(PYTHON_FILES)
	$(BIN)/snakefmt $(SNAKE_FILES)

config: .venv/complete
	$(BIN)/python -m bow2cnn.config.generate

# The kind of torch (+cpu, +cu) is the machine's business, not the lock's.
lock: .venv/complete
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --upgrade --allow-unsafe --strip-extras --no-annotate --no-header \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --all-extras --output-file requirements.new pyproject.toml
	{ echo '# Every package, pinned. Made from requirements.in and pyproject.toml by `make lock`; `make` installs it into .venv.'; \
		sed 's/+[a-z0-9]*$$//' requirements.new; } > requirements.txt
	rm requirements.new
