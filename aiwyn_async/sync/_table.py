# pyarrow has no type annotations, so its results are unknown here, and Any to the callers.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
"""The DuckDB table of a resource, with its state.

Rows and state change in the same transactions. Blocking.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
from msgspec import inspect

from aiwyn_async._core.duckdb_sql import check_names_differ, normalize
from aiwyn_async._core.identity import JobIdentity
from aiwyn_async._decoding.plain_types import type_info
from aiwyn_async.arrow._options import EXTRA_COLUMN, UNCHANGED, ColumnOptions
from aiwyn_async.arrow._rows import columns_of
from aiwyn_async.arrow._schema import compute
from aiwyn_async.arrow._table import RowSchema
from aiwyn_async.errors import StorageError
from aiwyn_async.models.base import Id
from aiwyn_async.sync import _statements as sql
from aiwyn_async.sync._columns import common_type, schema_changes, to_sql
from aiwyn_async.sync._database import DatabaseFile


class SyncState(NamedTuple):
    """The progress of the syncs of a table.

    Attributes:
        bookmark: where the next incremental read starts, as JSON.
        checkpoint: where to resume an unfinished read, as JSON.
        skipped: the keys of the rows that were left out because they do not decode, as JSON.
    """

    bookmark: str | None = None
    checkpoint: str | None = None
    skipped: str | None = None


class WriteCounts(NamedTuple):
    """The number of rows inserted and updated; the others were equal already."""

    inserted: int = 0
    updated: int = 0


class SyncedTable:
    """The table of a resource, and its row in ``_aiwyn_sync``.

    The file is created if it does not exist. A table of another identity is refused.

    Raises:
        ConfigurationError: the path does not name a DuckDB file, or a field of the row type has no column.
    """

    def __init__(
        self,
        path: Path,
        resource: str,
        key: str,
        row_type: type[Any],
        *,
        identity: JobIdentity,
        options: ColumnOptions = UNCHANGED,
    ) -> None:
        self._declared = {field.encode_name: type_info(field.type) for field in columns_of(row_type)} | (
            {EXTRA_COLUMN: inspect.StrType()} if options.extra else {}
        )
        check_names_differ([*self._declared, sql.DELETED_AT])
        self._schema = RowSchema(row_type, options)
        self._resource = resource
        self._key = key
        self._identity = identity
        self._file = DatabaseFile(path)
        # In a first read, until DuckDB refuses a batch because the table has one of its keys.
        self._inserts_only = False

    def open(self) -> None:
        """Open the file, and create or adapt the table.

        Raises:
            StorageError: the file cannot be opened or is in use, or another program created the table.
            CheckpointError: the table was filled from another server or by another query.
        """
        file = self._file
        file.open()
        with file.errors():
            has_state = self._exists(sql.STATE_TABLE)
            if self._exists(self._resource) and not (has_state and self._check_owner()):
                raise StorageError(
                    f'{file.path} already contains a table "{self._resource}" that sync did not create; '
                    "use another file or drop the table"
                )
            if not has_state:
                file.execute(sql.CREATE_STATE)
            # Nothing but state was written so far, so no other user can have read rows in the log.
            file.restrict_log()
            with file.transaction(), file.batch(pa.Table.from_batches([], self._schema.arrow)):
                self._adapt_columns()

    def close(self) -> None:
        """Write the log into the file and release it."""
        self._file.close()

    def load_state(self) -> SyncState:
        """Return the progress of earlier syncs; none if it is ambiguous, or their rows are gone."""
        with self._file.errors():
            states = set(self._file.fetch(sql.SELECT_STATE, self._resource))
            has_rows = self._file.fetch(sql.select_any_row(self._resource))
        # A user who joined the tables of two files may have joined their states too.
        state = SyncState(*states.pop()) if has_rows and len(states) == 1 else SyncState()
        self._inserts_only = state.bookmark is None
        return state

    def to_arrow(self, rows: Any) -> Any:
        return self._schema.table(rows)

    def write(self, rows: Any, state: SyncState) -> WriteCounts:
        """Merge an Arrow table of rows, or None, by key, and save the state.

        Both in one transaction.

        Raises:
            StorageError: the disk is full, or a value does not fit; nothing was changed.
        """
        with self._file.errors():
            if rows is not None:
                rows = self._last_of_each_key(rows)
            try:
                counts = self._write(rows, state)
            except duckdb.ConstraintException:
                if not self._inserts_only:
                    raise
                self._inserts_only = False
                counts = self._write(rows, state)
        return counts

    def _write(self, rows: Any, state: SyncState) -> WriteCounts:
        counts = WriteCounts()
        with self._file.transaction():
            if rows is not None:
                with self._file.batch(rows):
                    counts = self._store(rows, self._convert_ids())
            self._save(state)
        return counts

    def _store(self, rows: Any, casts: Mapping[str, str]) -> WriteCounts:
        """Store the batch, and return how many rows were inserted and updated."""
        file, table, key = self._file, self._resource, self._key
        if self._inserts_only:
            file.execute(sql.insert_batch(table, casts))
            return WriteCounts(len(rows))
        types = self._table_types()
        columns = {name: to_sql(types[normalize(name)]) for name in rows.column_names}
        if len(types) > len(columns) + 1:
            # An update retains the values of columns that rows do not have.
            actions = Counter(action for (action,) in file.fetch(sql.merge_batch(table, key, columns, casts)))
            return WriteCounts(actions["INSERT"], actions["UPDATE"])
        # An update of DuckDB does the same, for a few rows at a time: 9 times as slow, with 140 MB more.
        file.execute(sql.find_changed(table, key, columns, casts))
        ((updated,),) = file.fetch(sql.delete_changed(table, key, columns[key]))
        ((written,),) = file.fetch(sql.insert_changed(table))
        file.execute(sql.DROP_CHANGED)
        return WriteCounts(written - updated, updated)

    def keys(self, modified_at: str | None = None) -> list[tuple[Id, int | None]]:
        """Return key and last change (microseconds since 1970, or None) of each row not marked as deleted."""
        with self._file.errors():
            return self._file.fetch(sql.select_keys(self._resource, self._key, modified_at))

    def has_timestamps(self, column: str) -> bool:
        """Return True if the values of a column can be compared as timestamps."""
        return column in self._declared and isinstance(
            self._schema.arrow.field(column).type, pa.TimestampType
        )

    def mark_deleted(self, keys: Sequence[Id]) -> int:
        """Mark rows as deleted now, and return their number."""
        file = self._file
        with file.errors(), file.transaction(), file.batch(pa.table({self._key: keys})):
            kind = to_sql(self._table_types()[normalize(self._key)])
            statement = sql.mark_deleted(self._resource, self._key, kind)
            ((count,),) = file.fetch(statement, datetime.now(UTC).isoformat())
        return int(count)

    def _check_owner(self) -> bool:
        """Return False if the table is not one of a sync.

        Raises:
            CheckpointError: it was filled from another server or by another query.
        """
        table = f'table "{self._resource}" in {self._file.path}'
        owners = self._file.fetch(sql.SELECT_OWNER, self._resource)
        for server, query in owners:
            fix = "use another file, or the same server and where"
            self._identity.check_continues(JobIdentity(server, query), table, fix)
        return bool(owners)

    def _adapt_columns(self) -> None:
        """Create the table or change its columns; all rows are then read again.

        Raises:
            StorageError: the table lost its primary key, or a column has a type that would change values.
        """
        file = self._file
        if not self._exists(self._resource):
            file.execute(*sql.create_table(self._resource, self._key))
            file.fetch(sql.INSERT_STATE, self._resource, self._identity.server, self._identity.query)
            return
        keys = file.fetch(sql.PRIMARY_KEY, sql.qualified_name(self._resource))
        if [normalize(name) for (name,) in keys] != [normalize(self._key)]:
            raise StorageError(
                f'table "{self._resource}" in {file.path} was recreated without its primary key {self._key}; '
                "drop it, and the next sync reads all rows"
            )
        wanted, existing = self._batch_types(), self._table_types()
        changes = schema_changes(wanted, existing, self._declared, resource=self._resource, path=file.path)
        for column, kind in sorted(changes.added.items()):
            file.execute(sql.add_column(self._resource, column, kind))
        if changes.converted:
            file.execute(*sql.convert_columns(self._resource, self._key, changes.converted))
        if changes.added or changes.converted:
            self._save(SyncState())

    def _convert_ids(self) -> dict[str, str]:
        """Convert columns to text for a batch with text ids; return the batch's casts."""
        existing = self._table_types()
        converted: dict[str, str] = {}
        casts: dict[str, str] = {}
        for name, kind in self._batch_types().items():
            own = existing[normalize(name)]
            both = common_type(own, kind) or to_sql(own)  # a cast that fails names the value
            if both != to_sql(own):
                converted[name] = both
            if both != to_sql(kind):
                casts[name] = both
        if converted:
            self._file.execute(*sql.convert_columns(self._resource, self._key, converted))
            # DuckDB refuses an existing key of a table created in the same transaction only at its commit.
            self._inserts_only = False
        return casts

    def _batch_types(self) -> dict[str, Any]:
        return dict(self._file.column_types(sql.BATCH))

    def _table_types(self) -> dict[str, Any]:
        types = self._file.column_types(sql.qualified_name(self._resource))
        return {normalize(name): kind for name, kind in types}

    def _last_of_each_key(self, rows: Any) -> Any:
        """Drop older versions of rows that changed during the read and arrived twice."""
        keys = rows[self._key]
        if compute.count_distinct(keys, mode="all").as_py() == len(keys):
            return rows
        last = {key: index for index, key in enumerate(keys.to_pylist())}
        return rows.take(list(last.values()))

    def _exists(self, table: str) -> bool:
        return bool(self._file.fetch(sql.HAS_TABLE, table))

    def _save(self, state: SyncState) -> None:
        self._file.fetch(sql.UPDATE_STATE, *state, self._resource)
