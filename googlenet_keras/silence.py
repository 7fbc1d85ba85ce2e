"""Keeping off the terminal what libraries say about their own inner work."""

import contextlib
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_logger(name: str) -> Iterator[None]:
    """Lets a library's logger report nothing but errors while the block runs.

    Args:
        name: The logger's, such as ``"tensorflow"``.
    """
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
