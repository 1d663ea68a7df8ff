"""A local Linq Partner API v3 with recipients whose screens can be inspected. Needs the extra `sandbox`."""

try:
    from linq_typing.sandbox._app import create_app
    from linq_typing.sandbox._faults import Faults
    from linq_typing.sandbox._model import Model
    from linq_typing.sandbox._records import Message, Request, Showing, Webhook
    from linq_typing.sandbox._sandbox import Sandbox
    from linq_typing.sandbox._timeline import Timeline
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn"):
        raise
    raise ImportError('linq_typing.sandbox needs starlette and uvicorn: pip install "linq-typing[sandbox]"') from error

__all__ = ["Faults", "Message", "Model", "Request", "Sandbox", "Showing", "Timeline", "Webhook", "create_app"]
