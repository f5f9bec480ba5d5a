import logging
import os
from pathlib import Path

import pytest

from pipeline.catalogue.service_lock import check_not_held, held_catalogues
from pipeline.errors import CatalogueHeldError


def url_of(file: Path) -> str:
    return f"sqlite:///{file}"


def test_who_holds_a_catalogue_is_named(tmp_path: Path) -> None:
    url = url_of(tmp_path / "c.sqlite")
    with held_catalogues([url]):
        with pytest.raises(CatalogueHeldError, match=rf"c\.sqlite is in use .*process {os.getpid()} on"):
            check_not_held([url])
        with pytest.raises(CatalogueHeldError), held_catalogues([url]):
            pass
    check_not_held([url])
    with held_catalogues([url]):
        pass


def test_a_catalogue_is_the_same_by_another_path(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with held_catalogues([url_of(tmp_path / "real" / "c.sqlite")]), pytest.raises(CatalogueHeldError):
        check_not_held([url_of(tmp_path / "link" / "c.sqlite")])


def test_applications_of_one_service_may_share_a_catalogue(tmp_path: Path) -> None:
    with held_catalogues([url_of(tmp_path / "c.sqlite")] * 2):
        pass


def test_another_catalogue_is_free(tmp_path: Path) -> None:
    with held_catalogues([url_of(tmp_path / "a.sqlite")]), held_catalogues([url_of(tmp_path / "b.sqlite")]):
        pass


@pytest.mark.parametrize("url", ["postgresql+psycopg://server/whales", "sqlite://"])
def test_a_catalogue_that_is_no_file_is_nobodys(url: str) -> None:
    with held_catalogues([url]), held_catalogues([url]):
        check_not_held([url])


def test_checking_makes_nothing(tmp_path: Path) -> None:
    check_not_held([url_of(tmp_path / "folder" / "c.sqlite")])
    assert list(tmp_path.iterdir()) == []


def test_where_no_lock_can_be_had_the_start_says_so_and_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    (tmp_path / "file").touch()
    with held_catalogues([url_of(tmp_path / "file" / "c.sqlite")]):
        pass
    assert "cannot tell whether another service runs on it" in caplog.text
