"""The policies that the invariants are tested on: with room for everything, and with little room."""

from __future__ import annotations

from mnemic.attention.policies.lambda_window import LambdaWindow
from mnemic.attention.policy import FullAttention, Policy

INFINITE: dict[str, Policy] = {
    "full": FullAttention(),
    "lambda": LambdaWindow(window=200, sinks=4),
    "streaming": LambdaWindow(window=200, sinks=4, slots=True),
    "lambda-middle": LambdaWindow(window=200, sinks=4, middle=5, middle_from=0),
}
SMALL: dict[str, Policy] = {
    "full": FullAttention(),
    "lambda": LambdaWindow(window=24, sinks=4),
    "streaming": LambdaWindow(window=24, sinks=4, slots=True),
    "lambda-middle": LambdaWindow(window=24, sinks=4, middle=5, middle_from=1),
}
