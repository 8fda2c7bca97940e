"""Runs a script's cases, each by itself, and prints as one line of JSON what came of them."""

import asyncio
import importlib.metadata
import inspect
import json
import sys
import traceback

CASES = []


def case(function):
    """Makes a case of a function, async or not; it fails by raising."""
    CASES.append(function)
    return function


def main(package):
    """Runs the cases that were named as arguments, or all of them."""
    wanted = sys.argv[1:]
    passed, failed = [], {}
    for function in CASES:
        if wanted and function.__name__ not in wanted:
            continue
        try:
            result = function()
            if inspect.isawaitable(result):
                asyncio.run(await_all(result))
            passed.append(function.__name__)
        except Exception:  # whatever a client raises is this case's failure alone
            failed[function.__name__] = traceback.format_exc()
    version = importlib.metadata.version(package)
    print(json.dumps({"client": package, "version": version, "passed": passed, "failed": failed}))


async def await_all(awaitable):
    return await awaitable


def raises(kind, call):
    """The exception of this class that a call raises."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")
