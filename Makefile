# make demo and make test need nothing but Python 3.11 or newer, with venv, and a package registry.
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export OMP_WAIT_POLICY := PASSIVE

.PHONY: setup lock audit demo test engines image-check faults fuzz bench bench-index bench-scale study tags-page lint clean

setup: .venv/ready

.venv/ready: pyproject.toml setup.py requirements-test.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --require-hashes --requirement requirements-test.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# What the image installs goes into requirements.lock, what `make setup` does into
# requirements-test.lock: versions and hashes, those that are there kept. A plain NAME==VERSION
# that somebody added to either is kept, too. UPGRADE=--upgrade moves all, UPGRADE='-P NAME' one.
COMPILE = .venv-lock/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
  --generate-hashes --no-annotate --custom-compile-command "make lock" $(UPGRADE) --extra gs --extra s3
lock: .venv-lock/bin/uv
	$(COMPILE) --extra test $(if $(UPGRADE),,--constraint requirements.lock) \
	  --output-file requirements-test.lock
	$(COMPILE) --constraint requirements-test.lock --output-file requirements.lock

.venv-lock/bin/uv: Makefile
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet uv==0.13.9
	touch $@

# The locks' review, which make test has, too, and known holes by the database of pip-audit, where
# it can be reached.
audit: setup .venv-audit/bin/pip-audit
	$(BIN)/python -m pytest tests/test_lock.py
	$(BIN)/python -m campaigns.audit .venv-audit/bin/pip-audit requirements.lock \
	  requirements-test.lock

.venv-audit/bin/pip-audit: Makefile
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/pip install --quiet pip-audit==2.10.1
	touch $@

demo: setup
	$(BIN)/python -m demo

# A worker a core, up to eight: each loads torch, and a file's tests share their fixtures.
test: setup lint
	$(BIN)/python -m pytest -n logical --maxprocesses 8 --dist loadfile

# Spark, Prism and kills on Flink, beside the Flink of make test: fetches 800 MB into
# ~/.cache/tagmine-engines and compiles Prism, once.
engines: setup
	$(BIN)/python -m engines.fetch flink beam-flink beam-spark prism
	$(BIN)/python -m pytest -m "" tests/pipelines/test_engines.py tests/pipelines/test_flink.py \
	  tests/campaigns/test_task_managers.py

# The Dockerfile, built by buildah on bases that are made here, and used; needs root and 30 GB.
image-check: setup
	$(BIN)/python -m campaigns.image

# Processes killed at random moments; docs/reliability.md. Task managers, where Flink can be had.
KILLS ?= 100
TASK_MANAGER_KILLS ?= 12
faults: setup
	$(BIN)/python -m campaigns.kills --kills $(KILLS)
	$(BIN)/python -m campaigns.task_managers --kills $(TASK_MANAGER_KILLS)

# Each of the targets in campaigns/targets.py for so many seconds. FUZZ keeps inputs between runs.
SECONDS ?= 300
FUZZ ?= fuzz-out
fuzz: setup
	$(BIN)/python -m campaigns.fuzz --seconds $(SECONDS) --work $(FUZZ)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/hadolint Dockerfile

bench: setup
	$(BIN)/python -m benchmarks

# The tables of docs/index-choice.md and docs/domains.md: an hour or two, and 10 GB of disk.
# autofaiss gets an environment of its own; where it cannot be installed its rows are left out.
bench-index: setup
	for kind in clip faiss demo; do \
	  $(BIN)/python -m benchmarks.index_build --kind $$kind && \
	  $(BIN)/python -m benchmarks.index_choice --kind $$kind --effort "{ivf},PQ32x8" || exit 1; \
	done
	$(BIN)/python -m benchmarks.index_build --count 1000000
	$(BIN)/python -m benchmarks.index_search --count 1000000 --key IVF2048,PQ32x8 --threads 1
	$(BIN)/python -m benchmarks.index_memory --counts 250000 1000000 4000000
	$(BIN)/python -m benchmarks.take_out_memory --counts 250000 1000000
	$(BIN)/python -m benchmarks.copy_memory --counts 250000 1000000
	$(BIN)/python -m benchmarks.swap_worth

# docs/scale.md: hours, 4 GB of memory for SCALE, and 1.2 GB more there for the shards.
SHARDS ?= 100000
SCALE ?= /dev/shm/tagmine-scale
bench-scale: setup
	$(BIN)/python -m benchmarks.scale --shards $(SHARDS) --work $(SCALE) --out scale-$(SHARDS).json

# docs/study.md: under half an hour on two quiet cores. Stages that are finished are kept in study-out.
study: setup
	$(BIN)/python -m benchmarks.study --work study-out

# Scores, examples and timings of docs/tags.md, from the real data in DATA.
DATA ?= ../shared/data
tags-page: setup
	$(BIN)/python -m benchmarks.tags_page --data $(DATA)

clean:
	rm -rf demo-out study-out fuzz-out build dist *.egg-info
