"""Makes `python -m linq_typing` the same as `linq-typing`."""

import sys

from linq_typing.cli import main

sys.exit(main())
