# Every target does its own set-up: nothing but make and Python ≥ 3.11 with venv is needed.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TIER ?= default
TEST_TIER ?= quick
# Benchmarks: whose backends, and the commit that bench-continuous compares this one with.
FRAMEWORK ?= native
BASE ?= main
BENCHMARKED := $(VENV)/.development $(if $(filter-out native,$(FRAMEWORK)),$(VENV)/.frameworks)

# One process of pytest a processor; one that has done its share takes from the others'.
TESTED := -n logical --maxprocesses 8 --dist worksteal --durations 15
TIMES := build/times/test

.PHONY: report test test-slow test-all coverage lint format docs bench bench-continuous bench-html bench-check wheelhouse clean
.DELETE_ON_ERROR:

# What an interrupted run left is gone on with.
JOURNAL := $(wildcard reports/out/journal.jsonl)

report: $(VENV)/.frameworks
	$(BIN)/bce-conformance run --tier $(TIER) --exit-zero $(if $(JOURNAL),--resume)

# Ends with what took how long.
test: $(VENV)/.frameworks $(VENV)/.development
	@rm -f $(TIMES)
	.ci/timed $(TIMES) "kernels" $(BIN)/python -m tests.kernels
	.ci/timed $(TIMES) "tests" $(BIN)/python -m pytest tests -m "not slow" $(TESTED)
	.ci/timed $(TIMES) "conformance, $(TEST_TIER) tier" \
	  $(BIN)/python -m pytest conformance --backend all --tier $(TEST_TIER) --durations 15
	@cat $(TIMES)

# What is slow, and the impostors that are planted among drawn calls: three parts of like length, or
# one of them, as in `make test-slow PART=2`.
PART ?= all
SLOW_all := tests
SLOW_1 := tests/impostors tests/conformance/test_mutations.py
SLOW_2 := tests/native tests/reference tests/backends tests/documentation tests/findings
SLOW_3 := tests $(addprefix --ignore=,$(SLOW_1) $(SLOW_2))
SLOW = $(or $(SLOW_$(PART)),$(error PART is $(PART); accepted are 1, 2, 3 and all))
test-slow: $(VENV)/.frameworks $(VENV)/.development
	.ci/timed $(TIMES) "slow tests, part $(PART)" $(BIN)/python -m pytest $(SLOW) -m slow $(TESTED)
	$(if $(filter all 3,$(PART)),.ci/timed $(TIMES) "planted impostors" $(BIN)/python -W ignore -m tests.planted)
	@cat $(TIMES)

test-all:
	$(MAKE) test
	$(MAKE) test-slow

# Which lines the tests run, in all processes: half an hour and more.
coverage: $(VENV)/.frameworks $(VENV)/.development
	rm -rf build/coverage
	mkdir -p build/coverage
	$(BIN)/python -m coverage run -m pytest -p tests.covered_workers tests $(TESTED)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report --skip-covered

lint: $(VENV)/.development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf build/typecheck build/lib
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --target build/typecheck .
	$(BIN)/mypy build/typecheck/bce_conformance
	cd build/typecheck && ../../$(BIN)/lint-imports --config ../../pyproject.toml --no-cache

format: $(VENV)/.development
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The variables silence what its makers say of a release to come; the version is pinned.
docs: $(VENV)/.development
	NO_MKDOCS_2_WARNING=true DISABLE_MKDOCS_2_WARNING=true $(BIN)/python -m mkdocs build --quiet --strict
	@echo "open build/site/index.html"

bench: $(BENCHMARKED)
	$(BIN)/python asv_benchmarks/measure.py bench --framework $(FRAMEWORK)

bench-continuous: $(VENV)/.development
	$(BIN)/python asv_benchmarks/measure.py continuous --framework $(FRAMEWORK) --base $(BASE)

bench-html: $(VENV)/.development
	$(BIN)/python -m asv --config asv_benchmarks/asv.conf.json publish
	@echo "open it with: $(BIN)/python -m asv --config asv_benchmarks/asv.conf.json preview"

bench-check: $(VENV)/.frameworks $(VENV)/.development
	$(BIN)/python asv_benchmarks/measure.py check

# What a machine with a GPU and no network needs: docs/gpu.md.
PYTHON_VERSION ?= 3.12
MACHINE ?= x86_64
wheelhouse: $(BIN)/python
	@$(BIN)/python -c 'import packaging' 2>/dev/null || $(BIN)/python -m pip install --quiet packaging
	$(BIN)/python gpu/wheelhouse.py --python $(PYTHON_VERSION) --machine $(MACHINE)

clean:
	rm -rf $(VENV) build dist reports/out reports/compare reports/sweep reports/hunt asv_benchmarks/.asv *.egg-info .pytest_cache .mypy_cache .ruff_cache

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "bce-conformance needs Python 3.11 or newer: '$(PYTHON)' was not found (set PYTHON=…)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "bce-conformance needs Python 3.11 or newer: '$(PYTHON)' is $$($(PYTHON) -V) (set PYTHON=…)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "'$(PYTHON) -m venv' failed: install the venv module (Debian: python3-venv)" >&2; exit 1; }

# $(call install,EXTRAS): editable, with the pinned releases; one line where it fails.
define install
	@echo "installing bce-conformance[$(1)] into $(VENV): a few minutes the first time"
	@$(BIN)/python -m pip install --quiet -c constraints.txt setuptools wheel >$(VENV)/pip.log 2>&1 \
	  && $(BIN)/python -m pip install --quiet --no-build-isolation -c constraints.txt -e '.[$(1)]' >>$(VENV)/pip.log 2>&1 \
	  || { echo "pip could not install the dependencies (is there a network?): see $(VENV)/pip.log" >&2; exit 1; }
	@touch $@
endef

$(VENV)/.frameworks: pyproject.toml constraints.txt | $(BIN)/python
	$(call install,all)

$(VENV)/.development: pyproject.toml constraints.txt | $(BIN)/python
	$(call install,dev$(comma)bench$(comma)docs)

comma := ,
