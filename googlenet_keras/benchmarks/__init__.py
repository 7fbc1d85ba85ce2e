"""Compares speeds side by side in one run."""
