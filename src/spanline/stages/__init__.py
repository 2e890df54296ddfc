"""Stages: one analysis a file."""
