"""PostgreSQL's errors as trioq's, by a table.  The errors themselves are defined in the core; psycopg isn't imported.

What the server says has a code, SQLSTATE.  What it says before it has let us in has lost the code on the way.  There
the text must do; where its language isn't English, it is shown as it came.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from ..._core.errors import BackendError, BackendUnavailable, SchemaMissing, SchemaTooNew, TrioqError, refusal

#: Codes after which a repetition may help.  Two characters stand for a whole class of them.
_UNAVAILABLE: Final[Mapping[str, str]] = {
    "08": "the connection broke",
    "25006": "it takes no writes: a failover is under way, or the URL names a replica",
    "25P03": "it ended the connection, which was idle in a transaction for too long",
    "25P04": "it ended the connection: a transaction took longer than transaction_timeout",
    "40": "others wrote the same at the same time, again and again",
    "53": "it has not enough resources",
    "54000": "a limit of the server is reached: its queue of notifications may be full, or a request is too large",
    "53100": "its disk is full. Make room; until then it takes no writes",
    "53200": "it is out of memory",
    "53300": "it has no room for another connection. Raise max_connections, or give PostgresBackend a smaller pool",
    "55P03": "a lock that another session holds was not free in time",
    "57": "an operator intervened",
    "57014": "the request took too long, or another session cancelled it",
    "57P01": "an administrator ended the connection, or is shutting the server down",
    "57P02": "another connection crashed, and so the server starts over",
    "57P03": "it is starting up, shutting down or recovering",
    "57P05": "it ended the connection, which was idle for too long",
    "58": "its system failed. Look into its log",
    "26000": "a prepared statement is gone: there is a pooler between us",
    "42P05": "a prepared statement is there already: there is a pooler between us",
}

#: Codes about permissions.  It won't help to try again, unless it was allowed before: then an operator has changed
#: that, and may change it back.  Meanwhile running jobs go on and their outcomes wait.
_DENIED: Final[Mapping[str, str]] = {
    "28": "it does not let this user in. Look into pg_hba.conf, or correct the URL",
    "28P01": "the password of the URL is wrong, or missing: postgresql://USER:PASSWORD@HOST/DATABASE",
    "3D000": "there is no such database. Create it, or correct the URL: postgresql://USER@HOST/DATABASE",
    "42501": "this user may not do that. GRANT it to the one whom the URL names, or run trioq migrate as the owner",
}

#: Codes after which a repetition never helps: they are about the data of one item.
_REFUSED: Final[Mapping[str, str]] = {
    "22": "a value that the database can't keep",
    "22021": "text with a character that the database can't keep: it wants UTF8, and no NUL",
    "23": "it would break a rule of the tables",
}

#: No table, no schema: the store was never migrated.  No column: it was not migrated since trioq was upgraded.
MISSING: Final = frozenset({"42P01", "3F000", "42703"})

#: What the server says before it lets us in, and the code that it had.
_GREETINGS: Final[Mapping[str, str]] = {
    r"password authentication failed|no password supplied": "28P01",
    r"pg_hba\.conf|role .* does not exist|is not permitted to log in|authentication failed": "28000",
    r"permission denied for database": "42501",
    r"database .* does not exist": "3D000",
    r"too many clients|connection slots are reserved|too many connections": "53300",
    r"starting up|shutting down|recovery mode|not yet accepting|not accepting": "57P03",
    r"session is read-only": "25006",
}

#: After these the whole work was rolled back, and may be done again at once.
ROLLED_BACK: Final = frozenset({"40001", "40P01"})

#: A pooler gave us a server connection that doesn't know what we have prepared on another.
UNPREPARED: Final = frozenset({"26000", "42P05"})

#: What was prepared no longer fits the tables.
OUTDATED: Final = "0A000"

#: After these the connection can't be used again, though it may be open: to a server that takes no writes.
_LOST: Final = frozenset({"25006", "25P03", "25P04", "57P01", "57P02", "57P03", "57P04", "57P05"})

_BROKEN: Final = frozenset({"OperationalError", "InterfaceError", "OSError", "ClosedResourceError"})


def code_of(error: BaseException) -> str:
    """Return the SQLSTATE; an empty text where the error is not a server's."""
    code = getattr(error, "sqlstate", None)
    if code:
        return str(code)
    if _is_broken(error):
        for greeting, code in _GREETINGS.items():
            if re.search(greeting, str(error)):
                return code
    return ""


def is_lost(error: BaseException) -> bool:
    """Whether the connection can't be used again."""
    code = code_of(error)
    return code.startswith("08") or code in _LOST or (not code and _is_broken(error))


def is_denied(error: BaseException) -> bool:
    """Whether the server denies access to our user, known to it or not."""
    return _sentence(code_of(error), _DENIED) is not None


def translate(error: Exception, where: str, admitted: bool, schema: str = "trioq") -> TrioqError:
    """Return the error for the caller.  Raise it ``from`` *error*.  *admitted*: the server has let us in before.

    Once it has, a refusal of the server that is not about the data of one item is an outage: a trigger of the owner's
    that fails, for example.
    """
    if admitted and isinstance(error, (SchemaMissing, SchemaTooNew)):  # of a further connection
        return refusal(str(error))
    if isinstance(error, TrioqError):
        return error
    code = code_of(error)
    told = _told(error)
    if code in MISSING and not admitted:
        return SchemaMissing(where, schema)
    if code in MISSING:
        return refusal(f"{where}: a table or a column is gone. Restore it, or run trioq migrate ({told})")
    for table, kind in (
        (_UNAVAILABLE, BackendUnavailable),
        (_DENIED, BackendUnavailable if admitted else BackendError),
    ):
        sentence = _sentence(code, table)
        if sentence is not None:
            return kind(f"{where}: {sentence} ({told})")
    sentence = _sentence(code, _REFUSED)
    if sentence is not None and (not admitted or _is_about_a_job(error, schema)):
        return BackendError(f"{where}: {sentence} ({told})")
    if is_lost(error):
        return BackendUnavailable(f"{where} can't be reached, or the connection broke ({told})")
    sentence = f"{where}: the request was refused ({told})"
    return refusal(sentence) if admitted and code else BackendError(sentence)


def _is_about_a_job(error: Exception, schema: str) -> bool:
    """Whether the server refuses the data of a job, and not those of another table that a trigger writes."""
    said = getattr(error, "diag", None)
    if said is None:
        return True
    if said.table_name:
        return (said.schema_name, said.table_name) == (schema, "jobs")
    return "PL/pgSQL" not in (said.context or "")


def _sentence(code: str, table: Mapping[str, str]) -> str | None:
    return table.get(code) or table.get(code[:2])


def _is_broken(error: BaseException) -> bool:
    return any(kind.__name__ in _BROKEN for kind in type(error).__mro__)


def _told(error: BaseException) -> str:
    """Return what it says, in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
