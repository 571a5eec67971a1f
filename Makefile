# The operator's and the developer's commands. Every recipe is a script under scripts/ that also runs by itself.
HOST ?= time
SUITE ?= all
STATE ?=
LISTEN ?=
export BERTH_STATE := $(if $(STATE),$(STATE),$(BERTH_STATE))

.PHONY: up down build test test-all bench clean
up: ; @HOST='$(HOST)' LISTEN='$(LISTEN)' scripts/up
down: ; @scripts/down
build: ; @scripts/build
test: ; @SUITE='$(SUITE)' SEED='$(SEED)' scripts/test
test-all: ; @SUITE='$(SUITE)' SEED='$(SEED)' scripts/test-all
bench: ; @scripts/bench
clean: ; @rm -rf .build bin .venv-*
