#!/usr/bin/env python3
"""No acknowledgement is sent before what it stands for is on disk, and after a power cut everything acknowledged is there: a few cuts.

DURABILITY_CUTS=200 DURABILITY_SEED=7 tests/durability/test_power_cut.py is the long run.
"""

import os
import sys

os.environ.setdefault("DURABILITY_CUTS", "6")

import power_cut  # noqa: E402

sys.exit(power_cut.main())
