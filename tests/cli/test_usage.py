"""What is wrong with a command line, or with the application that it names, is one line on stderr and exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import trioq
from trioq.cli import main

MODULES = {
    "app": """
        import trioq
        queue = trioq.Queue("emails", backend="memory:")
        @queue.task
        async def send(to: str) -> None: ...
        worker = trioq.Worker(queue)
    """,
    "plain": "number = 1",
    "broken": "def f(:",
    "failing": "import plain\n1 / 0",
    "leaving": "raise SystemExit(3)",
    "lacking": "import nowhere_to_be_found",
    "talkative": "raise ValueError('one\\ntwo\\n\\nthree')",
    "stores": """
        import trioq
        no_folder = trioq.Queue("a", backend="sqlite:nowhere/jobs.db")
        no_database = trioq.Queue("a", backend="sqlite:app.py")
    """,
    "pkg/__init__": "",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, source in MODULES.items():
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(line.removeprefix(" " * 8) for line in source.splitlines()))
    (tmp_path / "empty").mkdir()
    return tmp_path


WRONG = {
    "bogus": "No such command 'bogus'",
    "--bogus": "No such option: --bogus",
    "worker": "Missing argument 'MODULE:ATTRIBUTE'",
    "worker app:queue more": "unexpected extra argument",
    "worker app:queue --concurrency many": "'--concurrency'",
    "worker app:queue --concurrency 0": "'--concurrency'",
    "worker app:queue --grace -1": "'--grace'",
    "worker app:queue --grace nan": "grace",
    "worker app:queue --name Zoë": "a worker name must be 1 to 200 printable ASCII characters",
    "worker app:worker --name Zoë": "a worker name must be 1 to 200 printable ASCII characters",
    "worker app": "write MODULE:ATTRIBUTE, as in: trioq worker app:worker",
    "worker :app": "write MODULE:ATTRIBUTE",
    "worker app:": "write MODULE:ATTRIBUTE",
    "worker nowhere:queue": "there is no module 'nowhere'",
    "worker nowhere.py:queue": "A module's name has no .py: nowhere",
    "worker pkg.nowhere:queue": "there is no module 'pkg.nowhere'",
    "worker .app:queue": "'.app'",
    "worker app:wrker": "Did you mean app:worker?",
    "worker app:send": "it is a Task, not a Worker or a Queue. Did you mean app:queue or app:worker?",
    "worker plain:number": "'plain' has no Worker and no Queue at its top level",
    "worker plain:number.real.nothing": "has no 'nothing'",
    "worker broken:queue": "SyntaxError: invalid syntax",
    "worker failing:queue": "failing.py, line 2)",
    "worker leaving:queue": "SystemExit: 3",
    "worker lacking:queue": "No module named 'nowhere_to_be_found'",
    "worker talkative:queue": "ValueError: one two three",
    "worker stores:no_folder": "can't be created: there is no folder",
    "worker stores:no_database": "app.py is not a trioq database",
    "demo nowhere": "nowhere is not a folder",
    "demo empty": "no Python source files",
    "demo --backend what:ever": "no such backend",
    "demo --backend sqlite:": "names no file",
    "demo --backend sqlite:nowhere/jobs.db": "there is no folder",
    "demo --concurrency 0": "'--concurrency'",
    "migrate": "Missing argument 'URL'",
    "migrate what:ever": "no such backend",
    "migrate postgresql://host:what/jobs?ever": "no URL of a PostgreSQL server",
    "migrate postgresql://127.0.0.1:1/jobs": "can't be reached",
    "migrate sqlite:jobs.db --schema jobs": "only PostgreSQL has schemas",
    "migrate sqlite:app.py": "app.py is not a trioq database",
}


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a command changes in its process is undone."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(trioq.settings, "backend", trioq.settings.backend)
    yield
    for name in MODULES:
        sys.modules.pop(name.removesuffix("/__init__"), None)


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        pytest.param(*each, id=each[0], marks=[pytest.mark.slow] if n % 3 else [])
        for n, each in enumerate(WRONG.items())
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path, command: str, sentence: str
):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["trioq", *command.split()])
    with pytest.raises(SystemExit) as left:
        main()
    out, err = capsys.readouterr()
    assert left.value.code == 2
    assert err.startswith("trioq: ")
    assert err.count("\n") == 1
    assert sentence in err
    assert out == ""


@pytest.mark.slow
@pytest.mark.parametrize("command", ["worker", "worker app:wrker", "worker stores:no_database"])
def test_a_shell_sees_the_same_line_and_exit_code(run, folder: Path, command: str):
    done = run("-m", "trioq", *command.split())
    assert done.returncode == 2
    assert done.stderr.startswith("trioq: ")
    assert done.stderr.count("\n") == 1
    assert WRONG[command] in done.stderr
    assert done.stdout == ""


@pytest.mark.slow
def test_the_version_is_told(run):
    done = run("-m", "trioq", "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"trioq {trioq.__version__}\n", "")


@pytest.mark.parametrize("arguments", [["--help"], pytest.param([], marks=pytest.mark.slow)])
def test_help_names_every_command(run, arguments: list[str]):
    done = run("-m", "trioq", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "worker" in done.stdout
    assert "demo" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_its_extra_the_command_says_what_to_install(run, missing: str):
    hide = f"import sys; sys.modules[{missing!r}] = None; from trioq.cli import main; main()"
    done = run("-c", hide, "demo")
    assert done.returncode == 2
    assert done.stderr == 'trioq: the command line needs an extra. Install it with: pip install "trioq[cli]"\n'


@pytest.mark.slow
def test_a_module_that_an_installed_extra_lacks_is_not_mistaken_for_the_extra(run):
    hide = "import sys; sys.modules['hashlib'] = None; from trioq.cli import main; main()"
    done = run("-c", hide, "demo")
    assert done.returncode == 1
    assert "ModuleNotFoundError: import of hashlib halted" in done.stderr
