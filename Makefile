# make demo and make test work from nothing: they make .venv and install the pinned dependencies.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LABEL := .venv-label
LABEL_BIN := $(LABEL)/bin
SAMPLE ?= $(HOME)/.local/share/keyslice/sample
# pip reads a list with spaces here, so that a path with one must be an address.
empty :=
HERE := file://$(subst $(empty) $(empty),%20,$(CURDIR))
REPORT := --cov --cov-report=term-missing:skip-covered
export PIP_CONSTRAINT := $(HERE)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test test-all test-main test-label lint types format bench docs label-server card configs wheel clean

help:            ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/:/'

demo: $(VENV)/.demo  ## segment the hippocampi of the MNI152 template with the shipped weights
	$(BIN)/python -W ignore -m bundle demo --output_dir demo

test:  ## lint, types and the quick tests of both environments side by side
	$(MAKE) --jobs=4 --output-sync=target lint types test-main test-label SELECT='-m "not slow"'

test-all:  ## the same with all tests and complete coverage: slow ones, commands of the documentation, packs
	$(MAKE) --jobs=4 --output-sync=target lint types test-main test-label MAIN_COV='$(REPORT)' LABEL_COV='$(REPORT) --cov-config=tests/server/coverage.toml'

test-main: $(VENV)/.test  ## tests of the bundle
	$(BIN)/python -m pytest -n 2 --dist loadgroup --max-worker-restart 0 $(SELECT) $(MAIN_COV)

lint: $(VENV)/.test  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test  ## mypy
	$(BIN)/mypy

format: $(VENV)/.test  ## let ruff fix what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.test  ## print the ratios of docs/benchmarks.md anew
	$(BIN)/python benchmarks/attention.py
	$(BIN)/python benchmarks/cli_start.py
	$(BIN)/python benchmarks/disc_case.py
	$(BIN)/python benchmarks/discs.py
	$(BIN)/python benchmarks/fused.py
	$(BIN)/python benchmarks/inference.py
	$(BIN)/python benchmarks/norm.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/image_case.py
	$(BIN)/python benchmarks/resample.py
	$(BIN)/python benchmarks/runtime.py
	$(BIN)/python benchmarks/share.py
	$(BIN)/python benchmarks/whole_head.py

docs: $(VENV)/.test  ## write the documentation site to site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

wheel: $(VENV)/.test  ## write the wheels of both packages, and the source distribution, to dist/
	rm -rf dist
	$(BIN)/python -c 'from setuptools.build_meta import build_sdist; build_sdist("dist")'
	$(BIN)/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist dist/keyslice-*.tar.gz ./runtime

label-server: $(LABEL)/.label  ## start the MONAI Label server on the MNI152 template
	test -d "$(SAMPLE)" || { $(LABEL_BIN)/python -W ignore -m bundle demo --output_dir demo && mkdir -p "$(SAMPLE)" && cp demo/image/*.nii.gz "$(SAMPLE)"; }
	$(LABEL_BIN)/python -W ignore -m bundle label --studies "$(SAMPLE)"

test-label: $(LABEL)/.label  ## tests of the MONAI Label app, in the environment of its server
	$(LABEL_BIN)/python -m pytest -n 1 --dist loadfile --max-worker-restart 0 tests/server $(SELECT) $(LABEL_COV)

card: $(VENV)/.demo  ## write models/README.md from the metadata
	$(BIN)/python -W ignore -m bundle card

configs: $(VENV)/.demo  ## write the workflows in configs/ from tools/config_sources/
	$(BIN)/python tools/make_configs.py

clean:           ## remove what the targets made
	rm -rf $(VENV) $(LABEL) build demo dist runs site runtime/build runtime/keyslice_runtime

# torch goes first and by itself, so that no other package chooses its build.
$(VENV)/.torch: constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet torch
	@touch $@

$(VENV)/.demo: $(VENV)/.torch pyproject.toml
	$(BIN)/pip install --quiet --editable '.[demo]'
	@touch $@

$(VENV)/.test: $(VENV)/.demo
	$(BIN)/pip install --quiet --editable '.[test]'
	@touch $@

# The server has an environment of its own, installed from a full list without looking at dependencies: see the list.
$(LABEL)/.label: export PIP_CONSTRAINT := $(HERE)/requirements/label_server.txt
$(LABEL)/.label: requirements/label_server.txt
	$(PYTHON) -m venv $(LABEL)
	$(LABEL_BIN)/pip install --quiet torch
	$(LABEL_BIN)/pip install --quiet --no-deps --requirement $<
	$(LABEL_BIN)/pip install --quiet --no-deps --editable .
	@touch $@
