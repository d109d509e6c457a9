"""The embedded PostgreSQL: shared by processes, stopped by the last, closed to others, not confused by kills."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest

import opscore.embedded
from opscore.embedded import EmbeddedServer
from opscore.settings import SetupError
from tests.conftest import new_folder
from tests.demonstration import free_port
from tests.end_to_end.servers import wait_until

HOLD = """
import sys, time
from pathlib import Path
from opscore.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
print(server.pid, flush=True)
sys.stdin.read()
"""

SERVE = """
import fcntl, os, signal, termios
from opscore import cli
if os.isatty(0):
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
cli.main()
"""

ASK_AS_NOBODY = """
import os, sys, psycopg
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
psycopg.connect(sys.argv[1])
"""


@pytest.fixture
def data() -> Iterator[Path]:
    folder = new_folder("opscore-embedded-")
    yield folder / "data"
    for process in psutil.process_iter(["cmdline"]):
        if process.info["cmdline"] and str(folder / "data" / "postgresql-18") in process.info["cmdline"]:
            process.kill()
    shutil.rmtree(folder)


def test_the_last_process_to_leave_stops_the_server(data: Path) -> None:
    first, second = EmbeddedServer(data), EmbeddedServer(data)
    pid = first.pid
    first.close()
    assert answers(second)
    second.close()
    second.close()
    assert has_ended(pid)


def test_processes_share_one_server_whoever_started_it(data: Path) -> None:
    other = hold(data)
    server_pid = started(other)
    here = EmbeddedServer(data)
    assert here.pid == server_pid
    leave(other)
    assert answers(here)
    here.close()
    assert has_ended(server_pid)


def test_a_killed_process_neither_keeps_the_server_running_nor_hinders_the_next_start(data: Path) -> None:
    killed = hold(data)
    server_pid = started(killed)
    killed.kill()
    killed.communicate()
    following = EmbeddedServer(data)
    assert following.pid == server_pid
    assert answers(following)
    following.close()
    assert has_ended(server_pid)


def test_an_opscore_that_is_told_to_end_stops_the_server(data: Path) -> None:
    with serving(data, stderr=subprocess.DEVNULL) as process:
        pid = server_of(data)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert has_ended(pid)


def test_an_opscore_whose_terminal_is_closed_stops_the_server(data: Path) -> None:
    terminal, inside = os.openpty()
    with serving(data, stdin=inside, stdout=inside, stderr=inside, start_new_session=True) as process:
        os.close(inside)
        pid = server_of(data)
        assert "Uvicorn running" in os.read(terminal, 10_000).decode()
        os.close(terminal)
        process.wait(60)
        assert has_ended(pid)


@contextmanager
def serving(data: Path, **streams: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run `opscore serve` with these streams until the block ends."""
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPSCORE_")}
    process = subprocess.Popen(
        # Whoever started the tests in the background may have had the signals ignored for all that they start.
        [sys.executable, "-c", SERVE, "serve", "--port", str(port)],
        env={**environment, "OPSCORE_DATA_DIR": str(data), "PYTHONPATH": os.pathsep.join(sys.path)},
        **streams,
    )
    try:
        wait_until(lambda: is_served(port), "it serves", 60)
        yield process
    finally:
        process.kill()
        process.wait()


def server_of(data: Path) -> int:
    """Return the process id of the PostgreSQL whose data are there."""
    return int((data / "postgresql-18" / "postmaster.pid").read_text("utf-8").split()[0])


