# Two commands do everything: `make repro` and `make test`. The rest is listed by `make help`.

PYTHON ?= python3
BIN := .venv/bin
# A stage's command is `python -m …`: let that be the one of .venv, here and in everything started from here.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1
export NO_ALBUMENTATIONS_UPDATE := 1
export MLFLOW_DISABLE_TELEMETRY := true

ifneq ($(and $(filter repro,$(MAKECMDGOALS)),$(strip $(DATA)$(SET)$(SCALE))),)
ifndef RECIPE
$(error DATA, SET and SCALE change a recipe, and none is named: add RECIPE=phantom for the default on phantoms, RECIPE=siim, or another of experiments/recipes/)
endif
endif

ifneq ($(filter predict,$(MAKECMDGOALS)),)
ifeq ($(and $(strip $(IMAGES)),$(strip $(OUTPUT))),)
$(error name what is read and where the results go: make predict IMAGES=folder OUTPUT=folder)
endif
endif

.DEFAULT_GOAL := help
.PHONY: help shell repro bundle predict tune-worker test test-slow lint app serve docs figures ui bench requirements clean

help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.venv/ready: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.12 …")'
	@test -e .venv || $(PYTHON) -c 'import shutil, sys; free = shutil.disk_usage(".").free / 1e9; sys.exit(free < 8 and f"The packages need 8 GB of disk, and {free:.1f} GB are free here: free some, or clone the project to a larger disk")'
	@mkdir .installing 2> /dev/null || { echo 'Another make is installing the packages: wait for it. If none is, remove the folder .installing'; exit 1; }
	@echo 'Installing the packages into .venv: some minutes, 7.4 GB'
	@trap 'rmdir .installing' EXIT; trap 'exit 130' INT TERM HUP; set -ex; \
	test -x $(BIN)/python || $(PYTHON) -m venv .venv; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt; \
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .; \
	touch $@

repro: export EXPERIMENT := $(or $(NAME),$(RECIPE))
repro: .venv/ready ## the whole pipeline on params.yaml; RECIPE=name takes experiments/recipes/name.yaml first, DATA=folder its data, SET="section.key=value" changes it, SCALE=tiny reduces it to phantoms; SEEDS=3 trains it with three seeds; NAME=… is its name in MLflow
ifdef RECIPE
	python -m experiments.recipe "$$RECIPE" $(if $(DATA),--data "$$DATA") $(if $(SET),--set "$$SET") $(if $(SCALE),--scale "$$SCALE")
endif
	@test -e .git || dvc config --local core.no_scm true
	python -m experiments.params
	@touch .venv/started
	$(if $(SEEDS),python -m experiments.seeds "$$SEEDS",dvc repro)
	@test reports/summary.md -nt .venv/started || python -m ensemble.summary --show

shell: .venv/ready ## a shell in which python, dvc and mlflow are those of .venv (as after `source .venv/bin/activate`)
	@printf '%s\n' 'test ! -f ~/.bashrc || . ~/.bashrc' '. "$(CURDIR)/$(BIN)/activate"' > .venv/shellrc
	@bash --rcfile .venv/shellrc -i

bundle: .venv/ready ## the finished run as one folder, models/bundle (make repro ends with it)
	python -m ensemble.export

predict: .venv/ready ## read radiographs: make predict IMAGES=folder OUTPUT=folder
	python -m ensemble.predict "$(IMAGES)" --output "$(OUTPUT)"

test: .venv/ready ## unit and end-to-end tests
	OMP_NUM_THREADS=1 pytest -m "not slow" -n 2 --dist loadfile --no-loadscope-reorder

test-slow: .venv/ready ## kills, fuzzing, long runs
	pytest -m slow

lint: .venv/ready ## style, types, the arrows between packages
	ruff check .
	ruff format --check .
	mypy
	python .ci/audit.py

app: .venv/ready ## the web page of the bundle that `make repro` made, http://127.0.0.1:7860 (BUNDLE=folder, PORT=number for others)
	python -m ensemble.app $(if $(BUNDLE),--bundle $(BUNDLE)) $(if $(PORT),--port $(PORT))

serve: .venv/ready ## register the bundle in MLflow and serve it, http://127.0.0.1:5001/invocations (BUNDLE=folder for another one)
	python -m ensemble.serve $(if $(BUNDLE),--bundle $(BUNDLE))
	MLFLOW_TRACKING_URI=$${MLFLOW_TRACKING_URI:-sqlite:///$(CURDIR)/mlflow.db} \
	  mlflow models serve -m models:/pneumothorax@champion --env-manager local --host 127.0.0.1 --port 5001

docs: .venv/ready ## build the documentation site into site/; a broken link is an error
	zensical build --clean --strict

figures: .venv/ready ## redraw the figures of docs/ from the run that is here
	python -m ensemble.gallery

ui: .venv/ready ## compare the runs in MLflow, http://127.0.0.1:5000 (PORT=number for another one)
	@echo 'Open http://127.0.0.1:$(or $(PORT),5000)/#/experiments/1/runs?workflowType=machine_learning (or choose "Model training", upper left)'
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow ui --backend-store-uri sqlite:///$(CURDIR)/mlflow.db --host 127.0.0.1 --port $(or $(PORT),5000) --workers 1

tune-worker: .venv/ready ## join the study of STAGE (segmentation or classification) that another process or machine has begun
	@test -n "$(STAGE)" || { echo "say which study: make tune-worker STAGE=segmentation"; exit 1; }
	python -m $(STAGE).tune --join

bench: .venv/ready ## speed against named peers, as a table of ratios and reports/bench.json; ONLY="decode rle" for some of it
	python -m benchmarks.suite $(if $(ONLY),--only $(ONLY))

requirements: .venv/ready ## compile requirements.txt from pyproject.toml (needs uv: pip install uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-annotate --no-header --all-extras pyproject.toml --output-file requirements.txt

clean: ## remove what runs have made (data, models, reports, studies; not the MLflow database)
	rm -rf data models predictions reports studies .resume submission.csv
