"""The security headers of every response, built once: helmet's set with a strict Content-Security-Policy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

NO_STORE = "no-store"
HSTS = "max-age=31536000; includeSubDomains"


def content_security_policy(connect_sources: Iterable[str] = ()) -> str:
    """Everything from our own origin, nothing inline; `'self'` covers WebSockets of the same host (CSP level 3)."""
    policy = {
        "default-src": ("'self'",),
        "base-uri": ("'self'",),
        "connect-src": ("'self'", *connect_sources),
        "font-src": ("'self'",),
        "form-action": ("'self'",),
        "frame-ancestors": ("'none'",),
        "img-src": ("'self'", "data:"),
        "object-src": ("'none'",),
        "script-src": ("'self'",),
        "script-src-attr": ("'none'",),
        "style-src": ("'self'",),
    }
    return "; ".join(f"{name} {' '.join(sources)}" for name, sources in policy.items())


def security_headers(connect_sources: Iterable[str] = ()) -> dict[str, str]:
    """What helmet 8 sends, less HSTS (which depends on the connection)."""
    return {
        "Content-Security-Policy": content_security_policy(connect_sources),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Origin-Agent-Cluster": "?1",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-DNS-Prefetch-Control": "off",
        "X-Download-Options": "noopen",
        "X-Frame-Options": "DENY",
        "X-Permitted-Cross-Domain-Policies": "none",
        "X-XSS-Protection": "0",
    }


def header_lines(headers: Mapping[str, str]) -> str:
    """The headers as bytes of the response head, each with its CRLF."""
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
