"""Runs all tests on one world: python -m test, in the folder tests/world/aws."""

import sys
import unittest

from . import account

program = None
try:
    program = unittest.main(module=None, argv=["test", "discover", "-s", "test", "-t", "."] + sys.argv[1:], exit=False)
finally:
    account.end()
sys.exit(not program.result.wasSuccessful())
