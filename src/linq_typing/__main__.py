"""`python -m linq_typing` is `linq-typing`."""

import sys

from linq_typing.cli import main

sys.exit(main())
