# Everything a newcomer types. Each target installs what it needs into a local .venv and nothing elsewhere.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
WORKERS ?= 4
NPM    := $(shell command -v npm 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help run dev test t coverage lint docs bench client wheel matrix lock clean

help:  ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 12

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; try: make PYTHON=python3.11 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

client/dist/index.html: $(shell find client -type f -not -path '*/node_modules/*' -not -path '*/dist/*' 2>/dev/null)
ifeq ($(NPM),)
	@echo "npm is not here: the server runs without the dashboard; / says how to get it."
else
	cd client && npm ci --no-audit --no-fund && npm run build
	@touch $@
endif

client: client/dist/index.html  ## build the dashboard (needs Node 20 or newer)

wheel: $(VENV)/.dev client  ## build the wheel, with the dashboard, and the source distribution in dist/
	rm -rf build dist pnl_backend.egg-info
	@test -f client/dist/index.html || echo "The wheel is built without the dashboard: it needs Node 20 or newer, then make client."
	$(BIN)/uv build --no-build-isolation --python $(BIN)/python --out-dir dist

run: $(VENV)/.run client  ## install, build the dashboard, start the server (demo when no credentials are set)
	$(BIN)/python server.py

dev: $(VENV)/.dev  ## as run, restarting when a source file changes
	$(BIN)/watchfiles --filter python "$(BIN)/python server.py" pnl_backend

test: $(VENV)/.dev  ## install what tests need and run them all
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

# T is a path, else a part of names. Only the files that have such a name are collected; all of them where none has.
T ?=
PATHS := $(wildcard $(firstword $(subst ::, ,$(T))))
NAMED  = $(shell { grep -rlE --include='test_*.py' 'def \w*$(T)' tests; find tests -name 'test_*$(T)*.py'; } 2>/dev/null | sort -u)
t: $(VENV)/.dev  ## run some tests: make t T=tests/cache/test_tiers.py, or T=part_of_their_names
	@test -n '$(T)' || { echo "say which: make t T=tests/cache/test_tiers.py, or T=part_of_their_names"; exit 2; }
	$(BIN)/python -m pytest $(if $(PATHS),'$(T)',-k '$(T)' $(NAMED))

coverage: $(VENV)/.dev  ## tests with a coverage report
	$(BIN)/python -m pytest --cov=pnl_backend --cov-report=term-missing:skip-covered

matrix: $(VENV)/.dev  ## the fast tests on every Python that is found here, and with the lowest versions allowed
	$(BIN)/python .ci/matrix.py

lint: $(VENV)/.dev  ## ruff, mypy --strict and the import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.run  ## write what the documentation repeats of the code: tables, docs/messages.md, .env.example
	$(BIN)/python docs/generate.py

bench: $(VENV)/.dev  ## every measurement, with its table written to bench/results/
	$(BIN)/python -m bench

lock: | $(BIN)/python  ## resolve the pins again, with hashes
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" pyproject.toml requirements.in -o requirements.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" --extra dev pyproject.toml -c requirements.txt -o requirements-dev.txt

clean:  ## remove what was built; data/ and logs/ stay
	rm -rf $(VENV) build dist client/dist client/packages/*/dist client/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis
