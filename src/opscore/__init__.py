"""Event-sourced operations core for online retail."""

__version__ = "0.1.0"
