"""Tests of what needs the pynq package; `make test-board` runs them in an environment like a board's."""
