"""The history of the schema. Every change of the tables comes with a new file in `versions`.

A new database gets the tables of the code at once, which a test compares with the result of the migrations.

Revisions are numbers with leading zeros, so that they can be compared: the greater one is the newer. Those up to 0007
existed before the first release (see `funsearch.storage.prerelease`).
"""

FIRST_RELEASE = "0008"
"""The revision of the first release."""
HEAD = FIRST_RELEASE
"""The newest revision."""
VERSION_TABLE = "funsearch_version"
"""Has a name of its own, so that a PostgreSQL database can be shared with other programs that use Alembic."""
