"""Backups: whole, described and checked; put back with what they replace kept, and noticed by whoever runs."""

import errno
import json
from pathlib import Path

import pytest

from pipeline.catalogue import postgresql_copies
from pipeline.catalogue.backup import MANIFEST, back_up, read_manifest
from pipeline.catalogue.copies import BackupError
from pipeline.catalogue.people import open_people
from pipeline.catalogue.restoring import restore
from pipeline.catalogue.rows import EMPTY
from pipeline.catalogue.service_lock import held_catalogues
from pipeline.catalogue.sql_store import SqlCatalogue, open_catalogue
from pipeline.records import Actor
from tests.confirming import confirm, confirming, word


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'data' / 'catalogue.sqlite'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


def names(catalogue: SqlCatalogue) -> set[str]:
    return {row.individual for row in catalogue.changes_since(EMPTY).added}


def filled(url: str) -> SqlCatalogue:
    catalogue = open_catalogue(url)
    confirm(catalogue, [word("a"), word("b", "VERGIL")])
    return catalogue


def test_a_backup_made_while_others_write_holds_one_moment_and_says_which(url: str, tmp_path: Path) -> None:
    process = confirming(url, "I", "forever")
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().split()[0] for _ in range(5)]
    manifest = back_up(url, tmp_path / "backup")
    process.kill()
    process.communicate(timeout=60)
    assert read_manifest(tmp_path / "backup") == manifest
    restore(url, tmp_path / "backup", discard_newer=True)
    restored = open_catalogue(url)
    head, rows = manifest.catalogues["default"].head, restored.changes_since(EMPTY).added
    assert restored.head() == head
    assert set(acknowledged) <= {row.individual for row in rows}
    assert len(rows) == 2 * head.version == manifest.catalogues["default"].rows["embeddings"]
    assert restored.differences_from_log() == []
    restored.close()


def test_a_running_service_goes_over_to_what_was_restored_and_what_was_replaced_is_kept(
    url: str, tmp_path: Path
) -> None:
    replica = filled(url)
    back_up(url, tmp_path / "backup")
    seen = replica.head()
    confirm(replica, [word("lost", "NERO")])
    left = replica.head()
    kept = restore(url, tmp_path / "backup", discard_newer=True, while_running=True).kept
    assert replica.head() == replica.heads()["default"] == seen
    assert replica.changes_since(left).anew, "a reader of a state that is gone loads everything"
    assert names(replica) == {"DANTE", "VERGIL"}
    assert confirm(replica, [word("c", "SPARDA")]) == 2
    replica.close()
    assert kept is not None
    if url.startswith("sqlite"):
        before = open_catalogue(f"sqlite:///{kept}", make=False)
        assert (names(before), before.head()) == ({"DANTE", "VERGIL", "NERO"}, left)
        before.close()
    else:
        assert Path(kept).stat().st_size > 0


def test_what_a_backup_lacks_is_named_and_not_discarded(url: str, tmp_path: Path) -> None:
    catalogue = filled(url)
    back_up(url, tmp_path / "backup")
    confirm(catalogue, [word("later", "NERO")])
    open_catalogue(url, "azores").close()
    people = open_people(url)
    people.add_user(Actor("WDC", "Maya"))
    people.make_token(Actor("WDC", "Maya"), "laptop")
    people.close()
    catalogue.close()
    with pytest.raises(BackupError) as refused:
        restore(url, tmp_path / "backup")
    for said in ('1 later events of "default"', 'catalogue "azores" is not in it', "1 rows of tokens"):
        assert said in str(refused.value)
    assert names(open_catalogue(url)) == {"DANTE", "VERGIL", "NERO"}


def test_another_history_is_not_overwritten(url: str, tmp_path: Path) -> None:
    catalogue = filled(url)
    back_up(url, tmp_path / "one")
    confirm(catalogue, [word("c", "NERO")])
    back_up(url, tmp_path / "two")
    catalogue.close()
    restore(url, tmp_path / "one", discard_newer=True)
    catalogue = open_catalogue(url)
    confirm(catalogue, [word("c", "SPARDA")])
    catalogue.close()
    with pytest.raises(BackupError, match="has another history than the backup"):
        restore(url, tmp_path / "two")
    assert names(open_catalogue(url)) == {"DANTE", "VERGIL", "SPARDA"}


def test_an_empty_place_and_one_with_nothing_more_take_a_backup_as_it_is(url: str, tmp_path: Path) -> None:
    catalogue = filled(url)
    back_up(url, tmp_path / "backup")
    catalogue.close()
    restore(url, tmp_path / "backup")
    elsewhere = f"sqlite:///{tmp_path / 'new' / 'catalogue.sqlite'}"
    if url.startswith("sqlite"):
        assert restore(elsewhere, tmp_path / "backup").kept is None
        assert names(open_catalogue(elsewhere, make=False)) == {"DANTE", "VERGIL"}


def test_a_catalogue_in_use_is_left_alone(url: str, tmp_path: Path) -> None:
    catalogue = filled(url)
    back_up(url, tmp_path / "backup")
    reason = "in use by another service" if url.startswith("sqlite") else "connections of a service are open"
    with held_catalogues([url]), pytest.raises(BackupError, match=f"{reason}.*--while-running"):
        restore(url, tmp_path / "backup")
    assert catalogue.head().version == 1
    catalogue.close()


