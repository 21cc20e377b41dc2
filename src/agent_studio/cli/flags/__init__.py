"""The parts of `flags`."""
