"""Which file a catalogue's URL names, if any."""

from pathlib import Path

import pytest

from pipeline.catalogue_url import catalogue_file


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:////data/a.sqlite", "/data/a.sqlite"),
        ("sqlite+pysqlite:///a.sqlite", "a.sqlite"),
        ("sqlite:///file:/data/a%20b.sqlite?uri=true", "/data/a b.sqlite"),
        ("sqlite:///file:///data/a.sqlite?mode=rw&uri=true", "/data/a.sqlite"),
        ("sqlite:///file:odd", "file:odd"),
        ("sqlite://", None),
        ("sqlite:///file::memory:?uri=true", None),
        ("postgresql+psycopg://db/whales", None),
        ("no url", None),
    ],
)
def test_the_file_of_a_catalogue_is_found_in_its_url(url, file):
    assert catalogue_file(url) == (None if file is None else Path(file))
