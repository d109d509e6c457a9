"""Exports: whole tables of rows for other programs, each file read from one snapshot of the database."""
