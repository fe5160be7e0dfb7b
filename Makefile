# Two commands do everything on a fresh machine: `make demo` and `make test`.
# `make demo ARGS='--headless --report out/demo'` ends by itself.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
# The contract tests run buf and a client in another language; where Node.js is absent they skip.
NODE_PACKAGES := tests/contract/node_modules
NODE_STAMP := $(if $(shell command -v npm 2>/dev/null),$(NODE_PACKAGES)/.installed)

.PHONY: demo test clean

demo: $(STAMP)
	$(VENV)/bin/sidewire demo $(ARGS)

# In the order that tests/conftest.py says: the longest files first. Tests of processes wait much of their time, so
# that two cores have work for three.
test: $(STAMP) $(NODE_STAMP)
	$(VENV)/bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

# On Linux x86-64 with Python 3.11: the disk as measured, the download as its files compress.
$(STAMP): pyproject.toml weights/pyproject.toml
	@test -x $(VENV)/bin/python || echo 'Setting up $(VENV), once: about 3 GB to download, 7 GB on disk; most of it is torch with CUDA.'
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Sidewire needs Python 3.11 or newer")'
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -e ./weights -e '.[dev]'
	touch $@

$(NODE_PACKAGES)/.installed: tests/contract/package.json
	cd tests/contract && npm install
	touch $@

clean:
	rm -rf $(VENV) $(NODE_PACKAGES) out build *.egg-info
