"""The server: everything one process runs, wired together, watched, and taken down in order."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any

import orjson
import psycopg
import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from opscore import kpi_versions, logs, metrics
from opscore.api import explorer, exports
from opscore.api.context import Services
from opscore.api.engine import GraphQLEngine
from opscore.api.errors import ApiError, DatabaseAway, MethodNotAllowed, NotServed, format_api_error, masked
from opscore.api.guard import Limits
from opscore.api.http import REPLAY, GraphQLEndpoint, error_response, new_request_id
from opscore.api.live import Live
from opscore.api.schema import build_schema, mutations
from opscore.api.sockets import NoSocket, SocketEndpoint
from opscore.api.throttle import Throttle
from opscore.api.trusted import TrustedDocuments, operations_folder
from opscore.database import Database, Unreachable, is_away, is_newer, migrated_version, version_fault
from opscore.exports.jobs import Exports
from opscore.followups import FollowUps
from opscore.housekeeping import Housekeeping
from opscore.kpis import KpiFileError
from opscore.log.event_log import EventLog
from opscore.metrics import Metrics
from opscore.oidc import Oidc
from opscore.projector import Follower, ProjectionRefused, Projector
from opscore.projector.lock import EditedWithoutVersion
from opscore.projector.sqltext import SqlFileError
from opscore.settings import Settings, SetupError
from opscore.tokens import ROLE_HEADER, TokenBook
from opscore.webhooks.delivery import Delivery
from opscore.writer import Writer

log = structlog.get_logger("opscore.app")

CHECKED_SECONDS = 1.0
"""How long the answer of /readyz is good: a probe storm asks the database once."""
FOLLOWERS_SECONDS = 10.0
"""How long a server that stops waits for a round of those that follow the log: what is not committed comes again."""
LAG_EVENTS_MAX = 10_000
"""A read model further behind than this makes the server unready."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that has to hold before requests are sent here; `reason` says what is wrong and what to do."""

    name: str
    ok: bool
    reason: str | None = None


def require_usable(database: Database) -> None:
    """Refuse a database that is unsafe or not up to date, or no master key. Raises SetupError saying what to do."""
    database.require_durable()
    if fault := version_fault(migrated_version(database)):
        raise SetupError(f"This database cannot be used: {fault}")
    database.settings.master_key_bytes()


