"""Runs a folder of SQL over the log: windows, versions side by side, compare, promote, explain."""

from opscore.projector.answers import (
    Ask,
    Behind,
    CheckFailure,
    ChecksFail,
    ComparedAlone,
    Outdated,
    ProjectionRefused,
    TookTooLong,
)
from opscore.projector.compare import Comparison
from opscore.projector.filling import Progress
from opscore.projector.folder import Definition, read_all
from opscore.projector.follower import Follower
from opscore.projector.projector import (
    PlanLine,
    ProjectionStatus,
    Projector,
)

__all__ = [
    "Ask",
    "Behind",
    "CheckFailure",
    "ChecksFail",
    "ComparedAlone",
    "Comparison",
    "Definition",
    "Follower",
    "Outdated",
    "PlanLine",
    "Progress",
    "ProjectionRefused",
    "ProjectionStatus",
    "Projector",
    "TookTooLong",
    "read_all",
]
