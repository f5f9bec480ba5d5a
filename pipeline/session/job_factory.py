"""From a message to the job that answers it, spoken in the right way."""

from pipeline.protocol.base import Request
from pipeline.protocol.catalogue_requests import Subscribe
from pipeline.protocol.classic import ArrayReplies, ClassicReplies
from pipeline.protocol.replies import Replies, RepliesWithId
from pipeline.protocol.requests import Extract, Identify, Save
from pipeline.session.config import Clock, SessionConfig
from pipeline.session.extract_job import PathsJob, StoredPhotosJob, UploadsJob
from pipeline.session.identify_job import IdentifyJob
from pipeline.session.jobs import AnswerJob, Job
from pipeline.session.save_job import SaveJob
from pipeline.session.subscribe_job import SubscribeJob
from pipeline.session.uploads import UploadQueue


class JobFactory:
    """Makes one connection's jobs and numbers them."""

    def __init__(self, config: SessionConfig, clock: Clock, uploads: UploadQueue) -> None:
        self._config = config
        self._clock = clock
        self._uploads = uploads
        self._last_number = 0

    def make(self, message: Request) -> Job:
        """Make the job of a request."""
        self._last_number += 1
        replies = self._classic_replies() if message.id is None else RepliesWithId(message.id)
        return self._job(message, replies)

    def _classic_replies(self) -> ClassicReplies:
        kind = ArrayReplies if self._config.peer.array_dialect else ClassicReplies
        return kind(self._config.device, self._config.models_dir)

    def _job(self, message: Request, replies: Replies) -> Job:
        """Requests about lists have jobs of their own; every other one has a single answer."""
        number, config, clock = self._last_number, self._config, self._clock
        match message:
            case Extract(uploads=None, photos=None):
                return PathsJob(number, message, replies, config, clock)
            case Extract(uploads=None):
                return StoredPhotosJob(number, message, replies, config, clock)
            case Extract():
                assert isinstance(replies, RepliesWithId)  # uploads need an id
                return UploadsJob(number, message, replies, config, clock, self._uploads)
            case Identify():
                return IdentifyJob(number, message, replies, config, clock)
            case Save():
                return SaveJob(number, message, replies, config, clock)
            case Subscribe():
                assert isinstance(replies, RepliesWithId)  # as below
                return SubscribeJob(number, message, replies, config, clock)
            case _:
                assert isinstance(replies, RepliesWithId)  # only the original's requests go without
                return AnswerJob(number, message, replies, config, clock)
