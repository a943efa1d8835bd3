# make demo    run the main job on the minicluster
# make test    install what tests need, then everything that CI checks
# make lint    ruff and mypy only
# make realmesos  build the real Mesos that tests run against (once; see tests/realmesos)
# make thrift  regenerate airavata_mesos_plugin/gen from thrift/ (needs thrift-compiler)
# make bench   print the figures of tests/benchmarks, or of BENCHMARKS="commands crowd aurora mesos mpi monitoring fetch sftp upload"
# make clean   remove what make made

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
APT_MPI := openmpi-bin libopenmpi-dev mpich libmpich-dev gcc libc6-dev
APT_REALMESOS := g++ libc6-dev binutils libsvn1 libapr1 libcurl4 libssl3 zlib1g libsasl2-2 libsasl2-modules
APT_TEST := thrift-compiler openssh-server curl wget zookeeper iproute2 $(APT_REALMESOS) $(APT_MPI)
APT_BENCH := slurmctld slurmd slurm-client slurmdbd munge mariadb-server curl

# Its dependency http-parser does not build on Python 3.11 and later, and is not needed (docs/mesos.md).
INSTALL_PYMESOS = $(BIN)/python -m pip install -q --no-deps --use-pep517 pymesos==0.3.15

.PHONY: demo test lint unit realmesos realmesos-if-possible thrift bench clean system-packages bench-packages

demo: $(VENV)/.installed
	$(BIN)/airavata-mesos demo

test: $(VENV)/.installed-test system-packages lint realmesos-if-possible unit

unit: $(VENV)/.installed-test
	$(BIN)/python -m pytest

realmesos: $(VENV)/.installed-test
	$(BIN)/python -m tests.realmesos.build

# Without it CI fails; elsewhere the tests that need it are skipped.
realmesos-if-possible: $(VENV)/.installed-test
	$(BIN)/python -m tests.realmesos.build || [ "$$CI" != true ]

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Debian splits venv off the interpreter; a fresh machine may lack it.
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV) 2>/dev/null || { \
	  rm -rf $(VENV) && $(SUDO) apt-get update -qq && \
	  $(SUDO) apt-get install -y -qq python3-venv && $(PYTHON) -m venv $(VENV); }

$(VENV)/.installed: pyproject.toml $(VENV)/bin/python
	$(BIN)/python -m pip install -q -e '.[mesos]'
	$(INSTALL_PYMESOS)
	touch $@

$(VENV)/.installed-test: pyproject.toml $(VENV)/bin/python
	$(BIN)/python -m pip install -q -e '.[test]'
	$(INSTALL_PYMESOS)
	touch $@ $(VENV)/.installed

# Services of the packages in $(1) run neither now nor at boot: tests and benchmarks start their own.
define install_packages
@missing=$$(for p in $(1); do dpkg -s $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
if [ -n "$$missing" ]; then \
  policy=/usr/sbin/policy-rc.d; \
  if [ ! -e $$policy ]; then \
    trap '$(SUDO) rm -f /usr/sbin/policy-rc.d' EXIT; trap 'exit 130' INT TERM; \
    printf '#!/bin/sh\nexit 101\n' | $(SUDO) tee $$policy >/dev/null; $(SUDO) chmod 755 $$policy; \
  fi; \
  $(SUDO) apt-get update -qq && \
  DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $$missing && \
  for p in $$missing; do \
    case $$p in openssh-server) unit=ssh;; *) unit=$${p%-server};; esac; \
    $(SUDO) systemctl disable -q $$unit 2>/dev/null || true; \
  done; \
fi
endef

system-packages:
	$(call install_packages,$(APT_TEST))

thrift:
	set -eu; out=$$(mktemp -d); trap 'rm -rf "$$out"' EXIT; \
	for idl in $$(find thrift -name '*.thrift' | sort); do thrift --gen py -out "$$out" "$$idl"; done; \
	find "$$out" -name '*-remote' -delete; \
	for part in aurora airavata provider; do \
	  rm -rf "airavata_mesos_plugin/gen/$$part"; \
	  cp -r "$$out/airavata_mesos_plugin/gen/$$part" "airavata_mesos_plugin/gen/$$part"; \
	done

bench: $(VENV)/.installed-test bench-packages
	$(BIN)/python -m tests.benchmarks $(BENCHMARKS)

bench-packages:
	$(call install_packages,$(APT_BENCH))

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
