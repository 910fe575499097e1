"""Brings the tables up to date, once, and ends. Exit code 0 lets the app start."""

from database import connect

STEPS = [
    """CREATE TABLE entries (
        id serial PRIMARY KEY,
        name text NOT NULL,
        message text NOT NULL,
        written timestamptz NOT NULL DEFAULT now())""",
    "CREATE INDEX entries_written ON entries (written DESC)",
]

with connect() as connection, connection.cursor() as cursor:
    cursor.execute("CREATE TABLE IF NOT EXISTS steps (number int PRIMARY KEY)")
    cursor.execute("SELECT coalesce(max(number), 0) FROM steps")
    done = cursor.fetchone()[0]
    for number, step in enumerate(STEPS[done:], done + 1):
        print(f"migrate: step {number}")
        cursor.execute(step)
        cursor.execute("INSERT INTO steps VALUES (%s)", (number,))
print(f"migrate: the database is at step {len(STEPS)}")
