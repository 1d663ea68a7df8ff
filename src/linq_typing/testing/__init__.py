"""What a bot's own tests need: a sandbox that the library points at, and that finds ghosts. Needs the extra `testing`.

With pytest there is nothing to import: the fixture `linq_sandbox` is this `sandbox()`.
"""

from linq_typing.sandbox import Sandbox
from linq_typing.sandbox._timeline import describe
from linq_typing.testing._ghosts import GhostError, assert_no_ghost
from linq_typing.testing._sandbox import sandbox

__all__ = ["GhostError", "Sandbox", "assert_no_ghost", "describe", "sandbox"]
