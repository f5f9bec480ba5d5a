"""A database with a photo store, as a service leaves them."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from pipeline.admin.command_line import main
from pipeline.catalogue.photos import CataloguePhotos, open_photos
from pipeline.catalogue.sql_store import make_catalogue
from pipeline.photo_store.store import PhotoStore
from pipeline.records import LOCAL_USER
from pipeline.stored_photos import NOT_TOLD, PhotoFacts, PhotoRecord
from tests.photos_made import sha256_of


@dataclass
class Service:
    """A database and its store, in a folder of their own."""

    url: str
    folder: Path
    models_dir: str = str(Path("models/demo").absolute())

    def __post_init__(self) -> None:
        make_catalogue(self.url)
        self.photos: CataloguePhotos = open_photos(self.url)
        self.database = self.photos.make_database_id()
        self.store = PhotoStore(f"file://{self.folder / 'store'}", self.database)
        self.store.write_marker(self.database)

    def run(self, *arguments: str) -> int:
        """Run an operator's command with the service's config file."""
        args = {
            "catalogue_url": self.url,
            "photo_store": f"file://{self.folder / 'store'}",
            "models_dir": self.models_dir,
        }
        config = self.folder / "serve_config.yaml"
        config.write_text(yaml.safe_dump({"applications": [{"name": "whale-vision", "args": args}]}))
        return main(["--config", str(config), *arguments])

    def keep(self, content: bytes, listed: bool = True) -> str:
        """Take a photo into the store, and list it; returns its hash."""
        sha256 = sha256_of(content)
        self.store.put(sha256, content)
        if listed:
            self.record(sha256, len(content))
        return sha256

    def record(self, sha256: str, size_bytes: int, catalogue: str = "default") -> None:
        """Say that a catalogue has a photo of this hash."""
        photo = PhotoRecord(sha256, size_bytes, PhotoFacts((1, 1), NOT_TOLD), None)
        self.photos.add(catalogue, photo, LOCAL_USER)

    def file(self, sha256: str, store: str = "store") -> Path:
        """Return where a photo's file is."""
        return self.folder / store / "photos" / sha256[:2] / sha256
