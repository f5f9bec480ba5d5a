"""The commands about photos: `python -m pipeline.client photos upload FILES...`."""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console

from pipeline.client.arguments import ANSWERED, SOME_FAILED, UsageError, add_command, at_least_one, read_token
from pipeline.client.asynchronous import AsyncClient
from pipeline.client.options import ClientOptions
from pipeline.client.output import progress_bars, shown
from pipeline.client.photos import find_photos
from pipeline.client.results import UploadedPhoto


def add_photos_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `photos` and the commands below it."""
    purpose = "put photos into a catalogue's store"
    below = commands.add_parser("photos", help=purpose, description=purpose).add_subparsers(dest="about", required=True)
    upload = add_command(below, "upload", "send the photos that the catalogue does not have yet", _upload)
    upload.add_argument("photos", nargs="+", metavar="PHOTO|FOLDER", help="folders are searched recursively")
    upload.add_argument("--catalogue", metavar="NAME", help="which one; without it, your own")
    upload.add_argument("--at-once", type=at_least_one, default=4, metavar="N", help="at the same time (default: 4)")
    upload.add_argument("--json", action="store_true", help="print JSON with the hash of each photo")


async def _upload(parsed: argparse.Namespace, out: Console, err: Console) -> int:
    found = find_photos(parsed.photos)
    if not found.photos and not found.failures:
        raise UsageError(f"there are no photos in {', '.join(parsed.photos)}")
    options = replace(ClientOptions(), connect_s=parsed.wait)
    with progress_bars(err) as on_progress:
        async with AsyncClient(parsed.server, read_token(parsed.token_file), options) as client:
            uploaded = await client.upload_photos(
                [Path(photo) for photo in found.photos],
                catalogue=parsed.catalogue,
                at_once=parsed.at_once,
                on_progress=on_progress,
            )
    for index, (path, failure) in enumerate(found.failures, len(uploaded)):
        uploaded.append(UploadedPhoto(path, index, error=failure))
    if parsed.json:
        print(json.dumps([asdict(photo) for photo in uploaded]))
    else:
        _print(uploaded, out)
    return SOME_FAILED if any(photo.error for photo in uploaded) else ANSWERED


def _print(uploaded: list[UploadedPhoto], out: Console) -> None:
    for photo in uploaded:
        if photo.error is not None:
            out.print(shown(f"{photo.error.code}: {photo.error.message}"), soft_wrap=True)
    failed = sum(photo.error is not None for photo in uploaded)
    there = sum(photo.was_there for photo in uploaded)
    sent = len(uploaded) - failed - there
    out.print(f"{sent} photos sent, {there} were there already, {failed} failed")
