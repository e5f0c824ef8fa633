#!/usr/bin/env python3
"""Nothing acknowledged is lost by kill -9, nothing of QoS 2 comes twice, nothing that was gone is back: a few rounds of kill.py.

DURABILITY_ROUNDS=100 DURABILITY_SEED=7 tests/durability/test_kill.py is the long run.
"""

import os
import sys

os.environ.setdefault("DURABILITY_ROUNDS", "3")

import kill  # noqa: E402

sys.exit(kill.main())
