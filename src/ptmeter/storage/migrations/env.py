"""Alembic's entry: migrations run on the connection they are handed, or are written out as SQL."""

from __future__ import annotations

from alembic import context

from ptmeter.storage.schema import VERSION_TABLE
from ptmeter.storage.tables import metadata

_handed = context.config.attributes

if context.is_offline_mode():
    context.configure(
        dialect_name=_handed["dialect"],
        target_metadata=metadata,
        literal_binds=True,
        version_table=VERSION_TABLE,
    )
else:
    context.configure(
        connection=_handed["connection"], target_metadata=metadata, version_table=VERSION_TABLE
    )

with context.begin_transaction():
    context.run_migrations()
