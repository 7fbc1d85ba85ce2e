"""Implements the commands, one module each: they parse, call and print; all else is available to Python callers."""
