# On a fresh machine, `make bench` and `make test` set up everything that they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INPUTS ?= 200000
SEED ?= 0
# Where uv takes torch from; empty is the package index, whose builds for Linux bring 5 GB of CUDA.
TORCH_BACKEND ?= cpu
ENDS_TORCH := $(if $(TORCH_BACKEND),--torch-backend $(TORCH_BACKEND))
# Newer than pyproject.toml's bounds: no user needs them.
ENDS_TOOLS := hypothesis==6.170.15 matplotlib==3.11.2 pytest==9.2.0 pytest-benchmark==5.3.1 pytest-timeout==2.4.0
ENDS_TESTS := tests/core/data/test_prepare.py tests/core/data/test_encodings.py tests/core/results \
	tests/core/leaderboard/test_leaderboard_rows.py tests/core/reports/test_page.py \
	tests/core/reports/test_paper_tables.py tests/core/runs/test_ranking.py tests/core/model/test_assembly.py \
	tests/core/model/test_network.py tests/core/model/test_losses.py tests/plugins/test_attention_plugins.py \
	tests/plugins/test_text_encoders_minilm.py tests/cli/test_help_screens.py tests/cli/test_leaderboard.py \
	tests/cli/test_train_evaluate_predict.py
STAMP := $(VENV)/.installed

.PHONY: bench test studies oldest newest check format docs speed inference realism fuzz mutants kills browser wheel clean

bench: $(STAMP)  ## Set up, then run the quick suite on simulated data
	$(BIN)/dygenept bench --suite quick

test: $(STAMP)  ## Set up, then run the tests (make docs, make speed and make studies have those of their own)
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --ignore=tests/benchmarks/studies -n auto --dist loadfile --no-loadscope-reorder

studies: $(STAMP)  ## Try the code of the studies, and whether planted and real effects are predicted (a minute)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/benchmarks/studies -n auto --dist loadfile --no-loadscope-reorder

oldest:  ## Run a part of the tests with the oldest versions that pyproject.toml allows (needs uv)
	uv venv --quiet --python 3.11 --clear build/oldest
	uv pip install --quiet --python build/oldest --resolution lowest-direct $(ENDS_TORCH) --editable . $(ENDS_TOOLS)
	OMP_NUM_THREADS=1 build/oldest/bin/python -m pytest -q -W default $(ENDS_TESTS)

newest:  ## Run the same tests with the newest versions, torch included (needs uv)
	uv venv --quiet --python $(PYTHON) --clear build/newest
	uv pip install --quiet --python build/newest --upgrade $(ENDS_TORCH) --editable . $(ENDS_TOOLS)
	OMP_NUM_THREADS=1 build/newest/bin/python -m pytest -q $(ENDS_TESTS)

check: $(STAMP)  ## Check format, lint, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)  ## Format the code and apply lint's fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(STAMP)  ## Build the documentation site, strictly, and run all its code and notebooks
	$(BIN)/python -c "import material, mkdocstrings" 2> /dev/null || $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	NO_MKDOCS_2_WARNING=true $(BIN)/mkdocs build --strict
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/docs -n auto

MEASURED ?= --benchmark-enable --benchmark-only --timeout 0
speed: $(STAMP)  ## Measure speed (pytest-benchmark); MEASURED= only tries the code
	$(BIN)/python -m pytest benchmarks/speed $(MEASURED)

inference: $(STAMP)  ## Simulate how often intervals and marks hold (minutes; see docs/inference.md)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/inference/study.py benchmarks/inference
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/inference/tables.py benchmarks/inference

realism: $(STAMP)  ## Hold full-size simulated screens to the range of real ones (minutes; see docs/data.md)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest benchmarks/realism --timeout 0

fuzz: $(STAMP)  ## Damage 200,000 files and read them (half an hour; INPUTS=, SEED=, READERS=)
	cd tests && OMP_NUM_THREADS=1 $(abspath $(BIN))/python -m fuzz --inputs $(INPUTS) --seed $(SEED) --readers "$(READERS)"

mutants: $(STAMP)  ## Mutation testing (hours; AREAS=losses for one area, see docs/mutants.md)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,mutants]'
	$(BIN)/python scripts/mutants.py --show $(AREAS)

kills: $(STAMP)  ## Kill commands at random moments, resume them, and compare (ten minutes)
	$(BIN)/python scripts/kill_trials.py

browser: $(STAMP)  ## Try the pages in headless Chromium, and their accessibility (needs chromium and npm)
	npm install --silent --no-save --prefix build/axe axe-core
	DYGENEPT_AXE=$(abspath build/axe/node_modules/axe-core/axe.min.js) $(BIN)/python -m pytest -m browser tests/core/reports

wheel: $(STAMP)  ## Build the wheel, install it in a clean environment and try it
	$(BIN)/python scripts/check_wheel.py

clean:  ## Remove what this Makefile created
	rm -rf $(VENV) dist build results

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)