def is_served(port: int) -> bool:
    """Say whether a server answers there."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", verify=False).status_code == 200
    except httpx.HTTPError:
        return False


def test_after_the_server_itself_was_killed_it_starts_again_with_its_data(data: Path) -> None:
    server = EmbeddedServer(data)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    os.kill(server.pid, signal.SIGKILL)
    again = EmbeddedServer(data)
    assert answers(again)
    with psycopg.connect(again.url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    again.close()
    server.close()


def test_a_server_that_is_watched_comes_back_by_itself(data: Path) -> None:
    server = EmbeddedServer(data)
    server.watch()
    killed = server.pid
    os.kill(killed, signal.SIGKILL)
    until = time.monotonic() + 20
    while time.monotonic() < until and not came_back(server, killed):
        time.sleep(0.05)
    assert came_back(server, killed)
    server.close()
    assert not (data / "postgresql-18" / "postmaster.pid").exists()


def test_its_data_are_removed_only_when_nobody_else_uses_them(data: Path) -> None:
    server, other = EmbeddedServer(data), EmbeddedServer(data)
    with pytest.raises(SetupError, match="stop it first"):
        server.remove()
    assert answers(other)
    server.close()
    other.remove()
    assert not (data / "postgresql-18").exists()


def test_a_pid_file_whose_number_belongs_to_another_program_does_not_forbid_the_start(data: Path) -> None:
    EmbeddedServer(data).close()
    pid_file = data / "postgresql-18" / "postmaster.pid"
    pid_file.write_text(f"{os.getppid()}\n{data / 'postgresql-18'}\n1\n5432\n\n\n  1 1\nready\n", encoding="utf-8")
    server = EmbeddedServer(data)
    assert server.pid != os.getppid()
    assert answers(server)
    server.close()


def test_a_first_start_that_was_cut_off_leaves_nothing_in_the_way(data: Path) -> None:
    draft = data / "postgresql-18.new"
    draft.mkdir(parents=True)
    (draft / "PG_VERSION").write_text("18\n", encoding="ascii")
    server = EmbeddedServer(data)
    assert answers(server)
    server.close()


def test_ten_processes_that_start_at_once_meet_on_one_server(data: Path) -> None:
    crowd = [hold(data) for _ in range(10)]
    assert len({started(process) for process in crowd}) == 1
    for process in crowd:
        leave(process)


def test_only_the_owner_can_enter_the_folder_of_the_socket(data: Path) -> None:
    server = EmbeddedServer(data)
    sockets = Path(psycopg.conninfo.conninfo_to_dict(server.url)["host"])
    assert sockets.stat().st_mode & 0o077 == 0
    with psycopg.connect(server.url) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
    server.close()


def test_a_socket_that_others_can_reach_is_refused(data: Path) -> None:
    server = EmbeddedServer(data)
    (data / "postgresql-18").chmod(0o755)
    with pytest.raises(SetupError, match="chmod 700"):
        EmbeddedServer(data)
    (data / "postgresql-18").chmod(0o700)
    server.close()


def test_the_server_lets_in_nobody_but_whom_the_kernel_names(data: Path) -> None:
    server = EmbeddedServer(data)
    cluster = data / "postgresql-18"
    with psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT type, auth_method FROM pg_hba_file_rules").fetchall() == [("local", "peer")]
        names = {name for (name,) in connection.execute("SELECT sys_name FROM pg_ident_file_mappings")}
    assert names == {pwd.getpwuid(os.geteuid()).pw_name, pwd.getpwuid(cluster.stat().st_uid).pw_name}
    if os.geteuid() == 0:  # Only root can ask as somebody else.
        for path, mode in ((data.parent, 0o755), (cluster, 0o711), (cluster / ".s.PGSQL.5432", 0o777)):
            path.chmod(mode)
        asked = subprocess.run([sys.executable, "-c", ASK_AS_NOBODY, server.url], capture_output=True, text=True)
        cluster.chmod(0o700)
        assert "Peer authentication failed" in asked.stderr
    server.close()


def test_a_path_too_long_for_a_socket_gets_a_short_private_folder(data: Path) -> None:
    server = EmbeddedServer(data / ("d" * 60) / ("e" * 60))
    assert answers(server)
    sockets = Path(psycopg.conninfo.conninfo_to_dict(server.url)["host"])
    assert sockets.stat().st_mode & 0o077 == 0
    server.close()
    sockets.rmdir()


def test_without_the_extra_the_message_says_what_to_install(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opscore.embedded.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SetupError, match=r"opscore\[embedded\].*OPSCORE_DATABASE_URL"):
        EmbeddedServer(data)


def test_the_log_of_a_server_that_does_not_start_is_shown(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opscore.embedded, "_CONFIGURATION", "no_such_setting = 1\n")
    with pytest.raises(SetupError, match="no_such_setting"):
        EmbeddedServer(data)


def hold(data: Path) -> subprocess.Popen[str]:
    """Start a process that uses the server until its input ends."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(opscore.embedded.__file__).parents[1])},
    )


def started(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


def leave(process: subprocess.Popen[str]) -> None:
    process.communicate("")
    assert process.returncode == 0


def has_ended(pid: int) -> bool:
    """Say whether the process is gone, or dead and not yet reaped."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def came_back(server: EmbeddedServer, killed: int) -> bool:
    try:
        return server.pid != killed and answers(server)
    except (psycopg.OperationalError, OSError):
        return False


def answers(server: EmbeddedServer) -> bool:
    with psycopg.connect(server.url) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)
