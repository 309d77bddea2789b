# Developer commands: each is a short call of CMake, of a script in cmake/ or of a program it built.
# `make help` lists them.
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: scale help setup setup-dev build train eval report repro test test-gpu sanitize-gpu bench crash doctor format lint size asan tsan install clean

# Every family has a program, and every program trains every model: mamba's says what there is.
family := $(firstword $(subst -, ,$(MODEL)))
program := $(notdir $(basename $(or $(filter-out %/farsight.cpp,$(wildcard models/programs/$(family).cpp)),mamba.cpp)))

# GPUS=8: a process for each of eight GPUs of this machine. RANKS=4: four processes on the CPU.
launch := $(if $(GPUS)$(RANKS),build/bin/farsight launch $(if $(GPUS),--gpus '$(GPUS)',--nproc '$(RANKS)') \
  $(if $(RESTARTS),--max-restarts '$(RESTARTS)') -- )

PREFIX ?= /usr/local
BUILD := bash cmake/build.sh

help: ## lists the commands                                 | make help
	@sed -nE 's/^([a-z-]+):.*## (.*[^ ]) +\| (.*)$$/\1|\2|\3/p' Makefile | \
	  while IFS='|' read -r name what example; do printf '%-10s %s\n%-10s   %s\n' "$$name" "$$what" '' "$$example"; done

setup: ## installs the Debian packages that are missing       | make setup
	@bash cmake/setup.sh

setup-dev: ## the same, with clang-format, clang-tidy, shellcheck | make setup-dev
	@bash cmake/setup.sh --dev

build: ## builds everything in build/ (Release)               | make build CMAKE_ARGS=-DFARSIGHT_CUDA=OFF
	@CMAKE_ARGS='$(CMAKE_ARGS)' $(BUILD) release

train: ## trains a model on a task, or on text (TASK=lm)      | make train MODEL=mamba-gs TASK=lm DATA="corpus/*.jsonl.zst" OUT=runs/mine
	@$(BUILD) --quiet release $(program) $(if $(launch),farsight_program)
	@$(launch)build/bin/$(program) train --task '$(or $(TASK),standard)' --model '$(or $(MODEL),mamba)' \
	  --preset '$(or $(PRESET),pocket)' --device '$(or $(DEVICE),auto)' --seed '$(or $(SEED),42)' \
	  $(if $(DATA),--corpus '$(DATA)') $(if $(OUT),--out '$(OUT)') $(ARGS)

eval: ## evaluates a trained run on TASK or language TASKS    | make eval RUN=runs/mine TASKS=wikitext,piqa ARGS="--out scores"
	@$(if $(RUN),,echo 'eval: which run? For example: make eval RUN=runs/mine' >&2; exit 2)
	@$(BUILD) --quiet release mamba
	@build/bin/mamba eval --run '$(RUN)' $(if $(or $(TASKS),$(TASK)),--task '$(or $(TASKS),$(TASK))') $(if $(DEVICE),--device '$(DEVICE)') $(ARGS)

report: ## makes the page of a run again, finished or not   | make report RUN=runs/mine
	@$(if $(RUN),,echo 'report: which run? For example: make report RUN=runs/mine' >&2; exit 2)
	@$(BUILD) --quiet release farsight_program
	@build/bin/farsight report --run '$(RUN)' $(ARGS)

repro: ## the paper's tables and figures: plan, runs, verdicts | make repro LEVEL=pocket TABLE=3 SEEDS=3 ARGS=--dry-run
	@$(BUILD) --quiet release farsight_program mamba pythia hyena rwkv
	@build/bin/farsight repro --level '$(or $(LEVEL),pocket)' $(if $(TABLE),--table '$(TABLE)') \
	  $(if $(FIGURE),--figure '$(FIGURE)') $(if $(SEEDS),--seeds '$(SEEDS)') $(if $(LRS),--lrs '$(LRS)') \
	  $(if $(INIT),--init '$(INIT)') $(if $(RECIPE),--recipe '$(RECIPE)') $(if $(DEVICE),--device '$(DEVICE)') \
	  $(if $(DATA),--corpus '$(DATA)') $(if $(JOBS),--jobs '$(JOBS)') $(if $(OUT),--out '$(OUT)') $(ARGS)

test: ## runs every test; the last line counts them           | make test
	@$(BUILD) release
	@bash cmake/run_tests.sh build

test-gpu: ## the tests of the GPU; without one they fail      | make test-gpu
	@$(BUILD) release farsight_tests
	@FARSIGHT_REQUIRE_GPU=1 bash cmake/run_tests.sh build -tc="gpu: *"

sanitize-gpu: ## the GPU's operations under compute-sanitizer   | make sanitize-gpu
	@$(BUILD) release farsight_tests
	@bash cmake/sanitize_gpu.sh build/bin/farsight_tests

bench: ## measures every op against this machine's limits     | make bench DEVICE=cuda ARGS="--only scan"
	@$(BUILD) --quiet release farsight_bench
	@build/bin/farsight_bench $(if $(DEVICE),--device '$(DEVICE)') $(ARGS)

scale: ## what more GPUs give, and that they agree, as JSON   | make scale GPUS=8 OUT=scaling.jsonl PARTS=speed MODELS=mamba
	@$(BUILD) --quiet release farsight_program mamba
	@GPUS='$(or $(GPUS),$(if $(RANKS),,2))' bash cmake/scaling_run.sh build/bin $(ARGS)

crash: ## kills runs and ranks, fails disks, flips bits, counts | make crash KILLS=50 DEATHS=100
	@$(BUILD) --quiet release farsight_tests mamba
	@bash cmake/crash.sh build '$(or $(KILLS),50)' '$(or $(DEATHS),5)' '$(or $(FLIPS),10000)'

doctor: ## says in one line each what this machine has         | make doctor
	@bash cmake/doctor.sh

format: ## formats the sources in place                       | make format
	@bash cmake/lint.sh format

lint: ## checks format, clang-tidy on changed files, scripts   | make lint ALL=1
	@ALL='$(ALL)' bash cmake/lint.sh check

size: ## counts lines per folder                              | make size
	@bash cmake/size.sh

asan: ## unit tests under address and UB sanitizers           | make asan ARGS='-tc="tape:*"'
	@$(BUILD) asan farsight_tests
	@bash cmake/run_tests.sh build/asan $(ARGS)

tsan: ## unit tests under the thread sanitizer                | make tsan ARGS='-tc="parallel:*"'
	@$(BUILD) tsan farsight_tests
	@bash cmake/run_tests.sh build/tsan $(ARGS)

install: ## installs the programs                             | make install PREFIX=$HOME/.local
	@$(BUILD) release
	@cmake --install build --prefix '$(PREFIX)'

clean: ## removes build/; runs/ and repro/ stay                         | make clean
	@rm -rf build
