"""The commands, a module for each: it parses, calls and prints, and holds nothing that a Python caller would miss."""
