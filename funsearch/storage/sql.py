"""The storage of runs and trainings in one SQL database. `funsearch.storage.open_storage` makes it."""

from pathlib import Path

from sqlalchemy import Engine

from funsearch.storage.connections import Connections
from funsearch.storage.leases import Leases
from funsearch.storage.runs import SqlRuns
from funsearch.storage.trainings import SqlTrainings


class SqlStorage(SqlRuns, SqlTrainings):
    """Keeps runs and trainings: implements `core.ports.RunStorage` and `rest_em.ports.TrainingStorage`."""

    def __init__(self, engine: Engine, leases: Leases, label: str) -> None:
        connections = Connections(engine, leases, label)
        SqlRuns.__init__(self, connections)
        SqlTrainings.__init__(self, connections)

    @property
    def engine(self) -> Engine:
        """The engine that opens the connections."""
        return self.connections.engine

    @property
    def label(self) -> str:
        """What messages call the database: its path, or its URL without the password."""
        return self.connections.label

    @property
    def folder(self) -> Path:
        """The folder of a database file, or the current folder for any other database."""
        url = self.engine.url
        return Path(url.database).parent if url.get_backend_name() == "sqlite" and url.database else Path()

    def close(self) -> None:
        """Releases the connections; a database in memory is lost."""
        self.connections.close()
