"""The names of everything kept in the store: the one place that derives them.

All keys of a team share a hash tag (the part in braces), so in a cluster they share a slot and one
script can touch them together. Names from outside are escaped, so none can end a tag early.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from shared.domain.allowances import Owner
from shared.domain.answer_cache import CacheKey
from shared.domain.lanes import QueueName

TEAMS: Final = "forebay:teams"
"""The set of all teams that ever submitted a job, or wanted webhooks."""

FEED: Final = "forebay:feed"
"""The channel on which final statuses are announced, for all teams: ``<status> <job id>``."""

CEILING: Final = "forebay:{ceiling}:allowance"
"""A hash: the buckets of all teams together."""

API_KEYS: Final = "forebay:{keys}:records"
"""A hash: the records of all API keys, by the SHA-256 of the key."""

API_KEY_HASHES: Final = "forebay:{keys}:hashes"
"""A hash: the SHA-256 of each API key, by its id."""

API_KEY_INDEX: Final = "forebay:{keys}:index"
"""A sorted set of the ids of all API keys, all with score 0."""

LEADER: Final = "forebay:{schedule}:leader"
"""A hash: which scheduler leads, in which term, and until when."""

TIMETABLE: Final = "forebay:{schedule}:timetable"
"""A hash: each duty of the leading scheduler, by its name."""

PROVIDER_CHANGES: Final = "forebay:{providers}:changes"
"""A hash: the last change of each deployment that went down, by ``[lane, deployment]`` (JSON): status, since, and ``told`` or ``noted``."""

PAUSED_LANES: Final = "forebay:paused-lanes"
"""The set of the lanes that an administrator has paused."""


@dataclass(frozen=True, slots=True)
class TeamKeys:
    """The keys of one team."""

    prefix: str

    def job(self, job_id: str) -> str:
        """A hash: the job's record."""
        return f"{self.prefix}job:{job_id}"

    @property
    def index(self) -> str:
        """A sorted set of job ids, all with score 0, so that it is in the order of the ids."""
        return f"{self.prefix}jobs"

    @property
    def accepted(self) -> str:
        """A sorted set of the ids of ``accepted`` jobs, by the moment they were accepted."""
        return f"{self.prefix}accepted"

    @property
    def expiring(self) -> str:
        """A sorted set of the ids of finished jobs, by the moment their retention ends."""
        return f"{self.prefix}expiring"

    @property
    def backlog(self) -> str:
        """A hash: the team's unfinished jobs, counted by ``backlog_field``."""
        return f"{self.prefix}backlog"

    @property
    def deadlines(self) -> str:
        """A sorted set of the ids of unfinished jobs, by their deadline."""
        return f"{self.prefix}deadlines"

    @property
    def outbox(self) -> str:
        """A sorted set of notices that nobody has published yet (``<mailbox> <subject>``), by the moment of the event."""
        return f"{self.prefix}outbox"

    @property
    def events(self) -> str:
        """A hash: ``endpoints``, how many webhook endpoints are enabled; ``sequence``, the number of the last event."""
        return f"{self.prefix}events"

    @property
    def webhook_endpoints(self) -> str:
        """A sorted set of the ids of the team's webhook endpoints, all with score 0."""
        return f"{self.prefix}webhook-endpoints"

    def webhook_endpoint(self, endpoint_id: str) -> str:
        """A hash: the endpoint's record."""
        return f"{self.prefix}webhook-endpoint:{endpoint_id}"

    def provider_change(self, change_id: str) -> str:
        """A hash: a provider's change, as the team is told it, with its sequence number."""
        return f"{self.prefix}provider-change:{change_id}"

    @property
    def webhook_secret(self) -> str:
        """A hash: the secret that signs webhooks which are named on jobs, and the one before it."""
        return f"{self.prefix}webhook-secret"

    @property
    def deliveries(self) -> str:
        """A sorted set of the ids of webhook deliveries, all with score 0, so that it is in the order of the ids."""
        return f"{self.prefix}deliveries"

    @property
    def expiring_deliveries(self) -> str:
        """A sorted set of the ids of webhook deliveries, by the moment at which they are forgotten."""
        return f"{self.prefix}expiring-deliveries"

    @property
    def unpublished_deliveries(self) -> str:
        """A sorted set of the ids of webhook deliveries whose next message is not confirmed, by when it is due."""
        return f"{self.prefix}unpublished-deliveries"

    def delivery(self, delivery_id: str) -> str:
        """A hash: the delivery's record."""
        return f"{self.prefix}delivery:{delivery_id}"

    def deliveries_of(self, subject: str) -> str:
        """As ``deliveries``, for the events of one job or batch."""
        return f"{self.prefix}deliveries-of:{subject}"

    def idempotency(self, key: str) -> str:
        """A hash: the job that a client's idempotency key stands for. Hashed, because clients choose the length."""
        return f"{self.prefix}idempotency:{_digest(key)}"

    def batch(self, batch_id: str) -> str:
        """A hash: the batch's progress."""
        return f"{self.prefix}batch:{batch_id}"

    def batch_jobs(self, batch_id: str) -> str:
        """As ``index``, for the jobs of a batch."""
        return f"{self.prefix}batch-jobs:{batch_id}"

    @property
    def open_batches(self) -> str:
        """A sorted set of the ids of batches whose lines are still coming in, by when each was opened last."""
        return f"{self.prefix}open-batches"

    def closing_batch(self, batch_id: str) -> list[str]:
        """The keys that ``lua/close_batch.lua`` documents."""
        return [self.batch(batch_id), self.batch_jobs(batch_id), self.outbox, self.events, self.open_batches]

    def allowance(self, owner: Owner) -> str:
        """A hash: the buckets of the team itself, or of a user, a feature or a key of it."""
        return f"{self.prefix}allowance:{owner.kind}:{_digest(owner.name)}"

    def receipt(self, job_id: str) -> str:
        """A string: what a job was charged at its admission."""
        return f"{self.prefix}receipt:{job_id}"

    def of_job(self, job_id: str, batch_id: str | None, idempotency_key: str | None = None) -> list[str]:
        """The keys that every script about one job gets, in the order that ``lua/prelude.lua`` documents."""
        keys = [self.job(job_id), self.index, self.accepted, self.expiring, self.backlog]
        keys += [self.deadlines, self.outbox, self.events]
        keys += [] if batch_id is None else [self.batch(batch_id), self.batch_jobs(batch_id)]
        return keys if idempotency_key is None else [*keys, self.idempotency(idempotency_key)]


