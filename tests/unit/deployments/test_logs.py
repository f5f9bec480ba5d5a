import logging

import pytest

from deployments.logs import PACKAGES, log_with_serve


class Lines(logging.Handler):
    """Stands for the file that Serve keeps for a replica."""

    def __init__(self):
        super().__init__()
        self.texts = []

    def emit(self, record):
        self.texts.append(f"{record.levelname} {record.getMessage()}")


@pytest.fixture
def serve_file():
    """A replica's Serve logger, as Serve sets it up; afterwards all loggers are as they were."""
    loggers = [logging.getLogger(name) for name in ("ray.serve", *PACKAGES)]
    before = [(logger.level, logger.propagate, logger.handlers) for logger in loggers]
    lines = Lines()
    loggers[0].handlers, loggers[0].propagate = [lines], False
    loggers[0].setLevel(logging.INFO)
    yield lines
    for logger, (level, propagate, handlers) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        logger.propagate, logger.handlers = propagate, handlers


@pytest.mark.parametrize("module", ["deployments.site", "deployments.calls", "pipeline.catalogue.csv_import"])
def test_lines_of_a_module_reach_serves_file_once(serve_file, module):
    for _ in range(2):
        log_with_serve()
    logging.getLogger(module).info("%s rows", 3)
    assert serve_file.texts == ["INFO 3 rows"]


def test_level_of_the_config_holds(serve_file):
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    log_with_serve()
    logging.getLogger("deployments.site").info("chatter")
    logging.getLogger("deployments.site").warning("refused")
    assert serve_file.texts == ["WARNING refused"]
