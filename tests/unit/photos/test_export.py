"""`save` copies photos into their individuals' folders, whole or not at all, and never anywhere else."""

import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.photos.export import PhotoExport
from pipeline.photos.files import PhotoFiles
from pipeline.records import SaveOutcome
from pipeline.settings import Settings


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    (tmp_path / "trip").mkdir()
    file = tmp_path / "trip" / "IMG_0689.jpg"
    file.write_bytes(b"whale")
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "export"


@pytest.fixture
def export(folder: Path) -> PhotoExport:
    return PhotoExport(folder, PhotoFiles())


def files_in(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, temporary ones included."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def failed(outcome: SaveOutcome, code: str, reason: str) -> None:
    assert outcome.new_file is None
    assert outcome.failure is not None
    assert outcome.failure.code == code
    assert reason in outcome.failure.message


def test_photo_is_copied_into_its_individuals_folder(export: PhotoExport, folder: Path, photo: Path) -> None:
    outcome = export.save(str(photo), "PMOD001_DANTE", local_peer=True)
    assert outcome == SaveOutcome(str(folder / "PMOD001_DANTE" / "IMG_0689.jpg"))
    assert files_in(folder) == {"PMOD001_DANTE/IMG_0689.jpg": b"whale"}
    assert photo.read_bytes() == b"whale"


def test_same_bytes_are_skipped(export: PhotoExport, folder: Path, photo: Path) -> None:
    first = export.save(str(photo), "Dante", local_peer=True)
    assert export.save(str(photo), "Dante", local_peer=True) == SaveOutcome(first.new_file, skipped=True)
    assert len(files_in(folder)) == 1


def test_other_bytes_under_a_name_get_the_next_number(export: PhotoExport, folder: Path, photo: Path) -> None:
    for content in (b"whale", b"other", b"third"):
        photo.write_bytes(content)
        export.save(str(photo), "Dante", local_peer=True)
    photo.write_bytes(b"other")
    again = export.save(str(photo), "Dante", local_peer=True)
    assert again == SaveOutcome(str(folder / "Dante" / "IMG_0689-2.jpg"), skipped=True)
    assert files_in(folder) == {
        "Dante/IMG_0689.jpg": b"whale",
        "Dante/IMG_0689-2.jpg": b"other",
        "Dante/IMG_0689-3.jpg": b"third",
    }


def test_long_photos_are_compared_to_their_last_byte(export: PhotoExport, folder: Path, photo: Path) -> None:
    content = os.urandom(3 * 2**20)
    for last in (b"a", b"b"):
        photo.write_bytes(content + last)
        export.save(str(photo), "Dante", local_peer=True)
    assert sorted(files_in(folder)) == ["Dante/IMG_0689-2.jpg", "Dante/IMG_0689.jpg"]


def test_same_photo_of_two_individuals_is_in_both_folders(export: PhotoExport, folder: Path, photo: Path) -> None:
    for identity in ("Dante", "  Beatrice "):
        export.save(str(photo), identity, local_peer=True)
    assert sorted(files_in(folder)) == ["Beatrice/IMG_0689.jpg", "Dante/IMG_0689.jpg"]


def test_identity_has_one_folder_in_either_unicode_form(export: PhotoExport, folder: Path, photo: Path) -> None:
    export.save(str(photo), "Jose\u0301", local_peer=True)
    assert export.save(str(photo), "Jos\u00e9", local_peer=True).skipped


def test_a_photo_costs_the_same_however_many_of_its_name_are_there(
    export: PhotoExport, folder: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    really_open = os.open

    def counting(path: str, *rest: int, **folder: int) -> int:
        opened.append(str(path))
        return really_open(path, *rest, **folder)

    monkeypatch.setattr(os, "open", counting)
    costs = []
    for number in range(60):
        photo.write_bytes(f"{number:02}".encode() * 500)  # all of one length
        opened.clear()
        assert not export.save(str(photo), "Dante", local_peer=True).skipped
        costs.append(len(opened))
    assert len(set(costs[1:])) == 1
    photo.write_bytes(b"17" * 500)
    assert export.save(str(photo), "Dante", local_peer=True) == SaveOutcome(
        str(folder / "Dante" / "IMG_0689-18.jpg"), skipped=True
    )


def test_another_process_that_saved_before_is_noticed(export: PhotoExport, folder: Path, photo: Path) -> None:
    other = PhotoExport(folder, PhotoFiles())
    for saver, content in ((export, b"one"), (other, b"two"), (export, b"two"), (export, b"three"), (other, b"four")):
        photo.write_bytes(content)
        saver.save(str(photo), "Dante", local_peer=True)
    assert files_in(folder) == {
        "Dante/IMG_0689.jpg": b"one",
        "Dante/IMG_0689-2.jpg": b"two",
        "Dante/IMG_0689-3.jpg": b"three",
        "Dante/IMG_0689-4.jpg": b"four",
    }


@pytest.mark.parametrize("kept", ["nothing", "the folder"])
def test_numbers_begin_anew_where_somebody_took_the_photos_away(
    export: PhotoExport, folder: Path, photo: Path, kept: str
) -> None:
    for content in (b"one", b"two"):
        photo.write_bytes(content)
        export.save(str(photo), "Dante", local_peer=True)
    for file in (folder / "Dante").iterdir():
        file.unlink()
    if kept == "nothing":
        (folder / "Dante").rmdir()
    assert export.save(str(photo), "Dante", local_peer=True).new_file == str(folder / "Dante" / "IMG_0689.jpg")


def test_what_a_killed_save_left_behind_is_removed_by_a_later_one(folder: Path, photo: Path) -> None:
    left, running, other = (folder / "Dante" / name for name in (f".{'0' * 16}.part", f".{'1' * 16}.part", ".my.part"))
    left.parent.mkdir(parents=True)
    for file in (left, running, other):
        file.write_bytes(b"half")
    for file in (left, other):
        os.utime(file, (0, 0))
    PhotoExport(folder, PhotoFiles()).save(str(photo), "Dante", local_peer=True)
    assert sorted(file.name for file in left.parent.iterdir()) == sorted([running.name, other.name, photo.name])


def test_link_replaced_while_a_photo_is_looked_for_is_that_photos_outcome(
    export: PhotoExport, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = photo.with_name("link.jpg")
    link.symlink_to(photo)
    monkeypatch.setattr(os, "readlink", failing(errno.EINVAL))
    failed(export.save(str(link), "Dante", local_peer=True), "unreadable", "try again")


# --- staying inside --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "identity",
    [
        "",
        " ",
        ".",
        "..",
        "../x",
        "/etc",
        "a/b",
        "a\\b",
        "..\\x",
        "C:\\x",
        "a\0",
        "a\nb",
        "CON",
        "nul.x",
        "x.",
        "x" * 300,
        "\ud800",
    ],
)
def test_identity_that_is_no_folder_name_is_refused(
    export: PhotoExport, tmp_path: Path, photo: Path, identity: str
) -> None:
    failed(export.save(str(photo), identity, local_peer=True), "bad_identity", "identity")
    assert files_in(tmp_path) == {"trip/IMG_0689.jpg": b"whale"}


@pytest.mark.parametrize("name", ["a\\b.jpg", "..\\x.jpg", "a\nb.jpg", "NUL.jpg", "a.jpg.", "com1"])
def test_file_name_that_not_every_disk_can_hold_is_refused(export: PhotoExport, photo: Path, name: str) -> None:
    file = photo.with_name(name)
    file.write_bytes(b"x")
    failed(export.save(str(file), "Dante", local_peer=True), "export_failed", "rename the file")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(identity=st.text(max_size=12) | st.sampled_from(["../../x", "..", "trip/../../y", "a/../../trip"]))
def test_nothing_is_ever_written_outside_the_export_folder(
    export: PhotoExport, folder: Path, photo: Path, tmp_path: Path, identity: str
) -> None:
    outcome = export.save(str(photo), identity, local_peer=True)
    assert (outcome.failure is None) != (outcome.new_file is None)
    assert sorted(entry.name for entry in tmp_path.iterdir()) in (["export", "trip"], ["trip"])
    assert files_in(photo.parent) == {"IMG_0689.jpg": b"whale"}
    if outcome.new_file is not None:
        assert Path(outcome.new_file).resolve().parent.parent == folder.resolve()


def test_link_in_the_place_of_an_individuals_folder_is_not_followed(
    export: PhotoExport, folder: Path, photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    folder.mkdir()
    (folder / "Dante").symlink_to(tmp_path / "elsewhere")
    failed(export.save(str(photo), "Dante", local_peer=True), "export_failed", "symbolic link")
    assert files_in(tmp_path / "elsewhere") == {}


def test_file_in_the_place_of_an_individuals_folder_is_an_error(export: PhotoExport, folder: Path, photo: Path) -> None:
    folder.mkdir()
    (folder / "Dante").write_bytes(b"x")
    failed(export.save(str(photo), "Dante", local_peer=True), "export_failed", "move it away")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["link", "dangling link", "folder", "pipe"])
def test_what_is_no_file_keeps_its_name_and_is_not_written_through(
    export: PhotoExport, folder: Path, photo: Path, tmp_path: Path, kind: str
) -> None:
    taken = folder / "Dante" / "IMG_0689.jpg"
    taken.parent.mkdir(parents=True)
    (tmp_path / "target").write_bytes(b"whale")
    make: dict[str, Callable[[], object]] = {
        "link": lambda: taken.symlink_to(tmp_path / "target"),
        "dangling link": lambda: taken.symlink_to(tmp_path / "gone"),
        "folder": taken.mkdir,
        "pipe": lambda: os.mkfifo(taken),
    }
    make[kind]()
    outcome = export.save(str(photo), "Dante", local_peer=True)
    assert outcome == SaveOutcome(str(folder / "Dante" / "IMG_0689-2.jpg"))
    assert (tmp_path / "target").read_bytes() == b"whale"
    assert not (tmp_path / "gone").exists()


# --- the photo's own rules -------------------------------------------------------------------------------------------


def test_photo_is_read_by_the_rules_for_photos(folder: Path, photo: Path) -> None:
    export = PhotoExport(folder, PhotoFiles([photo.parent], {r"C:\Trip": str(photo.parent)}))
    saved = export.save(r"C:\Trip\IMG_0689.jpg", "Dante", local_peer=False)
    assert saved.new_file == str(folder / "Dante" / "IMG_0689.jpg")
    failed(export.save("/etc/hostname", "Dante", local_peer=True), "outside_roots", "/etc/hostname")
    failed(export.save(str(photo.parent), "Dante", local_peer=True), "unsupported", "folder")
    failed(export.save(str(photo.parent / "gone.jpg"), "Dante", local_peer=True), "not_found", "gone.jpg")
    failed(export.save(r"D:\x.jpg", "Dante", local_peer=True), "not_found", "path_map")


def test_folder_and_rules_come_from_the_settings(folder: Path, photo: Path) -> None:
    export = PhotoExport.from_settings(Settings(export_dir=folder))
    assert export.save(str(photo), "Dante", local_peer=True).new_file == str(folder / "Dante" / photo.name)
    failed(export.save(str(photo), "Dante", local_peer=False), "outside_roots", "upload")


# --- disks -----------------------------------------------------------------------------------------------------------


def failing(code: int) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize(
    ("call", "code", "reason"),
    [
        ("fsync", errno.ENOSPC, "the disk is full"),
        ("fsync", errno.EDQUOT, "quota"),
        ("fsync", errno.EIO, "Input/output error"),
        ("mkdir", errno.EACCES, "no permission"),
        ("mkdir", errno.EROFS, "read-only"),
        ("link", errno.ENOSPC, "the disk is full"),
    ],
)
def test_disk_that_fails_is_an_outcome_and_leaves_no_half_file(
    export: PhotoExport, folder: Path, photo: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int, reason: str
) -> None:
    (folder).mkdir()
    if call == "fsync":
        (folder / "Dante").mkdir()
    monkeypatch.setattr(os, call, failing(code))
    failed(export.save(str(photo), "Dante", local_peer=True), "export_failed", reason)
    assert files_in(folder) == {}


def test_name_with_its_number_may_become_too_long(export: PhotoExport, folder: Path, photo: Path) -> None:
    long = photo.with_name("x" * 251 + ".jpg")
    for content in (b"one", b"two"):
        long.write_bytes(content)
        outcome = export.save(str(long), "Dante", local_peer=True)
    failed(outcome, "export_failed", "too long")
    assert list(files_in(folder).values()) == [b"one"]


def test_disk_without_hard_links_is_written_as_carefully(
    export: PhotoExport, folder: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", failing(errno.EPERM))
    for content in (b"whale", b"other", b"whale"):
        photo.write_bytes(content)
        export.save(str(photo), "Dante", local_peer=True)
    assert files_in(folder) == {"Dante/IMG_0689.jpg": b"whale", "Dante/IMG_0689-2.jpg": b"other"}


def test_disk_without_hard_links_that_fails_leaves_nothing(
    export: PhotoExport, folder: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", failing(errno.EPERM))
    monkeypatch.setattr(os, "replace", failing(errno.EIO))
    failed(export.save(str(photo), "Dante", local_peer=True), "export_failed", "Input/output error")
    assert files_in(folder) == {}


@pytest.mark.parametrize("hard_links", [True, False])
def test_savers_at_the_same_time_never_lose_or_double_a_photo(
    export: PhotoExport, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard_links: bool
) -> None:
    if not hard_links:
        monkeypatch.setattr(os, "link", failing(errno.EPERM))
    contents = [bytes([65 + number]) * 5000 for number in range(4)]
    sources = []
    for number, content in enumerate(contents):
        source = tmp_path / str(number) / "a.jpg"
        source.parent.mkdir()
        source.write_bytes(content)
        sources += [str(source)] * (3 if hard_links else 1)
    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(lambda source: export.save(source, "Dante", local_peer=True), sources))
    assert all(outcome.failure is None for outcome in outcomes)
    assert sorted(files_in(folder).values()) == contents


def test_photos_of_no_known_individual_have_a_folder_like_any_other(tmp_path: Path) -> None:
    photo = tmp_path / "a.jpg"
    photo.write_bytes(b"bytes")
    outcome = PhotoExport(tmp_path / "export", PhotoFiles()).save(str(photo), "Unknown", local_peer=True)
    assert outcome.new_file == str(tmp_path / "export" / "Unknown" / "a.jpg")
