"""What a node hears when a tool cannot be called or fails.

All but InvalidToolsFileError, which is met at start, fail the node that called.
"""

from graph.errors import NodeError, RefusedError


class ToolNotConfiguredError(NodeError):
    """Nothing in the tools file fits this tool; the operator adds it."""

    code = "tool_not_configured"

    def __init__(self, provider: str, tool: str) -> None:
        super().__init__(
            f'the tool "{tool}" of provider "{provider}" is not configured: add '
            f'{{provider: "{provider}", tool: "{tool}", source: …}} under "tools" in the tools file '
            "(GREENROOM_TOOLS_FILE), with a source that can do what it does",
            "ToolNotConfiguredError",
        )
        self.args = (provider, tool)
        self.provider = provider
        self.tool = tool


class ToolSourceError(NodeError):
    """A source of the tools file cannot be used; the operator mends what the text names."""

    code = "tool_source"

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f'the tool source "{source}" cannot be used: {reason}', "ToolSourceError")
        self.args = (source, reason)
        self.source = source
        self.reason = reason


class ToolParameterError(NodeError):
    """A parameter is missing or has a value that cannot be; the workflow's author corrects it."""

    code = "tool_parameter"

    def __init__(self, tool: str, reason: str) -> None:
        super().__init__(f'tool "{tool}": {reason}', "ToolParameterError")
        self.args = (tool, reason)
        self.tool = tool
        self.reason = reason


class ToolFailedError(NodeError):
    """The tool was called and failed; its text says why."""

    code = "tool_failed"

    def __init__(self, tool: str, reason: str) -> None:
        super().__init__(f'tool "{tool}": {reason}', "ToolInvokeError")
        self.args = (tool, reason)
        self.tool = tool
        self.reason = reason


class WorkflowToolHumanInputError(NodeError):
    """A workflow that asks people cannot be a tool: the call would have to wait; the author uses another one."""

    code = "workflow_tool_human_input_not_supported"

    def __init__(self, app: str) -> None:
        super().__init__(
            f'the workflow "{app}" has a human-input node and so cannot be called as a tool',
            "WorkflowToolHumanInputError",
        )
        self.args = (app,)
        self.app = app


class WorkflowDepthError(NodeError):
    """Workflows call each other as tools too deep, mostly in a circle; the author breaks it."""

    code = "workflow_depth"

    def __init__(self, limit: int) -> None:
        super().__init__(f"Max workflow call depth {limit} reached.", "WorkflowDepthError")
        self.args = (limit,)
        self.limit = limit


class InvalidToolsFileError(RefusedError):
    """The tools file cannot be used; the operator fixes the listed places."""

    code = "invalid_tools_file"

    def __init__(self, source: str, faults: tuple[str, ...]) -> None:
        super().__init__(source, faults)
        self.source = source
        self.faults = faults

    def __str__(self) -> str:
        return f"the tools of {self.source} have faults:\n" + "\n".join(f"- {fault}" for fault in self.faults)
