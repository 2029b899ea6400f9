"""Addresses of databases as they may be printed."""

from __future__ import annotations


def shown(url: str) -> str:
    """The address of a PostgreSQL database without user, password and options."""
    return "postgresql://" + url.partition("://")[2].partition("?")[0].rpartition("@")[2]
