"""The parts of `monitor`."""
