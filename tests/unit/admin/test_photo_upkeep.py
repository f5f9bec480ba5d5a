"""The photo store in check, backup, restore and collect: nothing that a row names is ever lost."""

import json
import os
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.admin.backup_commands import upkeep
from pipeline.catalogue.copies import BackupError
from pipeline.catalogue.people import open_people
from pipeline.catalogue.photos import open_photos
from pipeline.catalogue.sql_store import open_catalogue
from pipeline.errors import UnavailableError
from pipeline.photo_store.store import PhotoStore
from pipeline.records import LOCAL_USER, OPERATOR, Actor, PhotoKey
from pipeline.stored_photos import NOT_TOLD, PhotoFacts, PhotoRecord
from tests.confirming import confirm, word
from tests.unit.admin.photos_made import Service

Captured = pytest.CaptureFixture[str]


# --- check ---


def test_a_check_names_photos_without_file_and_with_a_wrong_one(service: Service, capsys: Captured) -> None:
    whole, missing, short, changed = (service.keep(content) for content in (b"whole", b"gone", b"short", b"other"))
    assert service.run("check") == 0
    service.file(missing).unlink()
    service.file(short).write_bytes(b"sho")
    service.file(changed).write_bytes(b"OTHER")
    capsys.readouterr()
    assert service.run("check") == 3
    said = capsys.readouterr().out
    assert f"error: default: photo_missing: {missing}" in said
    assert f"error: default: photo_damaged: {short}: its file has 3 bytes, 5 when it came" in said
    assert changed not in said
    assert whole not in said
    assert service.run("check", "--read-photos") == 3
    assert f"error: default: photo_damaged: {changed}: its file has another hash" in capsys.readouterr().out


def test_a_check_notes_files_that_no_row_names_and_those_left_on_their_way(service: Service, capsys: Captured) -> None:
    service.keep(b"no row", listed=False)
    incoming = service.folder / "store" / "incoming" / "abc"
    incoming.parent.mkdir(exist_ok=True)
    incoming.write_bytes(b"half")
    long_ago_s = time.time() - 7200
    os.utime(incoming, (long_ago_s, long_ago_s))
    assert service.run("check") == 0
    said = capsys.readouterr().out
    assert "note: photo_unnamed: 1 files that no row names take 6 bytes" in said
    assert "note: photo_left_over: 1 files" in said


def test_a_check_says_that_the_store_is_another_databases_or_gone(service: Service, capsys: Captured) -> None:
    service.keep(b"whole")
    PhotoStore(f"file://{service.folder / 'store'}").write_marker("another")
    assert service.run("check") == 3
    assert "photo_store" in capsys.readouterr().out
    (service.folder / "store").rename(service.folder / "unmounted")
    assert service.run("check") == 3
    assert "not mounted" in capsys.readouterr().out


# --- backup and restore ---


def test_photos_are_backed_up_once_for_all_backups_and_come_back(service: Service, capsys: Captured) -> None:
    first = service.keep(b"first")
    backups = service.folder / "backups"
    backups.mkdir()
    assert service.run("backup", str(backups / "monday")) == 0
    copied_at = service.file(first, "backups/photos").stat().st_mtime_ns
    second = service.keep(b"second")
    assert service.run("backup", str(backups / "tuesday")) == 0
    assert "2 photos, 11 bytes" in capsys.readouterr().out
    assert service.file(first, "backups/photos").stat().st_mtime_ns == copied_at
    shutil.rmtree(service.folder / "store")
    assert service.run("restore", str(backups / "tuesday"), "--while-running") == 0
    assert "2 photos came back" in capsys.readouterr().out
    assert service.store.read(first, 100) == b"first"
    assert service.store.read(second, 100) == b"second"
    assert service.run("check", "--read-photos") == 0


def test_a_backup_leaves_out_what_came_after_the_database_and_holds_the_rest(service: Service) -> None:
    before = service.keep(b"before")
    after = service.keep(b"after", listed=False)
    assert service.run("backup", str(service.folder / "b")) == 0
    manifest = json.loads((service.folder / "b" / "manifest.json").read_text())
    assert (manifest["photos"]["count"], manifest["photos"]["missing"]) == (1, [])
    assert service.file(before, "photos").exists()
    assert not service.file(after, "photos").exists()


def test_a_photo_that_cannot_be_backed_up_is_named_and_the_backup_is_made(service: Service, capsys: Captured) -> None:
    lost, rotten, whole = (service.keep(content) for content in (b"lost", b"rotten", b"whole"))
    service.file(lost).unlink()
    service.file(rotten).write_bytes(b"ROTTEN")
    assert service.run("backup", str(service.folder / "b")) == 3
    said = capsys.readouterr().out
    assert {f"missing: {lost}", f"missing: {rotten}"} <= set(said.splitlines())
    assert not service.file(rotten, "photos").exists()
    service.file(whole).unlink()
    assert service.run("restore", str(service.folder / "b"), "--while-running") == 3
    said = capsys.readouterr().out
    assert f"missing: {lost}" in said
    assert service.store.read(whole, 100) == b"whole"


