"""bugsink for one test: it does everything at once, tells nobody, and refuses what is not in Sentry's event schema."""

import os

from bugsink.settings.default import *  # noqa: F403

SECRET_KEY = "of no use to anybody: the server lives for one test, on the loopback"
SNAPPEA = {"TASK_ALWAYS_EAGER": True}
BUGSINK = {
    "BASE_URL": f"http://127.0.0.1:{os.environ['BUGSINK_PORT']}",
    "SINGLE_USER": True,
    "SINGLE_TEAM": True,
    "PHONEHOME": False,
    "INGEST_STORE_BASE_DIR": os.path.join(os.getcwd(), "ingestion"),
    "VALIDATE_ON_DIGEST": "strict",
}
