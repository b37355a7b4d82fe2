# `make demo` serves the web page, `make test` checks everything; both set themselves up. Needs Python 3.10 or newer.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check
# On Linux, PyPI's torch carries CUDA (gigabytes); the CPU build comes from here. Empty: take PyPI's.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
TORCH := $(shell grep -o '^torch==[0-9.]*' requirements.txt)
HOST ?= 127.0.0.1
PORT ?= 7860
QUESTIONS := knowledge_bases/world_flags/questions
OWN_WORDS := $(QUESTIONS)/own_words.jsonl
DATASET ?= $(QUESTIONS)/test.jsonl
rendered = runs/pictures/.$(subst /,-,$(basename $1))
PRESET ?= embedded
OUTPUT ?= runs/evaluate/$(basename $(subst /,-,$(PRESET)))-$(basename $(notdir $(DATASET)))

.PHONY: demo ask evaluate retrain test check browser-test screenshots bench clean

demo: $(VENV)/.indexed
	$(PY) -m rag_app demo --host $(HOST) --port $(PORT)

ask: $(VENV)/.indexed
	@$(PY) -m rag_app ask --image "$(IMAGE)" --question "$(QUESTION)"

# Without passages, with the right ones, with those found; then other people's words, drawings, what has no answer, and
# what was changed after training.
# Pictures are rendered from npm packages (needs npm, once) into runs/. Text alone is asked where there are passages and
# questions: make evaluate TEXT=passages.jsonl.gz TEXT_QUESTIONS=questions.jsonl
evaluate: $(VENV)/.dev $(call rendered,$(DATASET)) $(call rendered,$(OWN_WORDS))
	$(PY) -m rag_app evaluate --preset $(PRESET) --dataset $(DATASET) --images runs/pictures --no-retrieval \
	  --output $(OUTPUT)/without-retrieval
	$(PY) -m rag_app evaluate --preset $(PRESET) --dataset $(DATASET) --images runs/pictures --oracle --output $(OUTPUT)/oracle
	$(PY) -m rag_app evaluate --preset $(PRESET) --dataset $(DATASET) --images runs/pictures \
	  --output $(OUTPUT)/with-retrieval --beside $(OUTPUT)/without-retrieval --beside $(OUTPUT)/oracle
	$(PY) -m rag_app evaluate --preset $(PRESET) --dataset $(OWN_WORDS) --images runs/pictures --output $(OUTPUT)/own-words
	$(PY) -m benchmarks.flag_recognition --preset $(PRESET)
	$(PY) -m benchmarks.abstaining --preset $(PRESET)
	$(PY) -m benchmarks.edited_knowledge --preset $(PRESET)
	$(if $(and $(TEXT),$(TEXT_QUESTIONS)),$(PY) -m benchmarks.text_retrieval --preset $(PRESET) --passages $(TEXT) --questions $(TEXT_QUESTIONS))
	$(PY) -m benchmarks.presets --preset $(PRESET)

# A mark a question file.
$(sort $(call rendered,$(DATASET)) $(call rendered,$(OWN_WORDS))): | $(VENV)/.dev
	$(PY) -m rag_app train pictures --dataset $< --output runs/pictures
	touch $@
$(call rendered,$(DATASET)): $(DATASET)
$(call rendered,$(OWN_WORDS)): $(OWN_WORDS)

# Both embedded models from nothing into $(RETRAIN), beside each other, a thread each: make -j2 retrain TEXT=passages.jsonl.gz
# (JSON Lines with a text; without it, the passages of World Flags serve). Goes on where it was stopped. What they are
# worth: make evaluate PRESET=$(RETRAIN)/preset.toml
RETRAIN ?= runs/retrain
TRAIN := env OMP_NUM_THREADS=1 $(PY) -m rag_app train
TEXT_PAIRS := $(if $(TEXT),--text-pairs $(TEXT))
VALIDATION := $(QUESTIONS)/validation.jsonl

