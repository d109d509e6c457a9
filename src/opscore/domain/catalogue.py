"""Everything the domain can record and do, in one import: afterwards EVENT_CLASSES and COMMANDS are complete."""

from __future__ import annotations

import importlib
import pkgutil

import opscore.domain

for _module in pkgutil.iter_modules(opscore.domain.__path__):
    importlib.import_module(f"opscore.domain.{_module.name}")
