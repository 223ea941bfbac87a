"""note"""
import sqlalchemy as sa
from alembic import op

revision = "b2"
down_revision = "a1"


def upgrade():
    op.add_column("orders", sa.Column("note", sa.Text))


def downgrade():
    """Takes the note away."""
    op.drop_column("orders", "note")