def test_one_file_that_cannot_be_read_stops_neither_backup_nor_check(service: Service, capsys: Captured) -> None:
    good, bad = service.keep(b"good"), service.keep(b"bad")
    service.file(bad).unlink()
    service.file(bad).mkdir()  # as a bad sector would: there, and not to be read
    assert service.run("backup", str(service.folder / "monday")) == 3
    assert f"missing: {bad}" in capsys.readouterr().out
    assert service.file(good, "photos").read_bytes() == b"good"
    assert service.run("check", "--read-photos") == 3
    assert bad in capsys.readouterr().out


def test_a_restored_photo_replaces_a_file_of_another_length(service: Service) -> None:
    photo = service.keep(b"a photo")
    assert service.run("backup", str(service.folder / "b")) == 0
    service.file(photo).write_bytes(b"a pho")
    assert service.run("restore", str(service.folder / "b"), "--while-running") == 0
    assert service.store.read(photo, 100) == b"a photo"


def test_photos_are_not_restored_into_another_databases_store(service: Service, capsys: Captured) -> None:
    service.keep(b"a photo")
    assert service.run("backup", str(service.folder / "b")) == 0
    PhotoStore(f"file://{service.folder / 'store'}").write_marker("another")
    assert service.run("restore", str(service.folder / "b"), "--while-running") == 1
    assert "belongs to another database (another)" in capsys.readouterr().err
    assert service.run("restore", str(service.folder / "b"), "--while-running", "--without-photos") == 0


def test_a_store_that_cannot_be_read_is_no_backup_without_saying_so(service: Service, capsys: Captured) -> None:
    service.keep(b"a photo")
    (service.folder / "store").rename(service.folder / "unmounted")
    assert service.run("backup", str(service.folder / "b")) == 1
    assert "--without-photos" in capsys.readouterr().err
    assert not (service.folder / "b").exists()
    assert service.run("backup", str(service.folder / "b"), "--without-photos") == 0
    assert json.loads((service.folder / "b" / "manifest.json").read_text())["photos"] is None


def test_a_list_of_photos_that_was_changed_is_refused(service: Service, capsys: Captured) -> None:
    service.keep(b"a photo")
    assert service.run("backup", str(service.folder / "b")) == 0
    (service.folder / "b" / "photos.txt").write_text("")
    assert service.run("restore", str(service.folder / "b"), "--while-running") == 1
    assert "photos.txt: is damaged" in capsys.readouterr().err


def test_the_backups_photos_may_be_elsewhere(service: Service) -> None:
    photo = service.keep(b"a photo")
    elsewhere = f"file://{service.folder / 'elsewhere'}"
    assert service.run("backup", str(service.folder / "b"), "--photos", elsewhere) == 0
    assert service.file(photo, "elsewhere").exists()
    service.file(photo).unlink()
    assert service.run("restore", str(service.folder / "b"), "--while-running") == 0
    assert service.store.read(photo, 100) == b"a photo"


# --- collect ---


def old(service: Service, *hashes: str) -> None:
    """Let files have come two days ago."""
    long_ago_s = time.time() - 2 * 86400
    for sha256 in hashes:
        os.utime(service.file(sha256), (long_ago_s, long_ago_s))


def test_collect_deletes_only_old_files_that_no_row_names_and_only_when_told(
    service: Service, capsys: Captured
) -> None:
    listed = service.keep(b"listed")
    unnamed, young = service.keep(b"unnamed", listed=False), service.keep(b"young", listed=False)
    said_of = service.keep(b"said of", listed=False)
    catalogue = open_catalogue(service.url)
    confirm(catalogue, [replace(word("a"), key=PhotoKey(f"sha256:{said_of}"))])
    catalogue.close()
    old(service, listed, unnamed, said_of)
    for sha256 in (listed, unnamed):
        service.store.write_derived(sha256, "w160.jpg", b"picture")
    (service.folder / "store" / "photos" / "readme.txt").write_text("not a photo")
    assert service.run("collect") == 0
    said = capsys.readouterr().out
    assert f"{unnamed}: 7 bytes" in said
    assert "1 photos with 7 bytes and pictures of 1 photos with 7 bytes would go" in said
    assert "1 photos that no row names are too young" in said
    assert service.file(unnamed).exists()
    assert service.run("collect", "--apply", "--json") == 0
    assert json.loads(capsys.readouterr().out)["deleted"] == [unnamed]
    assert not service.file(unnamed).exists()
    assert all(service.file(sha256).exists() for sha256 in (listed, young, said_of))
    assert service.store.read_derived(unnamed, "w160.jpg") is None
    assert service.store.read_derived(listed, "w160.jpg") == b"picture"
    assert (service.folder / "store" / "photos" / "readme.txt").exists()
    assert service.run("collect", "--apply", "--grace-hours", "0") == 0
    assert not service.file(young).exists()


