"""Keeps messages that libraries log about their own internals off the terminal."""

import contextlib
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_logger(name: str) -> Iterator[None]:
    """Makes a library's logger report only errors while the block runs.

    Args:
        name: The name of the logger, such as ``"tensorflow"``.
    """
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
