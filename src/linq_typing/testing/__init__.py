"""For tests of bots: a sandbox that the library talks to, and a check for ghosts. Needs the extra `testing`.

With pytest, nothing has to be imported: the fixture `linq_sandbox` is this `sandbox()`.
"""

from linq_typing.sandbox import Sandbox
from linq_typing.sandbox._timeline import describe
from linq_typing.testing._ghosts import GhostError, assert_no_ghost
from linq_typing.testing._sandbox import sandbox

__all__ = ["GhostError", "Sandbox", "assert_no_ghost", "describe", "sandbox"]
