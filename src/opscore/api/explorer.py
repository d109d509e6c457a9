"""The explorer page: GraphiQL from our own files, so that it loads on a machine without internet."""

from __future__ import annotations

import gzip
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

FOLDER = Path(__file__).with_name("explorer")

TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
}

# GraphiQL's editor sets styles on elements; everything else comes from this server alone.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


def page() -> bytes:
    """Return the page itself."""
    return (FOLDER / "page.html").read_bytes()


def served_names() -> list[str]:
    """Return the names of the files that the page may ask for."""
    return sorted(path.name.removesuffix(".gz") for path in FOLDER.iterdir() if path.suffix != ".html")


async def explorer_file(request: Request) -> Response:
    """Answer with a file of the page; 404 for any other name."""
    name = request.path_params["name"]
    if name not in served_names():
        raise HTTPException(404)
    headers = {"cache-control": "public, max-age=86400", "x-content-type-options": "nosniff", "vary": "accept-encoding"}
    packed = FOLDER / f"{name}.gz"
    if packed.exists():
        content = packed.read_bytes()
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["content-encoding"] = "gzip"
        else:
            content = gzip.decompress(content)
    else:
        content = (FOLDER / name).read_bytes()
    return Response(content, media_type=TYPES[Path(name).suffix], headers=headers)
