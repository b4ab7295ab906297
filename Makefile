# One line of help each: make help
PORT ?= 8000
BIN := .venv/bin
SOURCES := config pkb partners records hl7ingest

help: ## list what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: .venv/ready ## run web and worker on this machine, with demonstration data
	@$(BIN)/python manage.py serve --port $(PORT)

test: .venv/ready ## run every test
	@$(BIN)/python -m pytest -q $(ARGS)

check: .venv/ready ## lint, types, import contracts, migrations, settings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/djade --check $$(git ls-files 'templates/*.html')
	$(BIN)/mypy .
	$(BIN)/lint-imports --no-cache
	$(BIN)/python manage.py makemigrations --check --dry-run
	SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(64))') HTTPS=true \
	  $(BIN)/python manage.py check --deploy --fail-level WARNING

fix: .venv/ready ## format, and mend what can be mended by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/djade $$(git ls-files 'templates/*.html')

spec: .venv/ready ## print which test keeps which section of the specification
	@$(BIN)/python -m pytest -q --collect-only --spec-matrix

bench: .venv/ready ## measure speed on PostgreSQL and Redis, beside pgbench
	@$(BIN)/python manage.py bench

clean: ## remove the environment and everything under var
	rm -rf .venv var

.venv/ready: pyproject.toml uv.lock
	python3 -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check 'uv>=0.9'
	$(BIN)/uv sync -q --frozen --inexact
	@touch $@

.PHONY: help run test check fix spec bench clean
