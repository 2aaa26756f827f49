# Every target does its own set-up. The vehicle's environment has no torch; the workshop's has everything.
PYTHON ?= python3
VEHICLE := .venv/vehicle
WORKSHOP := .venv/workshop
PIP_OPTIONS := --quiet --disable-pip-version-check

.PHONY: demo test audit check format unit screens device system-packages demo-bundle train-proof engine-proof clean

demo: $(VEHICLE)/.installed
	deploy/system-packages.sh screen
	$(VEHICLE)/bin/msu demo --out demo-out

test: system-packages check unit

check: $(WORKSHOP)/.installed
	$(WORKSHOP)/bin/ruff format --check .
	$(WORKSHOP)/bin/ruff check .
	$(WORKSHOP)/bin/mypy
	$(WORKSHOP)/bin/lint-imports
	if command -v shellcheck >/dev/null; then shellcheck .ci/run deploy/*.sh deploy/*/*.sh deploy/msu-release; fi

unit: $(WORKSHOP)/.installed
	$(WORKSHOP)/bin/pytest

# What needs an NVIDIA GPU, in the environment that runs on the device (deploy/new-device.md, step 6).
device:
	$(VEHICLE)/bin/python -m pytest tests/device

# Every screen on every panel, day and night, in every language; fails when a layout rule is broken (some minutes).
screens: $(WORKSHOP)/.installed
	$(WORKSHOP)/bin/python -m tests.ui.screens screens-out

# Known holes in the packages that vehicles get; says so and succeeds where nobody can be asked.
audit: $(WORKSHOP)/.installed
	$(WORKSHOP)/bin/python -m edge_app deploy audit

format: $(WORKSHOP)/.installed
	$(WORKSHOP)/bin/ruff check --fix-only .
	$(WORKSHOP)/bin/ruff format .

# DICOM peers and Qt's libraries that the tests use; does nothing when they are there.
system-packages:
	deploy/system-packages.sh test

# Train, export and judge the SYNTHETIC demo bundle that the package ships (18 minutes on 2 cores).
demo-bundle: $(WORKSHOP)/.installed
	$(WORKSHOP)/bin/python -m export.demo_bundle --out edge_app/bundles/demo --work demo-bundle-work

# Show on SYNTHETIC studies what the training code claims (32 minutes on 2 cores; goes on where it was stopped).
train-proof: $(WORKSHOP)/.installed
	$(WORKSHOP)/bin/python -m training.proof --out train-proof-out

# What is claimed of export and calibration, measured; --only picks claims (`python -m calibration.proof --help`).
engine-proof: $(WORKSHOP)/.installed
	$(WORKSHOP)/bin/python -m calibration.proof --out engine-proof-out

$(VEHICLE)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "msu-triage needs Python 3.10 or newer")'
	$(PYTHON) -m venv $(VEHICLE)
	$(VEHICLE)/bin/pip install $(PIP_OPTIONS) --editable .
	touch $@

$(WORKSHOP)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "msu-triage needs Python 3.10 or newer")'
	$(PYTHON) -m venv $(WORKSHOP)
	$(WORKSHOP)/bin/pip install $(PIP_OPTIONS) --editable '.[train,export,test]'
	touch $@

clean:
	rm -rf .venv demo-out screens-out demo-bundle-work train-proof-out engine-proof-out
