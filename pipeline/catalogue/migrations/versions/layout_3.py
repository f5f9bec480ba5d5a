"""Layout 3: what a row of layout 2 said at once becomes an annotation, its embedding and its assignment.

Nothing is lost: each old row gives one embedding that ended when the row did, and one assignment that ended with the
next word about the same animal. Both keep the row's number, so that rankings keep their order. Each event gets its
payload.
"""

import json
from collections import defaultdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from pipeline.catalogue.migrations.layout_3_tables import create_tables

revision = "layout_3"
down_revision = "layout_2"

_OLD = ("annotations", "imports", "individuals")
_ANIMAL = "PARTITION BY catalogue_id, photo, animal, body_part"
_SAME_ANIMAL = f"OVER ({_ANIMAL} ORDER BY id)"
_WHOLE_WINDOW = f"OVER ({_ANIMAL} ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)"

_FILL = (
    # The first row of each animal is its annotation.
    f"""
    INSERT INTO annotations (catalogue_id, row, id, source_key, animal, body_part, path, version)
    SELECT catalogue_id, id, id, photo, animal, body_part, path, version
    FROM (SELECT *, row_number() {_SAME_ANIMAL} AS place FROM layout_2_annotations) AS numbered WHERE place = 1
    """,
    f"""
    INSERT INTO embeddings (catalogue_id, row, annotation, model, dimension, vector, version, gone)
    SELECT catalogue_id, id, first_value(id) {_WHOLE_WINDOW}, model, dimension, embedding, version, superseded_version
    FROM layout_2_annotations
    """,
    f"""
    INSERT INTO assignments (catalogue_id, row, annotation, individual, reviewed, path, said_in, version, gone)
    SELECT catalogue_id, id, annotation, individual_id, true, nullif(path, first_path), version, version, next_version
    FROM (
        SELECT *, first_value(id) {_WHOLE_WINDOW} AS annotation, first_value(path) {_WHOLE_WINDOW} AS first_path,
            lead(version) {_SAME_ANIMAL} AS next_version
        FROM layout_2_annotations
    ) AS words
    """,
    # An individual came with its first row.
    """
    INSERT INTO individuals (catalogue_id, row, id, version)
    SELECT i.catalogue_id, i.id, i.id, min(r.version)
    FROM layout_2_individuals AS i JOIN layout_2_annotations AS r ON r.individual_id = i.id
    GROUP BY i.catalogue_id, i.id
    """,
    # The fold of twins is the same: those with a standing row come first, as they are meant first.
    """
    INSERT INTO names (catalogue_id, row, individual, name, is_alias, key, twin, version)
    SELECT i.catalogue_id, i.id, i.id, i.name, false, i.name_key,
        row_number() OVER (PARTITION BY i.catalogue_id, i.name_key ORDER BY i.id) - 1, made.version
    FROM layout_2_individuals AS i JOIN individuals AS made ON made.catalogue_id = i.catalogue_id AND made.id = i.id
    """,
    """
    INSERT INTO imports (catalogue_id, row, file_name, body_part, digest, model, version)
    SELECT catalogue_id, id, file_name, body_part, digest, model, version FROM layout_2_imports
    """,
    """
    UPDATE catalogues SET next_row = 1 + coalesce((
        SELECT max(id) FROM (
            SELECT catalogue_id, id FROM layout_2_annotations
            UNION ALL SELECT catalogue_id, id FROM layout_2_individuals
            UNION ALL SELECT catalogue_id, id FROM layout_2_imports
        ) AS every_row WHERE every_row.catalogue_id = catalogues.id
    ), 0)
    """,
)


def upgrade() -> None:
    """Move the rows into the new tables and write down what each event did."""
    for table in _OLD:
        op.rename_table(table, f"layout_2_{table}")
    _add_columns()
    tables = create_tables()
    for statement in _FILL:
        op.execute(statement)
    for table in _OLD:
        op.drop_table(f"layout_2_{table}")
    _write_payloads(op.get_bind(), tables)


def _add_columns() -> None:
    op.add_column("catalogues", sa.Column("next_row", sa.Integer, nullable=False, server_default="1"))
    op.add_column("events", sa.Column("digest", sa.String(32)))
    op.add_column("events", sa.Column("payload", sa.Text, nullable=False, server_default="{}"))
    op.add_column("events", sa.Column("undoes", sa.Integer))


def _write_payloads(connection: sa.Connection, tables: dict[str, sa.Table]) -> None:
    """Give every event the rows that it opened and closed, as `pipeline.catalogue.change` writes them."""
    opened: defaultdict[tuple[int, int], dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    closed: defaultdict[tuple[int, int], dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for name, table in tables.items():
        columns = [c for c in table.c if c.name not in ("catalogue_id", "version", "gone", "vector")]
        query = sa.select(table.c.catalogue_id, table.c.version, table.c.gone, *columns).order_by(table.c.row)
        for catalogue_id, version, gone, *values in connection.execute(query):
            opened[catalogue_id, version][name].append(values)
            if gone is not None:
                closed[catalogue_id, gone][name].append(values[0])
    columns_of = {
        name: [c.name for c in table.c if c.name not in ("catalogue_id", "version", "gone", "vector")]
        for name, table in tables.items()
    }
    events = sa.table("events", *map(sa.column, ("catalogue_id", "version", "payload")))
    write = (
        sa.update(events)
        .where(events.c.catalogue_id == sa.bindparam("of"), events.c.version == sa.bindparam("at"))
        .values(payload=sa.bindparam("content"))
    )
    for catalogue_id, version in sorted(opened.keys() | closed.keys()):
        content: dict[str, Any] = {}
        if opened[catalogue_id, version]:
            content["opened"] = {
                name: {"columns": columns_of[name], "rows": rows}
                for name, rows in opened[catalogue_id, version].items()
            }
        if closed[catalogue_id, version]:
            content["closed"] = closed[catalogue_id, version]
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), default=datetime.isoformat)
        connection.execute(write, {"of": catalogue_id, "at": version, "content": text})
