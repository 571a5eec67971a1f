# The operator's and the developer's commands. Every recipe is a script under scripts/ that also runs by itself.
HOST ?= time
SUITE ?= all
STATE ?=
LISTEN ?=
SECONDS ?=
SESSIONS ?=
export BERTH_STATE := $(if $(STATE),$(STATE),$(BERTH_STATE))

.PHONY: up down build dist dist-check test test-all guest-v2 fuzz soak bench clean
up: ; @HOST='$(HOST)' LISTEN='$(LISTEN)' scripts/up
down: ; @scripts/down
build: ; @scripts/build
dist: ; @scripts/dist
dist-check: ; @scripts/deb-check $(lastword $(sort $(wildcard dist/berth_*.deb)))
test: ; @SUITE='$(SUITE)' SEED='$(SEED)' scripts/test
guest-v2: ; @scripts/guest-v2
fuzz: ; @FUZZ_SECONDS='$(SECONDS)' SEED='$(SEED)' scripts/fuzz
soak: ; @SEED='$(SEED)' scripts/soak $(SESSIONS)
test-all: ; @SUITE='$(SUITE)' SEED='$(SEED)' scripts/test-all
bench: ; @scripts/bench
clean: ; @rm -rf .build bin dist .venv-*
