"""What the web server runs: the HL7 door in front, Django behind it."""

import gc
import os
from typing import cast

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
_django = get_asgi_application()

from hl7ingest.door import Application, Door  # noqa: E402  (models are ready only now)

application = Door(cast("Application", _django))
gc.freeze()  # what is loaded now stays: the collector need not look at it again
