"""The tables of photos: data that programs found out, so there are no events of them and no versions.

What people say about an animal hangs on its annotation, which names the photo by its hash.
"""

from sqlalchemy import Column, DateTime, Float, ForeignKey, Integer, String, Table

from pipeline.catalogue.schema import UtcDateTime, metadata

# One row: a random id, by which the photo store names the database that it belongs to.
database_ids = Table("database_ids", metadata, Column("id", String(32), primary_key=True))

# The photos of the store that a catalogue has: whoever may see the catalogue may see these, and no other.
# `taken_at` is local time as the camera wrote it; `camera` is what it calls itself.
photos = Table(
    "photos",
    metadata,
    Column("catalogue_id", ForeignKey("catalogues.id"), primary_key=True),
    Column("sha256", String(64), primary_key=True),
    Column("size_bytes", Integer, nullable=False),
    Column("width_px", Integer, nullable=False),
    Column("height_px", Integer, nullable=False),
    Column("taken_at", DateTime),
    Column("utc_offset_min", Integer),
    Column("latitude", Float),
    Column("longitude", Float),
    Column("camera", String),
    Column("name", String),
    Column("added", UtcDateTime, nullable=False),
    Column("added_by", ForeignKey("actors.id"), nullable=False),
)

# Where an animal is in its photo, in pixels of the upright photo, by what its annotation says of it.
boxes = Table(
    "boxes",
    metadata,
    Column("catalogue_id", ForeignKey("catalogues.id"), primary_key=True),
    Column("source_key", String, primary_key=True),
    Column("animal", Integer, primary_key=True),
    Column("body_part", String, primary_key=True),
    Column("x_min_px", Float, nullable=False),
    Column("y_min_px", Float, nullable=False),
    Column("x_max_px", Float, nullable=False),
    Column("y_max_px", Float, nullable=False),
)
