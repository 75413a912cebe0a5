# Every command makes what it needs first: an environment if it is missing, then what it uses.
# .venv gets it again only when pyproject.toml or constraints.txt has changed.

PYTHON ?= python3
ARGS ?=
PIP_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
MIN := .venv-min
LATEST := .venv-latest
MODELS := .venv-models

# What to install for a stamp .venv/.NAME: extras of xfusion, and groups
FOR_demo := -e ".[demo]"
FOR_test := -e ".[cloud,demo,distributed,icechunk,units,zones]" --group test
FOR_lint := $(FOR_test) --group lint
FOR_docs := -e ".[demo,units]" --group docs
FOR_dist := --group dist
FOR_models := -e ".[cloud,demo,distributed,icechunk,onnx,torch,units,zones]" --group models
FOR_hooks := $(FOR_test) --group dev
FOR_all := $(FOR_test) --group lint --group docs --group dist

INSTALL := -m pip install -qq --disable-pip-version-check $(PIP_ARGS)

# Else hundreds of processes that tests start compile all modules again
KEEP_COMPILED := PYTHONDONTWRITEBYTECODE=

.DEFAULT_GOAL := help
.PHONY: help demo test test-models test-min test-latest fuzz lint hooks docs dist browser bench clean

help: ## Show this text
	@echo "make TARGET [ARGS='...'] [PYTHON=python3.12]"
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile | awk -F'|' '{ printf "  %-11s %s\n", $$1, $$2 }'

demo: $(VENV)/.demo ## Fuse an example scene: xfusion demo $(ARGS)
	@$(BIN)/xfusion demo $(ARGS)

test: $(VENV)/.test ## Run the tests: pytest $(ARGS)
	@$(KEEP_COMPILED) $(BIN)/python -m pytest $(ARGS)

# Of its own: nothing else needs PyTorch, which is larger than all the rest. Commands of the other,
# as that of the STAC API, are found by PATH.
test-models: $(MODELS)/.models ## Test networks in PyTorch and ONNX: pytest tests/models $(ARGS)
	@PATH="$(abspath $(BIN)):$$PATH" $(KEEP_COMPILED) $(MODELS)/bin/python -m pytest -n0 tests/models $(ARGS)

test-min: $(MIN)/.test ## The same on the oldest versions that pyproject.toml allows
	@$(MIN)/bin/python -m pytest $(ARGS)

# What is newest changes from day to day, whether or not a file here has
test-latest: $(LATEST)/.created ## The same on the newest versions of everything
	@echo "Installing the newest of everything into $(LATEST)"
	@$(LATEST)/bin/python -m pip install -qq --upgrade pip
	@$(LATEST)/bin/python -m pip install -qq --upgrade --upgrade-strategy eager $(FOR_test)
	@$(LATEST)/bin/python -m pytest $(ARGS)

fuzz: $(VENV)/.test ## Try functions on random inputs, with checked indices; count them: $(ARGS)
	@$(BIN)/python -m tests.fuzzing $(ARGS)

lint: $(VENV)/.lint ## Check style, format, types, notebooks and names of files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/nbstripout --keep-id --verify notebooks/*.ipynb
	$(BIN)/python .ci/file_names.py
	$(BIN)/repo-review .

hooks: $(VENV)/.hooks ## Let git do the same before each commit: pre-commit install
	@$(BIN)/pre-commit install

docs: $(VENV)/.docs ## Build the documentation into docs/_build/html
	@rm -rf docs/_build docs/generated
	@$(BIN)/python -m sphinx -q -W --keep-going -j 2 -b html -d docs/_build/doctrees docs docs/_build/html $(ARGS)
	@echo "docs/_build/html/index.html"

dist: $(VENV)/.dist ## Build wheel and sdist into dist/, check them, run the demo of the wheel
	@$(KEEP_COMPILED) $(BIN)/python .ci/dist.py

browser: ## Install Chromium, with which the report is tested: on Debian, as root
	@.ci/browser

bench: $(VENV)/.test ## Run the benchmarks: python -m benchmarks $(ARGS); --keep for the docs
	@$(BIN)/python -m benchmarks $(ARGS)

