# `make demo` and `make test` are all a newcomer needs: they make the virtual environment and, for root on
# Debian, install the system packages that the lab uses.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# A folder's own virtual environment only: an activated one of another project must not leak in.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

.PHONY: demo test lint format types bench lab setup system clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "fleet needs Python 3.11 or newer; set PYTHON=python3.x" >&2; exit 1; }
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! $(PYTHON) -c 'import ensurepip' 2>/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null; fi
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing fleet and its dependencies into $(VENV) (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# What the lab needs and a fresh Debian lacks. Without root the lab says so and is skipped.
PACKAGES := busybox wireguard-go wireguard-tools nftables iptables iproute2 openssh-server iputils-ping conntrack procps postgresql
system:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  missing=""; for package in $(PACKAGES); do \
	    dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'install ok installed' || missing="$$missing $$package"; done; \
	  if [ -n "$$missing" ]; then echo "installing$$missing"; apt-get update -qq && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi; fi

demo: $(STAMP)
	@$(BIN)/python -m fleet.testing.demo

test: $(STAMP) system
	@$(BIN)/python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder $(PYTEST_OPTIONS)

lab: $(STAMP) system
	@FLEET_LAB=required $(BIN)/python -m pytest -q -m lab tests/lab

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(STAMP)
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt wg-meshconf
	@$(BIN)/python -m fleet.testing.bench

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
