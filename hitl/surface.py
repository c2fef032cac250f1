"""The surfaces: the API families through which a caller reads and answers forms."""

from enum import StrEnum


class Surface(StrEnum):
    """Through which API a request arrived. There is no "internal" surface: every token belongs to one of these."""

    SERVICE_API = "service_api"
    """``/v1``, with an app's API key."""
    OPENAPI = "openapi"
    """``/openapi/v1``, with a bearer token; the command line clients."""
    WEB = "web"
    """``/api`` and the public form page."""
    CONSOLE = "console"
    """``/console/api`` and the inbox, with a login."""
    MCP = "mcp"
    """``/mcp``, with the code of an app's MCP server; the callers are agents."""
