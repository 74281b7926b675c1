"""The last resort: end the process before anything is acknowledged that has not lasted."""

import logging
import os
from typing import NoReturn

logger = logging.getLogger(__name__)

EXIT_CODE = 70
"""EX_SOFTWARE of sysexits: started again, the worker takes the same input up once more."""


def die(reason: str) -> NoReturn:
    """End the process at once: the only way out on which Faust acknowledges nothing."""
    logger.critical("exit without acknowledging, so that the input comes again: %s", reason)
    logging.shutdown()
    os._exit(EXIT_CODE)
