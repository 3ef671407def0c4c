# make study | make test | make lint | make slow | make bench
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/ready

.PHONY: study test lint slow bench clean

study: $(READY)  ## the whole study in miniature, and its report
	@$(BIN)/python -m engine.miniature --out miniature
	@$(BIN)/python -m studies all --grid miniature/models.csv --data miniature/images --results results
	@$(BIN)/python -m engine.miniature --check --results results
	@$(BIN)/python -m analysis --results results --out report

test: lint  ## every check but the slow ones, two files at a time
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

slow: $(READY)  ## the checks that take minutes
	$(BIN)/python -m pytest -m slow --timeout 3600

bench: $(READY)  ## the engine against a plain loop, preparing against plain reading; each in one run
	$(BIN)/python -m tests.benchmarks.grid
	$(BIN)/python -m tests.benchmarks.prepare

clean:  ## what make study made; the environment stays
	rm -rf miniature results report

$(READY): pyproject.toml constraints.txt
	@echo "setting up .venv: a few minutes and about 6 GB, once"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo "closerlook needs Python 3.11, and '$(PYTHON)' is another: make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[engine,dev]"
	@touch $(READY)
