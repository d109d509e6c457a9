"""Trusted documents: what clients are known to send, found by hash, and, where the operator says so, nothing else.

A document is named as the appendix of GraphQL over HTTP on persisted documents says: `sha256:` and the hash of its text
in lower-case hexadecimal digits. Taken are the operations of `schema/operations/`, each with the fragments that it
uses, as `manifest.json` there lists them for clients; and those of a folder of the operator's own, as documents or as
manifests of a client's tool (hash -> text). The hash is always reckoned here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from graphql import GraphQLError, parse, print_ast, separate_operations

from opscore import resources
from opscore.api.errors import DocumentNotTrusted, DocumentUnknown
from opscore.settings import SetupError

PREFIX = "sha256:"
MANIFEST = "manifest.json"


def document_id(text: str) -> str:
    """Return the identifier of a document."""
    return PREFIX + hashlib.sha256(text.encode()).hexdigest()


def operations_folder() -> Path:
    """Return the folder with the documents that our own clients send."""
    return resources.path("schema") / "operations"


def manifest() -> str:
    """Return the text of `schema/operations/manifest.json`: identifier -> document, by the name of the operation."""
    found = [text for file in _files(operations_folder(), "*.graphql") for text in _operations(file)]
    return json.dumps({document_id(text): text for text in found}, indent=2, ensure_ascii=False) + "\n"


class TrustedDocuments:
    """The documents that are known, by identifier."""

    def __init__(self, *folders: Path, only: bool) -> None:
        """Read the documents of these folders. only: whether no other document is run.

        Raises SetupError naming a file that cannot be used.
        """
        self.only = only
        self._texts: dict[str, str] = {}
        for folder in folders:
            for file in _files(folder, "*.graphql"):
                for text in (file.read_text(encoding="utf-8"), *_operations(file)):
                    self._texts[document_id(text)] = text
            for file in _files(folder, "*.json"):
                for text in _listed(file):
                    self._texts[document_id(text)] = text

    def find(self, identifier: str) -> str:
        """Return the document of an identifier; raises DocumentUnknown."""
        found = self._texts.get(identifier)
        if found is None:
            raise DocumentUnknown("No document is known by this documentId; have it deployed with the server.")
        return found

    def require(self, text: str) -> None:
        """Raise DocumentNotTrusted for a document that is not known, where only known ones are run."""
        if self.only and document_id(text) not in self._texts:
            raise DocumentNotTrusted("This server runs only the documents that were deployed with it.")


def _files(folder: Path, pattern: str) -> list[Path]:
    if not folder.is_dir():
        raise SetupError(f"There is no folder {folder} with trusted documents; see OPSCORE_DOCUMENTS_DIR")
    return sorted(folder.glob(pattern))


def _operations(file: Path) -> Iterator[str]:
    """Give each operation of a file with the fragments that it uses."""
    try:
        document = parse(file.read_text(encoding="utf-8"))
    except (GraphQLError, UnicodeDecodeError) as error:
        raise SetupError(f"{file} cannot be read as a GraphQL document: {error}") from None
    for _, operation in sorted(separate_operations(document).items()):
        yield print_ast(operation)


def _listed(file: Path) -> list[str]:
    """Return the documents of a manifest, whatever their hashes are said to be."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        raise SetupError(f"{file} is no manifest of documents: one JSON object, hash -> document")
    return list(found.values())
