"""Makes the tables."""

from tasks import app

with app.open():
    app.schema_manager.apply_schema()
