"""Prometheus metrics of the typing indicators: what happened, how long requests take, and how things are now.

Set LINQ_API_V3_API_KEY, LINQ_CHAT_ID and perhaps METRICS_PORT, then: python examples/metrics.py
and look at http://localhost:9464/metrics
"""

import os

from prometheus_client import start_http_server

from fake_llm import answer
from linq_typing import configure, flush, typing_while
from linq_typing.instrumentation.prometheus import PrometheusHook


def main() -> None:
    start_http_server(int(os.environ.get("METRICS_PORT", "9464")))
    configure(on_event=PrometheusHook())
    with typing_while(os.environ["LINQ_CHAT_ID"]):
        print(answer("What is a metric?"), flush=True)
    flush()
    input("Return ends it. ")


if __name__ == "__main__":
    main()
