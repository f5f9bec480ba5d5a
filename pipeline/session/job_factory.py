"""From a message to the job that answers it, spoken in the right way."""

from typing import assert_never

from pipeline.errors import TooManyPhotosError
from pipeline.protocol.classic import ArrayReplies, ClassicReplies
from pipeline.protocol.replies import Replies, RepliesWithId
from pipeline.protocol.requests import ExtractPaths, ExtractUploads, Identify, Request, Save
from pipeline.session.config import Clock, SessionConfig
from pipeline.session.extract_job import PathsJob, UploadsJob
from pipeline.session.identify_job import IdentifyJob
from pipeline.session.jobs import Job
from pipeline.session.save_job import SaveJob


class JobFactory:
    """Makes one connection's jobs and numbers them."""

    def __init__(self, config: SessionConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._last_number = 0

    def make(self, message: Request) -> Job:
        """Make the job of a request.

        Raises:
            TooManyPhotosError: the request's list is too long.
        """
        limit, length = self._config.limits.max_photos_per_request, _length(message)
        if length > limit:
            raise TooManyPhotosError(f"the request has {length} items; at most {limit} are accepted, split it")
        self._last_number += 1
        if message.request_id is None:
            return self._job(message, self._classic_replies())
        job = self._job(message, replies := RepliesWithId(message.request_id))
        if not isinstance(message, Save) and message.stream:
            job.stream_to(replies)
        return job

    def _classic_replies(self) -> ClassicReplies:
        kind = ArrayReplies if self._config.array_dialect else ClassicReplies
        return kind(self._config.device, self._config.models_dir)

    def _job(self, message: Request, replies: Replies) -> Job:
        number = self._last_number
        match message:
            case ExtractPaths():
                return PathsJob(number, message, replies, self._config, self._clock)
            case ExtractUploads():
                return UploadsJob(number, message, RepliesWithId(message.request_id), self._config, self._clock)
            case Identify():
                return IdentifyJob(number, message, replies, self._config, self._clock)
            case Save():
                return SaveJob(number, message, replies, self._config, self._clock)
            case _:
                assert_never(message)


def _length(message: Request) -> int:
    return len(message.paths if isinstance(message, ExtractPaths) else message.items)
