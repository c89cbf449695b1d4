"""A bearer token for the rivals whose library cannot exchange an API key."""

from __future__ import annotations

import json
import urllib.request

from benchmarks.worker import Job


def token_for(job: Job) -> str:
    asked = urllib.request.Request(
        f"{job.url}/v1/auth/token",
        data=json.dumps({"jwtApiKey": job.api_key}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(asked) as answer:
        return str(json.load(answer)["token"])