clean: ## Remove the environments and everything else that was made
	rm -rf $(VENV) $(MIN) $(LATEST) $(MODELS)
	rm -rf build dist benchmarks/runs docs/_build docs/generated htmlcov .coverage xfusion-demo notebooks/xfusion-demo
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# pip knows groups since 25.1; one that does is left as it is.
$(VENV)/.%: $(VENV)/.created pyproject.toml constraints.txt
	@echo "Installing what make $* needs into $(VENV); the first time takes some minutes"
	@$(BIN)/python $(INSTALL) "pip>=25.1"
	@$(BIN)/python $(INSTALL) -c constraints.txt $(FOR_$*)
	@touch $@

# All that .ci/run needs by one call of pip, so that nothing is left to install for each
$(VENV)/.all: $(VENV)/.created pyproject.toml constraints.txt
	@echo "Installing what lint, test, docs and dist need into $(VENV); it takes some minutes"
	@$(BIN)/python $(INSTALL) "pip>=25.1"
	@$(BIN)/python $(INSTALL) -c constraints.txt $(FOR_all)
	@touch $(foreach one,demo test lint docs dist all,$(VENV)/.$(one))

# It sees all that .venv has, pip too, so that only PyTorch and ONNX are installed here. addsitedir
# also reads the .pth files in there.
$(MODELS)/.models: $(VENV)/.test $(MODELS)/.created pyproject.toml constraints.txt
	@echo "Installing PyTorch and ONNX into $(MODELS); the first time takes a minute"
	@$(BIN)/python -c 'import sysconfig; there = sysconfig.get_path("purelib"); \
		print(f"import site; site.addsitedir({there!r})")' > "$$($(MODELS)/bin/python -c \
		'import sysconfig; print(sysconfig.get_path("purelib"))')/of_venv.pth"
	@$(MODELS)/bin/python $(INSTALL) -c constraints.txt $(FOR_models)
	@touch $@

$(MODELS)/.created: $(VENV)/.created # of the same Python
	@$(BIN)/python -m venv --clear --without-pip $(MODELS)
	@touch $@

# Only uv can choose the oldest. It goes where pip goes, but does not read pip's files itself.
# Made anew each time: what was installed for older bounds would do for newer ones as well.
$(MIN)/.test: pyproject.toml
	@rm -rf $(MIN)
	@$(MAKE) --no-print-directory $(MIN)/.created
	@echo "Installing the oldest versions into $(MIN)"
	@$(MIN)/bin/python -m pip install -qq --disable-pip-version-check uv
	@set -e; \
	of_pip() { for part in :env: install global; do \
		$(MIN)/bin/python -m pip config get $$part.$$1 2>/dev/null && break; done || true; }; \
	index=$${UV_DEFAULT_INDEX:-$$(of_pip index-url)}; \
	links=$${UV_FIND_LINKS:-$$(of_pip find-links | tr -s ' \n' ',' | sed 's/^,//; s/,$$//')}; \
	$${index:+env UV_DEFAULT_INDEX="$$index"} $${links:+env UV_FIND_LINKS="$$links"} \
		$(MIN)/bin/uv pip install -q --python $(MIN)/bin/python \
		--resolution lowest-direct --only-binary :all: --no-binary xfusion $(FOR_test)
	@touch $@

# An environment that is there and has pip is used as it is.
$(VENV)/.created $(MIN)/.created $(LATEST)/.created: %/.created:
	@$*/bin/python -m pip --version >/dev/null 2>&1 && exit; \
	fail() { echo "xfusion needs Python 3.11 or newer: $$1" >&2; exit 1; }; \
	command -v "$(PYTHON)" >/dev/null || \
		fail "there is no $(PYTHON); install it, or name another: make PYTHON=/path/to/python"; \
	"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		fail "$(PYTHON) is $$("$(PYTHON)" -V 2>&1); name another: make PYTHON=/path/to/python"; \
	"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || \
		fail "$(PYTHON) lacks venv; install it, on Debian and Ubuntu: apt install python3-venv"; \
	echo "Making $* with $$("$(PYTHON)" -V)"; \
	"$(PYTHON)" -m venv $*
	@touch $@
