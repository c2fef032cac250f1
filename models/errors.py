"""What a node hears when a model cannot answer.

All of them fail the node that called (NodeError); its retry and error strategy decide what follows. The catalog's own
fault, InvalidCatalogError, is met at start, not by a node.
"""

from graph.errors import NodeError, RefusedError


class ModelNotConfiguredError(NodeError):
    """No target is configured for this model; the operator adds it to the models file."""

    code = "model_not_configured"

    def __init__(self, provider: str, name: str) -> None:
        super().__init__(
            f'the model "{name}" of provider "{provider}" is not configured: add '
            f'{{provider: "{provider}", name: "{name}", target: local}} under "models" in the models file '
            '(GREENROOM_MODELS_FILE), or "default: local" there to serve every unlisted model with the local weights',
            "ModelNotConfiguredError",
        )
        self.args = (provider, name)
        self.provider = provider
        self.name = name


class ModelWeightsError(NodeError):
    """The weights or the engine of a local target are missing or not the right ones; the operator installs them."""

    code = "model_weights"

    def __init__(self, target: str, reason: str) -> None:
        super().__init__(f'the local model target "{target}" cannot run: {reason}', "ModelWeightsError")
        self.args = (target, reason)
        self.target = target
        self.reason = reason


class ModelCallRefusedError(NodeError):
    """The model refused the call as it is (parameter, prompt length, key); its author or operator fixes it."""

    code = "model_call_refused"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f'the model "{name}" refused the call: {reason}', "ModelCallRefusedError")
        self.args = (name, reason)
        self.name = name
        self.reason = reason


class ModelUnavailableError(NodeError):
    """The model is not there now, or its answer broke off; the same call may succeed later."""

    code = "model_unavailable"
    retryable = True

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f'the model "{name}" is not available: {reason}', "ModelUnavailableError")
        self.args = (name, reason)
        self.name = name
        self.reason = reason


class ScriptedError(NodeError):
    """The error that a script gives as answer; whoever wrote the script asked for it."""

    code = "scripted"

    def __init__(self, message: str, error_type: str = "ScriptedError") -> None:
        super().__init__(message, error_type)


class InvalidCatalogError(RefusedError):
    """The models file cannot be used; the operator fixes the listed places."""

    code = "invalid_models_file"

    def __init__(self, source: str, faults: tuple[str, ...]) -> None:
        super().__init__(source, faults)
        self.source = source
        self.faults = faults

    def __str__(self) -> str:
        return f"the models of {self.source} have faults:\n" + "\n".join(f"- {fault}" for fault in self.faults)
