"""The commands about a database as a whole: check, usage, relocate."""

import argparse
from dataclasses import asdict

from pipeline.admin.arguments import (
    DONE,
    FOUND,
    Commands,
    add_command,
    add_json,
    database_url,
    photo_store_url,
    print_json,
    print_rows,
    settings_of,
)
from pipeline.admin.photo_checking import check_photos
from pipeline.admin.relocation import Plan, Relocation
from pipeline.catalogue.checking import Finding, check_database
from pipeline.catalogue.database import open_existing
from pipeline.catalogue.photos import CataloguePhotos
from pipeline.catalogue.rows import Head
from pipeline.catalogue.sql_store import SqlCatalogue, open_catalogue
from pipeline.catalogue.usage import Usage, read_usage
from pipeline.catalogue.verbs import Relocate
from pipeline.catalogue.views import MAX_PAGE, AnnotationEntry, AnnotationFilter
from pipeline.model_files import load_model_folder, short_hash
from pipeline.photos.path_map import PathMap
from pipeline.records import OPERATOR
from pipeline.rights import DEFAULT_CATALOGUE
from pipeline.settings import Settings


def add_database_commands(commands: Commands) -> None:
    """Add the commands to the parser."""
    check = add_command(
        commands, "check", "read all of the catalogues and say what is wrong; status 3 where it is", _check
    )
    check.add_argument("--read-photos", action="store_true", help="also read every photo of the store, for its hash")
    add_json(check)
    usage = add_command(commands, "usage", "what the catalogues hold, and who spoke how often", _usage)
    add_json(usage)
    _add_relocate(add_command(commands, "relocate", "say where the photos of a folder that moved are now", _relocate))


def _add_relocate(command: argparse.ArgumentParser) -> None:
    command.add_argument("old", metavar="OLD", help="the folder as the catalogue's paths begin")
    command.add_argument("new", metavar="NEW", help="the folder where the photos are now")
    command.add_argument("--catalogue", default=DEFAULT_CATALOGUE, metavar="NAME", help="default: %(default)s")
    command.add_argument("--apply", action="store_true", help="do it; without this it is only said what would be done")
    command.add_argument("--unseen", action="store_true", help="also photos that this machine cannot see")
    add_json(command)


# --- check and usage ---


def _check(parsed: argparse.Namespace) -> int:
    database = open_existing(database_url(parsed))
    try:
        findings = check_database(database, _known_models(settings_of(parsed)))
        if not any(finding.kind == "damage" for finding in findings):
            findings += check_photos(CataloguePhotos(database), photo_store_url(parsed), parsed.read_photos)
    finally:
        database.close()
    errors = sum(finding.is_error for finding in findings)
    if parsed.json:
        print_json({"ok": errors == 0, "findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            print(_line(finding))
        print(f"{errors} errors, {len(findings) - errors} notes" if findings else "all is well")
    return FOUND if errors else DONE


def _known_models(settings: Settings | None) -> set[str] | None:
    """Return the hashes of the weights that the service has; None where a URL was given, which does not say."""
    if settings is None:
        return None
    folder = load_model_folder(settings.models_dir)
    return {short_hash(folder.embedder_file(part)) for part in folder.body_part_names}


def _line(finding: Finding) -> str:
    where = "" if finding.catalogue is None else f"{finding.catalogue}: "
    return f"{'error' if finding.is_error else 'note'}: {where}{finding.kind}: {finding.text}"


def _usage(parsed: argparse.Namespace) -> int:
    database = open_existing(database_url(parsed))
    try:
        usage = read_usage(database)
    finally:
        database.close()
    settings = settings_of(parsed)
    bound_bytes = None if settings is None else settings.limits.max_store_bytes
    if parsed.json:
        print_json(asdict(usage) | {"max_store_bytes": bound_bytes})
    else:
        _print_usage(usage, bound_bytes)
    return DONE


def _print_usage(usage: Usage, bound_bytes: int | None) -> None:
    print(f"the database takes {usage.size_bytes:,} bytes\n")
    held = [asdict(catalogue) for catalogue in usage.catalogues]
    columns = tuple(name.replace("_", " ") for name in held[0])
    print_rows((columns, [tuple(map(_shown, each.values())) for each in held]))
    print()
    stored = [(each.institution or "(all)", _shown(each.photos), _shown(each.photo_bytes)) for each in usage.photos]
    print_rows((("institution", "photos", "photo bytes"), stored))
    if bound_bytes is not None:
        print(f"the store may hold {bound_bytes:,} bytes of photos (limits.max_store_bytes)")
    print()
    spoke = [
        (each.catalogue, each.month, each.actor.institution, each.actor.name, each.actor.kind, _shown(each.events))
        for each in usage.activity
    ]
    print_rows((("catalogue", "month", "institution", "name", "kind", "events"), spoke))


def _shown(value: str | int) -> str:
    return value if isinstance(value, str) else f"{value:,}"


# --- relocate ---


def _relocate(parsed: argparse.Namespace) -> int:
    settings = settings_of(parsed)
    file_of = PathMap({} if settings is None else settings.path_map).server_path
    relocation = Relocation(parsed.old, parsed.new, file_of, parsed.unseen)
    catalogue = open_catalogue(database_url(parsed), parsed.catalogue, make=False)
    try:
        head, entries = _all_annotations(catalogue)
        plan = relocation.plan(entries)
        version = None
        if parsed.apply and plan.paths:
            reason = f"relocate {parsed.old} {parsed.new}"
            version = catalogue.change(Relocate(plan.paths), OPERATOR, known=head, reason=reason).head.version
    finally:
        catalogue.close()
    _print_plan(parsed, plan, version)
    return FOUND if plan.missing or plan.differing else DONE


def _all_annotations(catalogue: SqlCatalogue) -> tuple[Head, list[AnnotationEntry]]:
    """Return every annotation, and the state before the first page was read."""
    head, after = catalogue.head(), None
    entries: list[AnnotationEntry] = []
    while True:
        page = catalogue.annotations(AnnotationFilter(), after, MAX_PAGE)
        entries += page.entries
        after = page.next
        if after is None:
            return head, entries


def _print_plan(parsed: argparse.Namespace, plan: Plan, version: int | None) -> None:
    if parsed.json:
        print_json(asdict(plan) | {"version": version})
        return
    for path in plan.missing:
        print(f"not found, left as it is: {path}")
    for path in plan.differing:
        print(f"another photo is in its place, left as it is: {path}")
    done = "would be relocated; do it with --apply" if version is None else f"are relocated by version {version}"
    print(
        f"{len(plan.paths)} annotations {done}; {len(plan.missing) + len(plan.differing)} photos are left as they are"
    )
