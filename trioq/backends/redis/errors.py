"""Redis' errors as trioq's, by a table.  The errors themselves are defined in the core; coredis is not imported."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from ..._core.errors import BackendError, BackendUnavailable, TrioqError, refusal

#: Codes after which a repetition may help.
_UNAVAILABLE: Final[Mapping[str, str]] = {
    "LOADING": "the server is loading its data",
    "READONLY": "it is a replica: a failover is under way, or the URL names the wrong server",
    "MASTERDOWN": "it is a replica that has lost its primary",
    "CLUSTERDOWN": "the cluster is down",
    "TRYAGAIN": "the cluster is moving these keys",
    "MOVED": "the cluster has moved these keys to another server",
    "ASK": "the cluster is moving these keys to another server",
    "BUSY": "the server is busy with another client's script",
    "NOREPLICAS": "it has too few replicas to write",
    "UNKILLABLE": "the server is busy with another client's script",
    "OOM": "it is out of memory, and nothing was half-written. Raise maxmemory, or make room",
    "MISCONF": "it can't save its data, and so takes no writes. Look into its log",
    "max number of clients reached": "it has no room for another client. Raise maxclients",
}

#: Codes about permissions.  It won't help to try again, unless it was allowed before: then an operator has changed
#: that, and may change it back.  Meanwhile running jobs go on and their outcomes wait.
_DENIED: Final[Mapping[str, str]] = {
    "NOAUTH": "it wants a password. Put it into the URL: redis://:PASSWORD@HOST",
    "WRONGPASS": "the user name or the password of the URL is wrong",
    "NOPERM": "this user may not do that. trioq needs ~{PREFIX}:* resetchannels &{PREFIX}:* +@all -@dangerous +info",
}

#: Codes after which a repetition won't help, before an operator has acted.
_REFUSED: Final[Mapping[str, str]] = {
    "WRONGTYPE": "another program has keys of the same names. Choose another prefix",
}

#: Where coredis knows the code, it is a class and no longer in the text.
_CODES: Final[Mapping[str, str]] = {
    "BusyLoadingError": "LOADING",
    "ReadOnlyError": "READONLY",
    "ClusterDownError": "CLUSTERDOWN",
    "TryAgainError": "TRYAGAIN",
    "MovedError": "MOVED",
    "AskError": "ASK",
    "AuthenticationRequiredError": "NOAUTH",
    "AuthenticationFailureError": "WRONGPASS",
    "AuthorizationError": "NOPERM",
    "WrongTypeError": "WRONGTYPE",
}

#: A script's error has the code somewhere in its text, with or without a dash.
_CODE: Final = re.compile(r"(?<!\w)-?(" + "|".join([*_UNAVAILABLE, *_DENIED, *_REFUSED]) + r")\b")


#: In a script, a permission that is missing has no code, and each server words it in its own way.
_NOT_ALLOWED: Final = re.compile(r"ACL failure|can't access at least one|can't run this command")


def code_of(error: BaseException) -> str:
    """Return the server's code for the error; an empty text where the error is not a server's."""
    for kind in type(error).__mro__:
        if kind.__name__ in _CODES:
            return _CODES[kind.__name__]
    if _NOT_ALLOWED.search(str(error)):
        return "NOPERM"
    if "non local key" in str(error):  # in a script that names no key, a cluster does not say where the keys are
        return "MOVED"
    if "cluster is down" in str(error):
        return "CLUSTERDOWN"
    found = _CODE.search(str(error))
    return found.group(1) if found else ""


def is_lost(error: BaseException) -> bool:
    """Whether the connection can't be used again: it broke, or it leads to a server that takes no writes."""
    names = {kind.__name__ for kind in type(error).__mro__}
    broken = names & {"ConnectionError", "OSError", "ClosedResourceError", "BrokenResourceError", "TimeoutError"}
    return bool(broken) or code_of(error) in ("READONLY", "MASTERDOWN", "LOADING", "NOAUTH", "MOVED", "CLUSTERDOWN")


def is_denied(error: BaseException) -> bool:
    """Whether the server denies access to our user, known to it or not."""
    return code_of(error) in _DENIED


def translate(error: Exception, where: str, admitted: bool) -> TrioqError:
    """Return the error for the caller.  Raise it ``from`` *error*.  *admitted*: the server has let us in before."""
    if isinstance(error, TrioqError):
        return error
    told = f"{type(error).__name__}: {error}"
    code = code_of(error)
    if code in _UNAVAILABLE:
        return BackendUnavailable(f"{where}: {_UNAVAILABLE[code]} ({told})")
    if code in _DENIED:
        kind = BackendUnavailable if admitted else BackendError
        return kind(f"{where}: {_DENIED[code]} ({told})")
    if is_lost(error):
        return BackendUnavailable(f"{where} can't be reached, or the connection broke ({_root(error)})")
    if code in _REFUSED:
        return BackendError(f"{where}: {_REFUSED[code]} ({told})")
    sentence = f"{where}: the request was refused ({told})"
    if not admitted or all(kind.__name__ != "ResponseError" for kind in type(error).__mro__):
        return BackendError(sentence)
    return refusal(sentence)  # no other refusal of the server is about the data of one item


def _root(error: BaseException) -> str:
    """Return the text of the innermost cause: that a connection can't be made, or was lost, says little."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_root(each) for each in error.exceptions)
    return f"{type(error).__name__}: {error}"
