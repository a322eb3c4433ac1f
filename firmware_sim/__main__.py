"""`python -m firmware_sim`."""

import sys

from firmware_sim.cli.main import main

sys.exit(main())
