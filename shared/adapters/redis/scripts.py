"""The Lua scripts, as they stand in ``lua/``."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_FOLDER: Final = Path(__file__).parent / "lua"


@dataclass(frozen=True, slots=True)
class Script:
    """A script and the SHA-1 (hex) under which a server remembers it."""

    name: str
    source: str
    sha: str

    @classmethod
    def load(cls, name: str, *preludes: str) -> Self:
        """Read ``lua/<name>.lua``, with its preludes in front; none named: ``prelude.lua``."""
        parts = (*(preludes or ("prelude",)), name)
        source = "\n".join((_FOLDER / f"{part}.lua").read_text(encoding="utf-8") for part in parts)
        sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
        return cls(name, source, sha)


ACCEPT: Final = Script.load("accept")
MARK_QUEUED: Final = Script.load("mark_queued")
CLAIM: Final = Script.load("claim")
RELEASE: Final = Script.load("release")
FINISH: Final = Script.load("finish")
CANCEL: Final = Script.load("cancel")
NOTE_REPLY: Final = Script.load("note_reply")
NOTE_BROKEN: Final = Script.load("note_broken")
REVIVE: Final = Script.load("revive")
PAGE_OF_IDS: Final = Script.load("page_of_ids")
MATCHING_JOBS: Final = Script.load("matching_jobs")
OPEN_BATCH: Final = Script.load("open_batch")
CLOSE_BATCH: Final = Script.load("close_batch")
SEAL_BATCH: Final = Script.load("seal_batch")
ABANDONED_BATCHES: Final = Script.load("abandoned_batches")
STRANDED_IDS: Final = Script.load("stranded_ids")
OVERDUE_NOTICES: Final = Script.load("overdue_notices")
STRANDED_MESSAGES: Final = Script.load("stranded_messages")
PASS_OVER_STRANDED: Final = Script.load("pass_over_stranded")
RESERVE_CAPACITY: Final = Script.load("reserve_capacity", "limits_prelude")
RENEW_CAPACITY: Final = Script.load("renew_capacity", "limits_prelude")
SETTLE_CAPACITY: Final = Script.load("settle_capacity", "limits_prelude")
LOOK_AT_CAPACITY: Final = Script.load("look_at_capacity", "limits_prelude")
REFUSE_CAPACITY: Final = Script.load("refuse_capacity", "limits_prelude")
TAKE_ALLOWANCE: Final = Script.load("take_allowance", "allowance_prelude")
SETTLE_ALLOWANCE: Final = Script.load("settle_allowance", "allowance_prelude")
ADD_API_KEY: Final = Script.load("add_api_key")
PAGE_OF_API_KEYS: Final = Script.load("page_of_api_keys")
ADD_WEBHOOK_ENDPOINT: Final = Script.load("add_webhook_endpoint")
REMOVE_WEBHOOK_ENDPOINT: Final = Script.load("remove_webhook_endpoint")
ENABLE_WEBHOOK_ENDPOINT: Final = Script.load("enable_webhook_endpoint")
DISABLE_WEBHOOK_ENDPOINT: Final = Script.load("disable_webhook_endpoint")
NOTE_FAILING_WEBHOOK_ENDPOINT: Final = Script.load("note_failing_webhook_endpoint")
ROTATE_WEBHOOK_SECRET: Final = Script.load("rotate_webhook_secret")
BEGIN_DELIVERY: Final = Script.load("begin_delivery")
BEGIN_DELIVERY_ANEW: Final = Script.load("begin_delivery_anew")
CLAIM_DELIVERY: Final = Script.load("claim_delivery")
NOTE_DELIVERY: Final = Script.load("note_delivery")
NOTE_QUEUED_DELIVERY: Final = Script.load("note_queued_delivery")
OVERDUE_DELIVERIES: Final = Script.load("overdue_deliveries")
NOTE_PROVIDER_CHANGE: Final = Script.load("note_provider_change")
TELL_PROVIDER_CHANGE: Final = Script.load("tell_provider_change")
LEAD: Final = Script.load("lead")
RESIGN: Final = Script.load("resign")
PUBLISH_TIMETABLE: Final = Script.load("publish_timetable", "prelude", "schedule_prelude")
BEGIN_FIRING: Final = Script.load("begin_firing", "prelude", "schedule_prelude")
END_FIRING: Final = Script.load("end_firing")
LOOK_AT_SCHEDULE: Final = Script.load("look_at_schedule")
IDS_BY_DEADLINE: Final = Script.load("ids_by_deadline")
EXPIRE_JOB: Final = Script.load("expire_job")
FORGET_JOBS: Final = Script.load("forget_jobs")
