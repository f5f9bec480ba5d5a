"""Errors of the commands that make and judge models; the same tree and the same `code`s as the service's."""

from pipeline.errors import WhaleVisionError


class TrainingError(WhaleVisionError):
    """Root of what stops a training, evaluation or enrolment command; its message says what to change."""

    code = "training"


class TrainingDataError(TrainingError):
    """The photos or their labels cannot be used as they are; lists everything that is wrong with them."""

    code = "training_data"


class ChangedRunError(TrainingError):
    """The folder holds the checkpoint of another run: other data, recipe or settings than the command asks for."""

    code = "changed_run"


class BusyRunError(TrainingError):
    """Another process trains in the same folder."""

    code = "busy_run"


class DivergedError(TrainingError):
    """The loss is no longer a number."""

    code = "diverged"


class CollapsedError(TrainingError):
    """The embeddings of different animals have become the same: the run is dead."""

    code = "collapsed"


class InitialWeightsError(TrainingError):
    """The initial weights cannot be had or do not belong to the architecture."""

    code = "initial_weights"
