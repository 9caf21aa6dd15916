"""What psycopg needs of Trio: a lock for connections, and a driver of generators.  No job and no SQL here."""
