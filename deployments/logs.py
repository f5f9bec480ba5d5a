"""Where a replica's log lines go: into the file that Serve keeps for it, beside Serve's own lines."""

import logging

PACKAGES = ("deployments", "pipeline")


class _ToServe(logging.Handler):
    """Hands lines on; Ray leaves those of other loggers than Serve's to the worker's error output."""

    def emit(self, record: logging.LogRecord) -> None:
        """Give one line to Serve's logger."""
        logging.getLogger("ray.serve").handle(record)


def log_with_serve() -> None:
    """Let the lines of this project's modules go where Serve's go; every deployment calls it when a replica starts.

    The level is that of `logging_config` in the config file.
    """
    level = logging.getLogger("ray.serve").getEffectiveLevel()
    for name in PACKAGES:
        logger = logging.getLogger(name)
        logger.handlers = [_ToServe()]
        logger.setLevel(level)
        logger.propagate = False