def test_collect_never_touches_another_databases_store(service: Service, capsys: Captured) -> None:
    unnamed = service.keep(b"unnamed", listed=False)
    old(service, unnamed)
    PhotoStore(f"file://{service.folder / 'store'}").write_marker("another")
    assert service.run("collect", "--apply") == 1
    assert "belongs to another catalogue" in capsys.readouterr().err
    assert service.file(unnamed).exists()


def test_a_photo_that_is_listed_after_it_was_found_stays(service: Service) -> None:
    unnamed = service.keep(b"unnamed", listed=False)
    service.record(unnamed, 7)
    assert service.photos.delete_unnamed([unnamed], service.store.delete) == []
    assert service.file(unnamed).exists()


def test_a_photo_that_is_deleted_while_it_is_listed_again_is_not_listed_without_its_file(service: Service) -> None:
    unnamed = service.keep(b"unnamed", listed=False)
    deleting, lists = threading.Event(), open_photos(service.url)

    def delete(sha256: str) -> None:
        deleting.set()
        time.sleep(0.3)  # whoever lists it waits
        service.store.delete(sha256)

    collector = threading.Thread(target=service.photos.delete_unnamed, args=([unnamed], delete))
    collector.start()
    assert deleting.wait(10)
    record = PhotoRecord(unnamed, 7, PhotoFacts((1, 1), NOT_TOLD), None)
    with pytest.raises(UnavailableError, match="send it again"):
        lists.add("default", record, LOCAL_USER, lambda: service.store.has(unnamed))
    collector.join()
    assert lists.find("default", unnamed) is None
    lists.close()


# --- one at a time ---


def test_collect_waits_for_no_backup_and_says_whose_it_is(service: Service, capsys: Captured) -> None:
    unnamed = service.keep(b"unnamed", listed=False)
    old(service, unnamed)
    with upkeep(service.url, "backup") as go_on:
        assert service.run("collect", "--apply") == 1
        assert "backup" in capsys.readouterr().err
        assert service.run("backup", str(service.folder / "b")) == 1
        go_on()
    assert service.file(unnamed).exists()
    assert service.run("collect", "--apply") == 0
    assert not service.file(unnamed).exists()


def test_the_lock_of_a_process_that_was_killed_is_gone_with_it(service: Service) -> None:
    if service.url.startswith("sqlite"):
        (service.folder / "catalogue.sqlite-upkeep").write_text("backup, process 1 on elsewhere\n")
    with upkeep(service.url, "collect"):
        pass


def test_a_lock_that_the_server_took_away_ends_the_work(service: Service) -> None:
    if service.url.startswith("sqlite"):
        pytest.skip("the system takes no lock away")
    with upkeep(service.url, "backup") as go_on, service.photos._database.writing() as connection:
        go_on()
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE starts_with(application_name, 'whale-vision upkeep') AND datname = current_database()"
        )
        with pytest.raises(BackupError, match="start again"):
            go_on()


def test_a_backup_goes_on_where_no_lock_can_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(f"sqlite:///{tmp_path / 'catalogue.sqlite'}", tmp_path)
    service.keep(b"a photo")
    (tmp_path / "catalogue.sqlite-upkeep").mkdir()
    assert service.run("backup", str(tmp_path / "b")) == 0
    assert service.run("collect") == 1


# --- usage ---


def test_usage_counts_photos_by_catalogue_and_institution_each_once(service: Service, capsys: Captured) -> None:
    people = open_people(service.url)
    maya = Actor("WDC", "Maya")
    people.add_user(maya)
    for name in ("azores", "norway"):
        people.add_catalogue(name, maya, None, OPERATOR)
    people.close()
    shared, own = service.keep(b"shared"), service.keep(b"own")
    for name in ("azores", "norway"):
        service.record(shared, 6, name)
    assert service.run("usage", "--json") == 0
    usage = json.loads(capsys.readouterr().out)
    held = {each["name"]: (each["photos"], each["photo_bytes"]) for each in usage["catalogues"]}
    assert held == {"azores": (1, 6), "default": (2, 9), "norway": (1, 6)}
    assert {tuple(each.values()) for each in usage["photos"]} == {("WDC", 1, 6), ("default", 2, 9), (None, 2, 9)}
    assert service.photos.total_bytes() == 9
    assert service.photos.named() == {shared, own}
    assert service.run("usage") == 0
    assert "(all)" in capsys.readouterr().out
