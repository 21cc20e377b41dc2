"""Other names of an option, taken but not shown: what a neighbouring verb calls it, or what it was once called."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def alias(parser: argparse.ArgumentParser, option: argparse.Action, *names: str) -> None:
    """Take an option by further names, which neither help nor completion shows."""
    for name in names:
        parser._option_string_actions[name] = option  # noqa: SLF001 - argparse shows every name that it is told of
