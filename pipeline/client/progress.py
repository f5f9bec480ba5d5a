"""FairQueue the progress of single requests into that of a whole call, split and repeated as it may be."""

from pipeline.client.results import JsonObject, OnProgress, Progress


class ProgressReport:
    """Tells the caller of each advance, once; a stage never goes back when a request is repeated."""

    def __init__(self, on_progress: OnProgress | None, total: int) -> None:
        self._on_progress = on_progress
        self._total = total
        self._before = 0
        self._done: dict[str, int] = {}

    def begin(self, left: int) -> None:
        """Note that a request begins while `left` items of the call have no answer."""
        self._before = self._total - left

    def report(self, stage: str, done: int) -> None:
        """Note that `done` items of the running request have passed a stage."""
        done = min(self._before + done, self._total)
        if self._on_progress is not None and done > self._done.get(stage, 0):
            self._done[stage] = done
            self._on_progress(Progress(stage, done, self._total))

    def relay(self, message: JsonObject) -> None:
        """Report a message of the server, if it is one about progress."""
        if message.get("type") == "progress":
            self.report(str(message.get("stage")), int(message.get("done") or 0))

    def finish(self, stage: str) -> None:
        """Report that all items have passed a stage."""
        self._before = 0
        self.report(stage, self._total)
