"""Environments for the contenders: each is installed apart from the others, from the package registries, once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, Protocol

import attrs

PEERS: Final = Path(__file__).parent / "peers"

#: Made by ``make``, and it goes with ``make clean``.
HOME: Final = Path(__file__).parent.parent / ".venv" / "peers"


class NotInstalled(Exception):
    """A contender can't be installed on this machine; its text says why."""


class Environment(Protocol):
    """Where the programs of a contender run."""

    def install(self) -> None:
        """Have it; at once where it is there already."""

    def command(self, program: str) -> list[str | Path]:
        """The words that run a program of `PEERS`."""

    def versions(self) -> dict[str, str]:
        """What is installed, that was asked for by name."""


class Ours:
    """The one that runs the benchmarks: it has trioq."""

    def install(self) -> None:
        pass

    def command(self, program: str) -> list[str | Path]:
        return [sys.executable, PEERS / program]

    def versions(self) -> dict[str, str]:
        return _versions(sys.executable, ["trioq", "trio", "coredis", "psycopg"])


@attrs.frozen
class Python:
    """A virtual environment with these requirements."""

    name: str
    requirements: tuple[str, ...]
    at_least: tuple[int, int] = (3, 11)

    @property
    def _folder(self) -> Path:
        return HOME / self.name

    def install(self) -> None:
        done = self._folder / "requirements.txt"
        wanted = "\n".join(self.requirements)
        if done.exists() and done.read_text() == wanted:
            return
        _run(_python(self.at_least), "-m", "venv", "--clear", self._folder)
        _run(self._python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *self.requirements)
        done.write_text(wanted)

    @property
    def _python(self) -> Path:
        return self._folder / "bin" / "python"

    def command(self, program: str) -> list[str | Path]:
        return [self._python, PEERS / program]

    def versions(self) -> dict[str, str]:
        return _versions(self._python, [_bare_name(each) for each in self.requirements])


@attrs.frozen
class Node:
    """A folder with these packages in it, and the programs beside them: that is where Node looks."""

    name: str
    requirements: tuple[str, ...]

    @property
    def _folder(self) -> Path:
        return HOME / self.name

    def install(self) -> None:
        if shutil.which("npm") is None:
            raise NotInstalled("there is no npm here")
        done = self._folder / "requirements.txt"
        wanted = "\n".join(self.requirements)
        if not done.exists() or done.read_text() != wanted:
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / "package.json").write_text('{"private": true}')
            _run("npm", "install", "--silent", "--no-audit", "--no-fund", *self.requirements, folder=self._folder)
            done.write_text(wanted)
        for program in PEERS.glob("*.mjs"):
            shutil.copy(program, self._folder)

    def command(self, program: str) -> list[str | Path]:
        return ["node", self._folder / program]

    def versions(self) -> dict[str, str]:
        version = "require(`./node_modules/${name}/package.json`).version"
        ask = f"for (const name of process.argv.slice(1)) console.log({version})"
        names = [each.partition("@")[0] for each in self.requirements]
        told = _run("node", "-e", ask, *names, folder=self._folder).split()
        return dict(zip(names, told, strict=True)) | {"node": _run("node", "--version").strip().removeprefix("v")}


def _python(at_least: tuple[int, int]) -> str | Path:
    """One that will do: the one that runs this, or another of the machine."""
    if sys.version_info >= at_least:
        return sys.executable
    for minor in range(at_least[1], 20):
        for found in (shutil.which(f"python3.{minor}"), *Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python3")):
            if found is not None and _works(found):
                return found
    raise NotInstalled(f"it needs Python {at_least[0]}.{at_least[1]}")


def _works(python: str | Path) -> bool:
    """Whether it runs: version managers leave names that don't."""
    return subprocess.run([python, "-c", "import venv, ensurepip"], capture_output=True, check=False).returncode == 0


def _bare_name(requirement: str) -> str:
    for end in "[<>=~!":
        requirement = requirement.partition(end)[0]
    return requirement


def _versions(python: str | Path, names: list[str]) -> dict[str, str]:
    ask = "import platform, sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    told = _run(python, "-c", f"{ask}; print(platform.python_version())", *names).split()
    return dict(zip([*names, "Python"], told, strict=True))


def _run(*command: str | Path, folder: Path | None = None) -> str:
    """What a command prints; `NotInstalled` where it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotInstalled(done.stderr.strip()[-500:] or f"{command[0]} failed")
    return done.stdout
