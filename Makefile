# Every command makes what it needs first: .venv if it is missing, then the extras it uses.
# Extras are installed again only when pyproject.toml or constraints.txt has changed.

PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin

# What to install for a stamp .venv/.NAME, where it is not the extra NAME alone
EXTRAS_lint := lint,test

.DEFAULT_GOAL := help
.PHONY: help demo test lint docs bench clean

help: ## Show this text
	@echo "make TARGET [ARGS='...'] [PYTHON=python3.12]"
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "  %-7s %s\n", $$1, $$2 }'

demo: $(VENV)/.demo ## Fuse an example scene: xfusion demo $(ARGS)
	@$(BIN)/xfusion demo $(ARGS)

test: $(VENV)/.test ## Run the tests: pytest $(ARGS)
	@$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.lint ## Check style, format and types: ruff, mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.docs ## Build the documentation into docs/_build/html
	@rm -rf docs/_build docs/generated
	@$(BIN)/python -m sphinx -q -W --keep-going -b html -d docs/_build/doctrees docs docs/_build/html $(ARGS)
	@echo "docs/_build/html/index.html"

bench: $(VENV)/.test ## Run the benchmarks: python -m benchmarks $(ARGS)
	@$(BIN)/python -m benchmarks $(ARGS)

clean: ## Remove .venv and everything else that was made
	rm -rf $(VENV) build dist docs/_build docs/generated htmlcov .coverage xfusion-demo notebooks/xfusion-demo
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.%: $(VENV)/.created pyproject.toml constraints.txt
	@echo "Installing xfusion[$(or $(EXTRAS_$*),$*)] into $(VENV); the first time takes some minutes"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check \
		-c constraints.txt -e ".[$(or $(EXTRAS_$*),$*)]"
	@touch $@

# An environment that is there and has pip is used as it is.
$(VENV)/.created:
	@$(BIN)/python -m pip --version >/dev/null 2>&1 && exit; \
	fail() { echo "xfusion needs Python 3.11 or newer: $$1" >&2; exit 1; }; \
	command -v $(PYTHON) >/dev/null || \
		fail "there is no $(PYTHON); install it, or name another: make PYTHON=/path/to/python"; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		fail "$(PYTHON) is $$($(PYTHON) -V 2>&1); name another: make PYTHON=/path/to/python"; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		fail "$(PYTHON) lacks venv; install it, on Debian and Ubuntu: apt install python3-venv"; \
	echo "Making $(VENV) with $$($(PYTHON) -V)"; \
	$(PYTHON) -m venv $(VENV)
	@touch $@
