"""Tests of an installed wheel, outside a checkout: `make test-wheel`."""
