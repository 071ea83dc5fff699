BIN := .venv/bin
INSTALLED := .venv/.installed

# What measures time or kills whole installations wants the machine for itself; the rest mostly waits for servers.
ALONE := tests/e2e tests/chaos
IN_PARALLEL := $(if $(FOREBAY_TEST_AMQP_URL)$(FOREBAY_TEST_REDIS_URL),,-n 2 --dist loadfile)

.PHONY: help install demo test check bench fmt lock

help: ## say what can be made
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' $(MAKEFILE_LIST)

install: $(INSTALLED) ## make .venv with the pinned packages and the command `forebay`

$(INSTALLED): .ci/install requirements.lock requirements-build.lock pyproject.toml
	@PYTHON="$(PYTHON)" .ci/install
	@touch $@

demo: install ## a real batch through real queues, against a simulated provider
	@$(BIN)/forebay demo

test: install ## every test; sets up its own servers. ARGS="-k name" picks some
ifdef ARGS
	@$(BIN)/pytest $(ARGS)
else
	@failed=0; \
	$(BIN)/pytest $(IN_PARALLEL) tests $(ALONE:%=--ignore=%) || failed=1; \
	$(BIN)/pytest $(ALONE) || failed=1; \
	exit $$failed
endif

check: install ## style, types, and which way imports go
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install ## every benchmark, or the one named: make bench B=name
	@for file in benchmarks/$(or $(B),*).py; do \
		if [ -f "$$file" ]; then echo "== $$file"; $(BIN)/python "$$file" || exit 1; \
		else echo "There is no $$file."; fi; \
	done

fmt: install ## bring the code into its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: install ## bring requirements.lock up to date with pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
		pyproject.toml --group dev --output-file requirements.lock
