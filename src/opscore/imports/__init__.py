"""Readers of real files: they turn rows into commands, and what they cannot use into a report."""
