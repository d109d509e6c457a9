"""The rules: five aggregates that take commands, decide, and record events."""