retrain: $(RETRAIN)/preflmr-mini $(RETRAIN)/.region $(RETRAIN)/.reader
	cp -r $(RETRAIN)/before-entities/region_head $(RETRAIN)/preflmr-mini/
	$(PY) -m rag_app train pictures --dataset $(VALIDATION) --output runs/pictures
	$(PY) -m rag_app train calibrate --images runs/pictures --retriever $(RETRAIN)/preflmr-mini --reader $(RETRAIN)/reader-mini
	printf '%s = "%s"\n' base embedded description "retrained" retriever $(RETRAIN)/preflmr-mini \
	  generator $(RETRAIN)/reader-mini > $(RETRAIN)/preset.toml

$(RETRAIN)/.vision: | $(VENV)/.dev
	$(TRAIN) vision --runs $(RETRAIN)
	touch $@

# Folders of checkpoints appear whole or not at all, so they need no mark; their times say nothing.
$(RETRAIN)/text: | $(VENV)/.dev
	$(TRAIN) retriever --stages 0-text --runs $(RETRAIN) --output $@ $(TEXT_PAIRS)

$(RETRAIN)/before-entities: | $(RETRAIN)/.vision $(RETRAIN)/text
	$(TRAIN) retriever --start $(RETRAIN)/text --vision $(RETRAIN)/vision/vision.safetensors \
	  --stages 1-mapping 2-knowledge 3-all --runs $(RETRAIN) --output $@ $(TEXT_PAIRS)

$(RETRAIN)/preflmr-mini: | $(RETRAIN)/before-entities
	$(TRAIN) retriever --start $(RETRAIN)/before-entities --stages 4-entities 5-again 6-again --runs $(RETRAIN) --output $@

# The layers that it reads stand still in the stages beside it.
$(RETRAIN)/.region: | $(RETRAIN)/before-entities
	$(TRAIN) region --runs $(RETRAIN) --checkpoint $(RETRAIN)/before-entities
	touch $@

$(RETRAIN)/.reader: | $(VENV)/.dev
	$(TRAIN) reader --runs $(RETRAIN) --output $(RETRAIN)/reader-mini $(TEXT_PAIRS)
	touch $@

test: check
	$(PY) -m pytest -q

check: $(VENV)/.dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/vermin --quiet --target=3.10- --exclude long --no-tips --violations \
	  knowledge_bases retriever generator rag_app ui app.py benchmarks tests

browser-test: $(VENV)/.dev
	$(PY) -m pytest -q -m browser

# The pictures of the README, with the embedded models. Needs Chromium.
screenshots: $(VENV)/.dev $(VENV)/.indexed
	$(PY) -m tests.screenshots

# Short versions, some minutes in all; docs/performance.md has the long runs.
bench: $(VENV)/.dev
	$(PY) -m benchmarks.query_encoding --repeats 5
	$(PY) -m benchmarks.encode --n 8 --rounds 1
	$(PY) -m benchmarks.index_kernels
	$(PY) -m benchmarks.search --quick

# What can be made again. Your own knowledge bases, feedback and evaluations in var/ stay.
clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis var/indexes var/stores runs
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.10 or newer is needed; give one with: make PYTHON=python3.12 ..." if sys.version_info < (3, 10) else 0)'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.runtime: requirements.txt $(VENV)/.created
	@if [ "$$(uname -s)" = Linux ] && [ -n "$(TORCH_INDEX)" ]; then \
	  echo "Installing the CPU build of $(TORCH)"; \
	  $(PIP) install -q --no-deps --retries 1 --timeout 30 --index-url "$(TORCH_INDEX)" "$(TORCH)" \
	    || echo "$(TORCH_INDEX) could not be used; taking torch from the default index"; \
	fi
	@echo "Installing the packages of requirements.txt; the first time takes a few minutes"
	$(PIP) install -q -r requirements.txt
	touch $@

# So that the first answer does not wait for it. Whoever starts without make gets the index at the first question.
$(VENV)/.indexed: $(wildcard retriever/checkpoints/*/model.safetensors) knowledge_bases/world_flags/passages.jsonl | $(VENV)/.runtime
	@echo "Encoding the embedded knowledge base, once: a minute or two"
	$(PY) -m rag_app kb build
	touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.runtime
	$(PIP) install -q -r requirements-dev.txt
	touch $@
