"""What is installed from a wheel, outside a checkout: `make test-wheel`."""
