"""Reads {"gold": …, "prediction": …} lines and writes Math-Verify's verdict for each: true or false."""
import json
import logging
import sys

from math_verify import parse, verify

logging.disable(logging.CRITICAL)
for line in sys.stdin:
    pair = json.loads(line)
    try:
        verdict = verify(parse(pair["gold"], parsing_timeout=3), parse(pair["prediction"], parsing_timeout=3), timeout_seconds=3)
    except Exception:  # an error is a rejection there
        verdict = False
    print("true" if verdict else "false", flush=True)
