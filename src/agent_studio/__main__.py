"""`python -m agent_studio`."""

import sys

from agent_studio.cli.main import main

sys.exit(main())
