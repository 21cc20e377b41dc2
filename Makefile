# make run   set up, and show a staging environment of the example project: proved, monitored, what it cost
# make test  set up, check the code, run every test
# make docs  build the documentation as a site: build/docs/site/index.html
# make trials  the long trials, written to bench/TRIALS.md
# make dist  wheel and source archive, built twice and compared; make sbom, make audit  what is in them, and its licences
BIN := .venv/bin
EXAMPLE := examples/bookshop
STAMP := .venv/.complete
SITE := build/docs/venv

# Set, it has every start of Python compile what was compiled before.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test check fast programs trials bench reference plugin docs dist sbom audit lock clean

run: $(STAMP)
	@$(BIN)/agent-studio init --env staging --with-activity --project $(EXAMPLE)
	@$(BIN)/agent-studio smoke --env staging --project $(EXAMPLE)
	@$(BIN)/agent-studio status --env staging --project $(EXAMPLE)
	@$(BIN)/agent-studio monitor --env staging --project $(EXAMPLE)
	@$(BIN)/agent-studio cost report --env staging --by model --project $(EXAMPLE)

test: $(STAMP)
	@$(MAKE) --no-print-directory --jobs 2 check programs
	@bash scripts/setup.sh engines
	$(BIN)/python -m pytest -n auto --dist worksteal

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

fast: $(STAMP)
	$(BIN)/python -m pytest -q -m "not slow"

docs: $(SITE)/.complete
	@$(SITE)/bin/python scripts/site.py

$(SITE)/.complete: docs/requirements.lock | $(STAMP)
	@rm -rf $(SITE) && $(BIN)/python -m venv $(SITE)
	@PIP_CONSTRAINT= $(SITE)/bin/python -m pip --disable-pip-version-check --quiet install --require-hashes -r $<
	@touch $@

programs:
	@bash scripts/setup.sh browser
	@bash scripts/setup.sh tools

trials: $(STAMP) programs
	@bash scripts/setup.sh engines
	@bash scripts/setup.sh local-model
	$(BIN)/python bench/trials.py

bench: $(STAMP)
	$(BIN)/python bench/run.py

reference: $(STAMP)
	$(BIN)/python scripts/reference.py

dist: $(STAMP)
	$(BIN)/python scripts/dist.py

sbom: $(STAMP)
	@bash scripts/setup.sh tools
	.tools/bin/python scripts/sbom.py

audit: $(STAMP)
	$(BIN)/python scripts/audit.py --yanked

plugin: $(STAMP)
	$(BIN)/python scripts/plugin.py

$(STAMP): requirements.lock pyproject.toml scripts/setup.sh
	@bash scripts/setup.sh

lock:
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --extra dev --python-version 3.11 --no-emit-package agent-studio \
	  --custom-compile-command "make lock" -o requirements.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --extra engines --constraint requirements.lock --python-version 3.11 --no-emit-package agent-studio \
	  --custom-compile-command "make lock" -o requirements-engines.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --python-version 3.11 --custom-compile-command "make lock" -o packaging/tools.lock packaging/tools.in
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-deps --python-version 3.11 --custom-compile-command "make lock" \
	  -o packaging/local-model.lock packaging/local-model.in
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --python-version 3.11 --custom-compile-command "make lock" -o docs/requirements.lock docs/requirements.in

clean:
	rm -rf .venv .tools build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
