# Two commands do the work: `make run` starts the service with the sandbox portal, `make test` runs every check.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes

.PHONY: help run test lint pins format check-types scripts pytest stress chaos bench broken-rules mutants coverage messages screenshots update licences sbom audit clean

help: ## Show what can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

# The stamp files make a second run quick: packages are installed again only when the pins change.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ". Name another one: make run PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.made requirements.txt
	$(INSTALL) -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt
	$(INSTALL) -r requirements-dev.txt
	@touch $@

run: $(VENV)/.installed ## Start the service and the sandbox portal on SQLite (PORT=8000 SANDBOX_PORT=8001)
	@DEBUG=1 exec $(BIN)/python manage.py run_with_sandbox

test: lint check-types scripts pytest ## Run every check and test (DATABASE_URL=postgres://… for PostgreSQL)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml flowlu_admin installations tokens deploy
	$(BIN)/yamllint --strict --config-file deploy/yamllint.yaml deploy
	$(BIN)/hadolint deploy/Dockerfile
	DJANGO_SETTINGS_MODULE=flowlu_admin.settings_test $(BIN)/python manage.py makemigrations --check --dry-run

check-types: $(VENV)/.installed-dev
	$(BIN)/mypy

pytest: $(VENV)/.installed-dev
	$(BIN)/pytest $(PYTEST_ARGS)

# Some lines run on one database only: with PostgreSQL the suite runs on both, and the map is of what ran on either.
coverage: $(VENV)/.installed-dev ## See that what the tests do not run is what docs/coverage.md lists (DATABASE_URL=… adds PostgreSQL)
	@rm -rf var/coverage; mkdir -p var/coverage
	DATABASE_URL= $(BIN)/coverage run -m pytest $(PYTEST_ARGS)
	$(if $(DATABASE_URL),$(BIN)/coverage run -m pytest $(PYTEST_ARGS))
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage html --quiet --directory var/coverage/html
	@$(BIN)/coverage json --quiet -o var/coverage/report.json
	@$(BIN)/coverage report --skip-covered --show-missing
	@$(BIN)/python -m tests.coverage_map var/coverage/report.json $(if $(DATABASE_URL),,--sqlite-only)

stress: $(VENV)/.installed-dev ## Race real processes on PostgreSQL thousands of times (DATABASE_URL=…, STRESS=2000 rounds each)
	@rm -f var/stress.txt; mkdir -p var
	@status=0; STRESS=$(or $(STRESS),2000) STRESS_REPORT=var/stress.txt DATABASE_URL="$(or $(DATABASE_URL),postgres://root@127.0.0.1:5432/postgres)" \
		$(BIN)/pytest -n 1 tests/security/races $(PYTEST_ARGS) || status=$$?; cat var/stress.txt; exit $$status

chaos: $(VENV)/.installed-dev ## Take PostgreSQL, Redis, the broker, the disk, portals and the clock away, and see what is answered (CHAOS='-k clock')
	@MAKE_CHAOS=1 $(BIN)/pytest -n 0 tests/chaos $(CHAOS)

bench: $(VENV)/.installed-dev ## Measure the long jobs on PostgreSQL: speed and peak memory (DATABASE_URL=…, BENCH='rewrap', SCALE=1)
	@DATABASE_URL="$(or $(DATABASE_URL),postgres://root@127.0.0.1:5432/postgres)" \
		$(BIN)/python -m tests.bench --scale $(or $(SCALE),1) $(BENCH)

broken-rules: $(VENV)/.installed-dev ## Break each rule on purpose in a copy and see that a test fails (DATABASE_URL=… for the races)
	@$(BIN)/python -m tests.broken_rules $(RULES)

mutants: $(VENV)/.installed-dev ## Change the code that decides at every place, and see that a test fails (MUTMUT='--max-children 1')
	@$(BIN)/python -m tests.mutants $(MUTMUT)

screenshots: $(VENV)/.installed-dev ## Take the pictures of docs/ anew, with Chromium
	@$(BIN)/python -m tests.screenshots

scripts:
	@if command -v node >/dev/null; then node --test --test-timeout=60000 tests/embed_client/ tests/console_script/; else echo "NOT RUN: the tests of the browser scripts need Node 20 or newer"; fi

messages: $(VENV)/.installed-dev ## Bring the translations up to date with the texts, compile them, and say what is missing
	@$(BIN)/python -m tests.messages

# uv keeps what the pins say already unless it is told to upgrade; `make pins` writes what pyproject.toml was added to.
PINS := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --generate-hashes
pins: $(VENV)/.installed-dev ## Pin what pyproject.toml names, with hashes, and leave the other pins as they are
	$(PINS) $(UPGRADE) pyproject.toml -o requirements.txt
	$(PINS) $(UPGRADE) --group dev -c requirements.txt -o requirements-dev.txt
	$(MAKE) licences

update: ## Pin the newest versions that pyproject.toml allows, install and list them, and run every test
	$(MAKE) pins UPGRADE=--upgrade
	$(MAKE) test

licences: $(VENV)/.installed-dev ## List the licences of what is pinned in docs/licences.md
	@$(BIN)/python -m tests.licences

sbom: $(VENV)/.installed-dev ## Write the parts that a release is made of, as CycloneDX, into var/sbom.json
	@mkdir -p var
	$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible -o var/sbom.json requirements.txt

audit: $(VENV)/.installed-dev ## Ask the network whether what is pinned has known vulnerabilities
	$(BIN)/pip-audit --strict --require-hashes --disable-pip -r requirements.txt

format: $(VENV)/.installed-dev ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## Remove the virtual environment and caches (var/ with data and keys stays)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
