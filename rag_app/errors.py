"""The one error that is the user's to mend."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["InputError", "RefusedError", "one_line", "reported_as_input", "shown_on_a_line"]


class InputError(ValueError):
    """What was given cannot be used; the message says what happened and what to do. The command line exits with 2."""


class RefusedError(InputError):
    """The generator's server refused a question, for example as too long; it may well answer others."""


def one_line(error: BaseException) -> str:
    """The error's message on one line; its kind when it has no message."""
    return shown_on_a_line(str(error)) or type(error).__name__


def shown_on_a_line(text: str) -> str:
    """The text on one line, with escapes for what would confuse a terminal: control characters and half characters."""
    return "".join(map(_escaped, " ".join(text.split())))


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode() if unicodedata.category(char) in {"Cc", "Cs"} else char


@contextmanager
def reported_as_input(what: str = "", *, kinds: tuple[type[Exception], ...] = (ValueError, OSError)) -> Iterator[None]:
    """Turns errors of the given kinds into an `InputError`: for calls whose failures come from what was given.

    Args:
        what: put before the message, for example `"the knowledge base 'mine'"`; empty leaves the message alone.
        kinds: the errors to turn.

    Raises:
        InputError: one of these errors came.
    """
    try:
        yield
    except InputError:
        raise
    except kinds as error:
        raise InputError(f"{what}: {one_line(error)}" if what else one_line(error)) from error