@lru_cache(maxsize=1024)
def of_team(team: str) -> TeamKeys:
    """Give the keys of a team."""
    return TeamKeys(f"forebay:{{{_escaped(team)}}}:")


def backlog_field(queue: QueueName) -> str:
    """Give the field of a team's backlog that counts the jobs of a class of a lane, the surplus ones included."""
    return f"{queue.job_class.sibling.name}:{queue.lane}"


def answer(key: CacheKey) -> str:
    """A string: a cached answer."""
    return f"{of_team(key.team).prefix}answer:{key.fingerprint}"


def ceiling_receipt(job_id: str) -> str:
    """A string: what a job was charged against the ceiling of all teams."""
    return f"forebay:{{ceiling}}:receipt:{job_id}"


def api_key_index(team: str) -> str:
    """As ``API_KEY_INDEX``, for the keys of a team."""
    return f"{API_KEY_INDEX}:{_escaped(team)}"


def worker_lease(worker: str) -> str:
    """A string that is there for as long as the worker is alive."""
    return f"forebay:{{worker:{_escaped(worker)}}}:lease"


def answer_pieces(job_id: str) -> str:
    """Give the channel on which the pieces of a job's answer are published."""
    return f"forebay:answers:of:{job_id}"


def answer_credits(process: str) -> str:
    """Give the channel on which a process that writes answers hears of their readers."""
    return f"forebay:answers:to:{process}"


def firings_of(duty: str) -> str:
    """A sorted set of the times at which a duty's firings were due that somebody has begun."""
    return f"forebay:{{schedule}}:firings:{_escaped(duty)}"


def runs_of(duty: str) -> str:
    """A hash: the last runs of a duty, by the time at which they were due."""
    return f"forebay:{{schedule}}:runs:{_escaped(duty)}"


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()


def _escaped(name: str) -> str:
    # An empty tag would be no tag. A lone "%" stands for no other name.
    return quote(name, safe="") or "%"


def limit_keys(lane: str, deployment: str) -> tuple[str, str]:
    """The state of a deployment's limits (a hash), and its reservations (a sorted set by their ends)."""
    prefix = f"forebay:{{lane:{quote(lane, safe='')}}}:limits:{deployment}"
    return prefix, f"{prefix}:held"
