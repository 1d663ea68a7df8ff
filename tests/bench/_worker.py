"""One measurement in a process of its own: ``python -m tests.bench._worker MODULE FUNCTION JSON-ARGUMENTS``.

The last line that it prints is the result, as JSON.
"""

import importlib
import json
import os
import sys
import warnings


def main(module: str, function: str, arguments: str) -> None:
    warnings.simplefilter("ignore")  # deprecations of the peers
    result = getattr(importlib.import_module(f"{__package__}.{module}"), function)(**json.loads(arguments))
    print(json.dumps(result), flush=True)
    os._exit(0)  # what is still held need not be taken down in order


if __name__ == "__main__":
    main(*sys.argv[1:])
