"""The history of the schema. A change of `funsearch.storage.tables` comes with a new file in `versions`.

Revisions are numbers with leading zeros, so that they can be compared: the greater one is the newer.
"""

HEAD = "0007"
"""The newest revision; kept here so that opening a database need not import Alembic."""
VERSION_TABLE = "funsearch_version"
"""A name of its own, so that a PostgreSQL database may be shared with other programs that use Alembic."""