class Server:
    """What one process runs: database, writer, follower of the read models. Start it, stop it, ask how it is."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = Database.open(settings)
        # What is read for requests ends in time; what the process does by itself takes as long as it takes.
        self.reading = self.database.for_reads()
        try:
            require_usable(self.database)
            self.writer = Writer(self.database, settings)
            self.projector = Projector(self.database)
            self.follower = Follower(self.projector)
            self.follow_ups = FollowUps(self.database, self.writer)
            self.housekeeping = Housekeeping(self.database, settings)
            self.webhooks = Delivery(self.database)
            self.exports = Exports(self.database, self.projector)
            self.services = Services(
                database=self.reading,
                log=EventLog(self.reading.pool.connection),
                writer=self.writer,
                projector=Projector(self.reading),
                tokens=TokenBook(self.database, None if settings.oidc_issuer is None else Oidc(settings)),
            )
            self.metrics = Metrics(self)
        except BaseException:
            self.reading.close()
            self.database.close()
            raise
        self._deploying: threading.Thread | None = None
        self._stopping = False
        self._deploy_failure: str | None = None
        self._checked: tuple[float, list[Check]] | None = None
        self._checking = threading.Lock()

    def start(self) -> None:
        """Begin to decide and to follow. Read models that are missing are built in the background.

        First whoever was erased is erased again, in case the keys come from a backup older than that.
        """
        with self.database.pool.connection() as connection:
            if again := self.writer.keyring.erased_again(connection):
                log.warning("erased_again", subjects=again)
        self.writer.after_commit.append(lambda _: self.follower.hint())
        self.writer.after_commit.append(lambda _: self.follow_ups.hint())
        self.writer.after_commit.append(lambda _: self.webhooks.hint())
        self.writer.start()
        self.follow_ups.start()
        self.housekeeping.start()
        self.webhooks.start()
        self.exports.start()
        self._deploying = threading.Thread(target=self._deploy, name="opscore-deploy", daemon=True)
        self._deploying.start()

    def _deploy(self) -> None:
        try:
            kpi_versions.take_into_service(self.database)
            self.projector.deploy(by="serve", stop=lambda: self._stopping)
        except (ProjectionRefused, SqlFileError, EditedWithoutVersion, KpiFileError) as refused:
            if not self._stopping:
                self._deploy_failure = str(refused)
                log.error("projections_not_deployed", reason=str(refused))
        except Exception as error:
            self._deploy_failure = f"building the read models failed ({type(error).__name__}); see the log"
            log.error("projections_not_deployed", **logs.exception_facts(error))
        # What is there is followed whatever happened to the rest.
        if not self._stopping:
            self.follower.start()
            if waiting := self.services.comparisons.resume():
                log.info("comparisons_taken_up", comparisons=waiting)

    def stop(self) -> None:
        """Decide what is queued, then let go of everything; returns when it is done."""
        self._stopping = True
        self.housekeeping.stop()
        self.webhooks.stop()
        self.exports.stop()
        self.follow_ups.stop(FOLLOWERS_SECONDS)
        self.writer.stop()
        if self._deploying is not None:
            self._deploying.join()
        self.follower.stop(FOLLOWERS_SECONDS)
        self.services.works.stop()
        self.services.threads.shutdown(wait=True)
        self.services.doorman.shutdown(wait=True)
        self.reading.close()
        self.database.close()

    # Health ------------------------------------------------------------------------------------------------------

    def checks(self) -> list[Check]:
        """Return what /readyz looks at (blocking)."""
        with self._checking:
            if self._checked is not None and time.monotonic() - self._checked[0] < CHECKED_SECONDS:
                return self._checked[1]
            found = [self._check_writer()]
            for name, look in (
                ("database", self._look_at_database),
                ("migrations", self._look_at_migrations),
                ("events", self._look_at_events),
                ("projections", self._look_at_projections),
                ("follow-ups", self._look_at_follow_ups),
            ):
                found.append(_checked(name, look))
                if not found[-1].ok and name == "database":
                    break  # The others would only wait for it as well, each until its patience ends.
            else:
                found.append(self._told("webhooks", self.webhooks.summary))
            self._checked = (time.monotonic(), found)
            return found

    def _check_writer(self) -> Check:
        if self.writer.halted is not None:
            return Check("writer", False, self.writer.halted)
        if self.writer.queue_length >= self.settings.queue_size:
            return Check("writer", False, "the queue of commands is full")
        return Check("writer", True)

    def _told(self, name: str, look: Callable[[], str | None]) -> Check:
        """Return how something gets on that requests do not need: there is something to read, it never fails."""
        return Check(name, True, _checked(name, look).reason)

    def _look_at_database(self) -> str | None:
        self.database.require_durable()
        return None

    def _look_at_migrations(self) -> str | None:
        found = migrated_version(self.database)
        # Migrations add: a server that runs goes on, while servers of the newer program take its place one by one.
        return None if is_newer(found) else version_fault(found)

    def _look_at_events(self) -> str | None:
        unknown = self.services.log.unknown_types()
        return f"this program does not know {', '.join(unknown)}; upgrade it" if unknown else None

    def _look_at_projections(self) -> str | None:
        if self._deploy_failure is not None:
            return self._deploy_failure
        if self._deploying is not None and self._deploying.is_alive():
            return "read models are being built"
        if not self.follower.is_alive:
            return "nothing follows the log in this process"
        reasons = []
        status = self.projector.status()
        serving = {each.entry.name for each in status if each.entry.status == "serving"}
        for each in status:
            entry = each.entry
            if "/" in entry.name:
                continue  # A copy of the past, or of a what-if: whoever made it was told.
            if entry.state == "failed":
                reasons.append(
                    f"{entry.name} version {entry.version} stopped at position {entry.failed_position} in"
                    f" {entry.failed_statement}"
                )
            elif entry.status == "ready" and entry.failing and entry.name not in serving:
                reasons.append(
                    f"no version of {entry.name} serves: of version {entry.version} {', '.join(entry.failing)} fails"
                )
            elif entry.status == "serving" and each.lag > LAG_EVENTS_MAX:
                reasons.append(f"{entry.name} version {entry.version} is {each.lag} events behind")
        return "; ".join(reasons) or None

    def _look_at_follow_ups(self) -> str | None:
        if not self.follow_ups.is_alive:
            return "nothing gives the commands that follow from events in this process"
        if self.follow_ups.error is not None:
            return f"the last round failed: {self.follow_ups.error}"
        lag = self.follow_ups.lag()
        return f"{lag} events have not been looked at" if lag > LAG_EVENTS_MAX else None


def _checked(name: str, look: Callable[[], str | None]) -> Check:
    try:
        reason = look()
    except (Unreachable, psycopg.Error) as error:
        reason = f"the database does not answer ({type(error).__name__})"
    except SetupError as error:
        reason = str(error)
    return Check(name, reason is None, reason)


def trusted_documents(settings: Settings) -> TrustedDocuments:
    """Return the documents that clients may name by their hash; raises SetupError."""
    own = () if settings.documents_dir is None else (settings.documents_dir,)
    return TrustedDocuments(operations_folder(), *own, only=settings.trusted_documents_only)


def create_app(settings: Settings) -> Application:
    """Return the ASGI application; its lifespan starts and stops everything else."""
    limits = Limits(body_seconds=settings.body_seconds_max)
    trusted = trusted_documents(settings)
    routes: list[BaseRoute] = []

    @asynccontextmanager
    async def lifespan(app: Application) -> AsyncIterator[None]:
        server = await asyncio.to_thread(Server, settings)
        app.state.server = server
        throttle = strangers = None
        if settings.throttle_points:
            throttle = Throttle(settings.throttle_points, settings.throttle_points_per_second)
        if settings.throttle_address_points:
            strangers = Throttle(
                settings.throttle_address_points, settings.throttle_address_points_per_second, of="address"
            )
        engine = GraphQLEngine(
            build_schema()._schema,
            server.services,
            limits,
            introspection=settings.introspection,
            suggestions=settings.introspection,
            commands=mutations(),
            compiled=settings.compiled_executor,
            throttle=throttle,
            strangers=strangers,
            trusted=trusted,
            counts=server.metrics.requests,
            read_seconds_max=settings.read_seconds_max,
        )
        endpoint = GraphQLEndpoint(engine, limits, explorer.page() if settings.explorer else None)
        sockets = SocketEndpoint(engine, origins=settings.cors_origins, counts=server.metrics.requests)
        app.state.sockets = sockets
        app.router.routes[:0] = [Route("/graphql", endpoint), WebSocketRoute("/graphql", sockets)]
        app.direct["websocket", "/graphql"] = sockets
        if not settings.cors_origins:
            app.direct["http", "/graphql"] = endpoint
        app.router.routes += [exports.route(engine, server.services), metrics.route(engine, server.metrics)]
        live = server.services.live = Live(server.services)
        live.start()
        server.writer.after_commit.append(lambda _: live.hint())
        server.start()
        log.info("serving", schema=settings.schema_name)
        try:
            yield
        finally:
            await sockets.close()
            await live.stop()
            await asyncio.to_thread(server.stop)
            log.info("stopped")

    async def healthz(_: Request) -> Response:
        return _json({"status": "ok"})

    async def readyz(request: Request) -> Response:
        checks = await asyncio.to_thread(request.app.state.server.checks)
        ready = all(each.ok for each in checks)
        body = {"status": "ready" if ready else "not ready", "checks": [asdict(each) for each in checks]}
        return _json(body, 200 if ready else 503)

    async def home(_: Request) -> Response:
        return RedirectResponse("/graphql")

    routes += [Route("/healthz", healthz), Route("/readyz", readyz), WebSocketRoute("/{path:path}", NoSocket())]
    if settings.explorer:
        routes += [Route("/", home), Route("/explorer/{name}", explorer.explorer_file)]
    pages = Middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=("GET", "POST"),
        allow_headers=("authorization", "content-type", "x-request-id", REPLAY, ROLE_HEADER.lower()),
        expose_headers=("x-request-id", "retry-after", "deprecation", "x-deprecated"),
    )
    return Application(
        routes=routes,
        lifespan=lifespan,
        middleware=[pages] if settings.cors_origins else [],
        exception_handlers={
            HTTPException: _not_served,
            ApiError: _refused,
            psycopg.Error: _database_fault,
            Exception: _fault,
        },
    )


class Application(Starlette):
    """Hands connections over at once where no middleware has to see them: a socket would keep 3 kB of frames of
    middleware and routes for as long as it is open, and a small request would spend a tenth of its time in them.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.direct: dict[tuple[str, str], ASGIApp] = {}
        """What serves connections of this type and path; all others are routed."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a connection."""
        served = self.direct.get((scope["type"], scope.get("path", "")))
        await (super().__call__ if served is None else served)(scope, receive, send)