def test_no_backup_is_overwritten_and_none_is_half(url: str, tmp_path: Path) -> None:
    filled(url).close()
    (tmp_path / "backup").mkdir()
    with pytest.raises(BackupError, match="is there already"):
        back_up(url, tmp_path / "backup")
    with pytest.raises(BackupError, match="cannot be written"):
        back_up(url, tmp_path / "nowhere" / "backup")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "data") == ["backup"]


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    url = f"sqlite:///{tmp_path / 'catalogue.sqlite'}"
    filled(url).close()
    back_up(url, tmp_path / "backup")
    return tmp_path / "backup"


def test_a_damaged_backup_is_refused_and_changes_nothing(backup: Path, tmp_path: Path) -> None:
    file = backup / "catalogue.sqlite"
    content = bytearray(file.read_bytes())
    content[5000] ^= 1
    file.write_bytes(content)
    before = (tmp_path / "catalogue.sqlite").read_bytes()
    with pytest.raises(BackupError, match=r"catalogue\.sqlite: is damaged.*take another backup"):
        restore(f"sqlite:///{tmp_path / 'catalogue.sqlite'}", backup, discard_newer=True)
    assert (tmp_path / "catalogue.sqlite").read_bytes() == before


@pytest.mark.parametrize(
    ("part", "value", "reason"),
    [
        ("format", 2, "is not the manifest of a backup"),
        ("catalogues", None, "is not the manifest of a backup"),
        ("file", "../catalogue.sqlite", "is not the manifest of a backup"),
        ("file", "gone.sqlite", "is not a whole backup"),
        ("layout", 99, "made by a newer release"),
    ],
)
def test_a_manifest_that_cannot_be_right_is_refused(backup: Path, part: str, value: object, reason: str) -> None:
    manifest = json.loads((backup / MANIFEST).read_text())
    (backup / MANIFEST).write_text(json.dumps(manifest | {part: value}))
    with pytest.raises(BackupError, match=reason):
        read_manifest(backup)


def test_a_backup_of_another_kind_of_database_is_refused(backup: Path) -> None:
    with pytest.raises(BackupError, match="backup of a sqlite database; catalogue_url names one of postgresql"):
        restore("postgresql+psycopg://whales@localhost/whales", backup)


def test_a_damaged_catalogue_is_replaced_only_when_told_and_kept(backup: Path, tmp_path: Path) -> None:
    file = tmp_path / "catalogue.sqlite"
    file.write_bytes(b"nothing that SQLite knows" * 100)
    with pytest.raises(BackupError, match="it cannot be read"):
        restore(f"sqlite:///{file}", backup)
    kept = restore(f"sqlite:///{file}", backup, discard_newer=True).kept
    assert kept is not None
    assert Path(kept).read_bytes().startswith(b"nothing that SQLite knows")
    assert names(open_catalogue(f"sqlite:///{file}", make=False)) == {"DANTE", "VERGIL"}


def test_the_service_s_user_may_write_what_another_has_restored(backup: Path, tmp_path: Path) -> None:
    file = tmp_path / "catalogue.sqlite"
    file.chmod(0o660)
    restore(f"sqlite:///{file}", backup)
    assert file.stat().st_mode & 0o777 == 0o660
    assert (file.stat().st_uid, file.stat().st_gid) == (tmp_path.stat().st_uid, tmp_path.stat().st_gid)


@pytest.mark.parametrize("fails", ["catalogue.sqlite.restoring", "catalogue.sqlite-wal"])
def test_a_restore_that_fails_halfway_leaves_the_catalogue_as_it_is(
    backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    file, rename = tmp_path / "catalogue.sqlite", Path.rename
    writer = open_catalogue(f"sqlite:///{file}")
    confirm(writer, [word("in the log", "NERO")])

    def refuse(path: Path, target: Path) -> Path:
        if path.name == fails:
            raise OSError(errno.EIO, "the disk is gone")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(BackupError, match="stays as it is: the disk is gone"):
        restore(f"sqlite:///{file}", backup, discard_newer=True, while_running=True)
    assert names(writer) == {"DANTE", "VERGIL", "NERO"}
    assert confirm(writer, [word("after", "SPARDA")]) == 3
    writer.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup", "catalogue.sqlite"]


def test_the_log_of_a_file_that_was_not_closed_is_kept_with_it(backup: Path, tmp_path: Path) -> None:
    file = tmp_path / "catalogue.sqlite"
    writer = open_catalogue(f"sqlite:///{file}")
    confirm(writer, [word("in the log", "NERO")])
    kept = restore(f"sqlite:///{file}", backup, discard_newer=True, while_running=True).kept
    assert kept is not None
    assert Path(f"{kept}-wal").stat().st_size > 0
    assert writer.head().version == 1
    before = open_catalogue(f"sqlite:///{kept}", make=False)
    assert "NERO" in names(before)
    writer.close()


def test_missing_programs_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, postgres_url: str) -> None:
    filled(postgres_url).close()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(postgresql_copies, "_DEBIAN", tmp_path)
    with pytest.raises(BackupError, match="pg_dump is not installed: install"):
        back_up(postgres_url, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()
