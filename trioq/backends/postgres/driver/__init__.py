"""What psycopg needs of Trio: a lock for its connections, and its generators driven.  No job and no SQL here."""
