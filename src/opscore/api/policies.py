"""Policies as questions go by them: what was in force at a moment, or a version that somebody wants to see tried."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

import msgspec

from opscore.api.errors import BadInput
from opscore.domain.policies import Policy
from opscore.domain.store import Store

PolicyT = TypeVar("PolicyT", bound=Policy)


def gone_by(store: Store, kind: type[PolicyT], at: datetime, version: int | None) -> tuple[PolicyT, int]:
    """Return what a store's figures are told by, and its version: `version`, or what was in force at a moment (UTC).

    Version 0 is what holds for a store that never set the policy. Raises BadInput for a version that there is not.
    """
    if version is None:
        return store.policy(kind, at), store.policy_version(kind, at)
    for each in store.policies.get(kind.KIND, []):
        if each.policy_version == version:
            return msgspec.convert(each.params, kind), version
    raise BadInput(
        f"{store.name} has no version {version} of the policy {kind.KIND}; `policies` of the store lists them."
    )
