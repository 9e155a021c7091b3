"""bugsink's settings for one test: no background tasks, no usage data, strict validation by Sentry's event schema."""

import os

from bugsink.settings.default import *  # noqa: F403

SECRET_KEY = "not a secret: the server runs on loopback for one test"
SNAPPEA = {"TASK_ALWAYS_EAGER": True}
BUGSINK = {
    "BASE_URL": f"http://127.0.0.1:{os.environ['BUGSINK_PORT']}",
    "SINGLE_USER": True,
    "SINGLE_TEAM": True,
    "PHONEHOME": False,
    "INGEST_STORE_BASE_DIR": os.path.join(os.getcwd(), "ingestion"),
    "VALIDATE_ON_DIGEST": "strict",
}