async def _not_served(_: Request, error: Exception) -> Response:
    """Answer what no route takes as everything else is answered: with errors that carry a code."""
    assert isinstance(error, HTTPException)
    fault: ApiError = NotServed("There is nothing here; the API is at /graphql.")
    if error.status_code == MethodNotAllowed.STATUS:
        fault = MethodNotAllowed(f"This path takes {(error.headers or {}).get('Allow')} only.")
    response = _json({"errors": [format_api_error(fault)]}, fault.STATUS)
    response.headers.update(error.headers or {})
    return response


# How every route but /graphql, which does it itself, says what went wrong.


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error_response(error)


async def _database_fault(request: Request, error: Exception) -> Response:
    if not is_away(error):
        return await _fault(request, error)
    log.warning("database_away", **logs.exception_facts(error))
    return error_response(DatabaseAway())


async def _fault(_: Request, error: Exception) -> Response:
    response = _json({"errors": [masked(error, new_request_id())]}, 500)
    # Starlette hands the error on to the server, which then closes the connection: whoever sent the next request on it
    # would get no answer.
    response.headers["connection"] = "close"
    return response


def _json(body: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json", headers={"cache-control": "no-store"})


class HttpServer(uvicorn.Server):
    """Closes the sockets of subscriptions first when it stops: 1001, which tells clients to connect again."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, say goodbye on every socket, answer what is under way, and stop the rest."""
        for server in self.servers:
            server.close()
        app = self.config.loaded_app
        while not isinstance(app, Starlette):
            app = app.app  # uvicorn wraps it.
        await app.state.sockets.close()
        await super().shutdown(sockets)


def http_config(app: Starlette, host: str, port: int) -> uvicorn.Config:
    """Return how the application is served."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=Limits().body_bytes,
        # Compression would keep a window of memory for each idle socket.
        ws_per_message_deflate=False,
        log_config=None,
        # The default access log would write query strings, which may hold personal data.
        access_log=False,
        server_header=False,
        # Longer than clients and proxies keep idle connections (5 to 60 seconds): who closes first must be they, or a
        # request sent at that very moment is lost with the connection.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=15,
    )


def serve(settings: Settings) -> None:
    """Serve until the process is told to stop; what was taken in is decided and answered first.

    Raises SetupError, before anything is started, when the server could not work.
    """
    with Database.open(settings) as database:
        require_usable(database)
    logs.configure()
    server = HttpServer(http_config(create_app(settings), settings.host, settings.port))
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(3)  # As uvicorn.run does; the reason is in the log.
