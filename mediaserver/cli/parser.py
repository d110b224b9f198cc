"""The parser of each command: its help ends with examples, its errors with the next step."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from typing import Any, NoReturn

_HEAD = "Examples:\n"


class _Formatter(argparse.HelpFormatter):
    """Wraps descriptions; examples keep their lines."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith(_HEAD) else super()._fill_text(text, width, indent)


class Parser(argparse.ArgumentParser):
    """``examples`` are commands that a reader can paste; ``--help`` lists them."""

    def __init__(self, *arguments: Any, examples: Sequence[str] = (), **options: Any) -> None:
        epilog = _HEAD + "\n".join(f"  {example}" for example in examples) if examples else None
        super().__init__(*arguments, **{"formatter_class": _Formatter, "epilog": epilog} | options)
        self.examples = tuple(examples)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does it; of an unknown option the error suggests a known option."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            near = difflib.get_close_matches(unknown[0].partition("=")[0], self._option_string_actions, n=1)
            advice = f"; did you mean {near[0]}?" if near else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{advice}")
        return parsed

    def error(self, message: str) -> NoReturn:
        """Exits with 2: the usage, what is wrong, and where the allowed values are."""
        super().error(f"{message}; for all options and examples: {self.prog} --help")
