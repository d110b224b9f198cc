"""``python -m mediaserver``."""

from mediaserver.cli.main import main

raise SystemExit(main())
