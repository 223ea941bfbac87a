"""The usual env.py: the database is the one that DATABASE_URL names."""
import os

import psycopg
import sqlalchemy
from alembic import context

engine = sqlalchemy.create_engine(
    "postgresql+psycopg://", creator=lambda: psycopg.connect(os.environ["DATABASE_URL"])
)
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
