from concurrent.futures import Future

import pytest
from ray.exceptions import ObjectLostError, OwnerDiedError

from deployments.extractor import fetch_upload
from pipeline.errors import UnavailableError


class FakeReference:
    """An object of Ray's store, or what comes of asking for it."""

    def __init__(self, outcome):
        self._outcome = outcome

    def future(self):
        future = Future()
        if isinstance(self._outcome, Exception):
            future.set_exception(self._outcome)
        else:
            future.set_result(self._outcome)
        return future


def test_upload_comes_out_of_the_store_as_it_went_in():
    assert fetch_upload("a.jpg", FakeReference(b"whale")) == b"whale"


@pytest.mark.parametrize("error", [ObjectLostError("00" * 28, None, ""), OwnerDiedError("00" * 28, None, "")])
def test_lost_upload_may_be_sent_again(error):
    with pytest.raises(UnavailableError, match=r"a\.jpg.*send it again"):
        fetch_upload("a.jpg", FakeReference(error))
