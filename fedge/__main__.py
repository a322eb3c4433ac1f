"""`python -m fedge` is the `fedge` command."""

import sys

from fedge.cli.main import main

sys.exit(main())
