"""One process and the roles it can play."""

import asyncio
import os
import random
import signal
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Self

from producer_api.app import ApiParts, create_app
from producer_api.open_files import allow_many
from producer_api.server import serve
from scheduler.duties.clean_up_files import FileShelf
from scheduler.duties.parts import DutyParts
from scheduler.scheduler import Scheduler
from scheduler.timetable import timetable
from shared.bootstrap.connections import Connections, open_connections
from shared.bootstrap.outward import price_of, provider_clients, sink, webhook_sender
from shared.bootstrap.servers import Servers
from shared.domain.api_keys import StoredKeyring
from shared.domain.catalog import Catalog
from shared.domain.class_shares import ClassShares
from shared.domain.clock import Clock, SystemClock
from shared.domain.events import ConfigurationDoubt, Emit
from shared.domain.lanes import MAILBOXES, DeferrableWindow, Mailbox
from shared.domain.seats import Seats
from shared.domain.tenants import Keyring, Keyrings
from shared.domain.webhook_schedule import Schedule
from shared.domain.webhook_sender import WebhookSender
from shared.settings import Settings
from shared.wire.config import Configuration, load
from workers.couriers.courier import Courier
from workers.couriers.mail_round import Handle
from workers.couriers.reply_courier import ReplyCourier
from workers.couriers.webhook_courier import WebhookCourier
from workers.couriers.webhook_parts import WebhookParts
from workers.couriers.whole_job_reader import WholeJobReader
from workers.worker import Worker, WorkerOptions, WorkerParts

OnReady = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Process:
    """What every role of a process shares. ``stop`` ends them all."""

    configuration: Configuration
    catalog: Catalog
    clock: Clock
    emit: Emit
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def windows(self) -> tuple[DeferrableWindow, ...]:
        """The windows of deferrable work, the shortest first."""
        return self.configuration.windows

    @classmethod
    def begin(cls, settings: Settings) -> Self:
        """Read the configuration, name its doubtful spots, and end on SIGINT or SIGTERM.

        Raises:
            ConfigurationError: a value in it is wrong.
        """
        emit = sink(settings.log_level)
        configuration = load(settings.config, os.environ)
        for warning in configuration.warnings:
            emit(ConfigurationDoubt(warning))
        process = cls(configuration, configuration.catalog(price_of), SystemClock(), emit)
        for name in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(name, process.stop.set)
        return process

    def connected(self, servers: Servers) -> AbstractAsyncContextManager[Connections]:
        """Connect every port; raises ``BrokerUnavailable`` or ``StoreUnavailable`` when a server is not there."""
        configured = self.configuration
        return open_connections(
            servers, configured.retention_s, self.clock, self.emit, self.windows, configured.inline_limit
        )

    async def api(self, connections: Connections, keyring: Keyring, listener: socket.socket, on_ready: OnReady) -> None:
        """Serve HTTP on ``listener``. ``keyring`` has the administrator's key; the others are in the store."""
        parts = ApiParts(
            store=connections.store,
            queue=connections.queue,
            cache=connections.cache,
            feed=connections.feed,
            watch=connections.watch,
            limits=connections.limits,
            pauses=connections.pauses,
            outbox=connections.outbox,
            webhook_endpoints=connections.webhook_endpoints,
            webhook_secrets=connections.webhook_secrets,
            deliveries=connections.deliveries,
            answer_streams=connections.answer_streams,
            schedule=connections.schedule,
            keyring=Keyrings((keyring, StoredKeyring(connections.api_keys, self.clock))),
            api_keys=connections.api_keys,
            allowances=connections.allowances,
            catalog=self.catalog,
            clock=self.clock,
            emit=self.emit,
            seats=Seats.of(allow_many()),
            cache_default=self.configuration.cache_default,
            policies=self.configuration.policies,
            body_limit=self.configuration.body_limit,
            retention_s=self.configuration.retention_s,
            windows=self.windows,
            weights=self.configuration.weights,
            backlog=self.configuration.backlog,
            webhook_networks=self.configuration.webhooks.allowed,
            door=connections.door,
            large=connections.large,
        )
        await connections.queue.declare([*self.catalog.lanes, *MAILBOXES])
        await serve(create_app(parts), listener, self.stop, on_ready)

    async def worker(self, connections: Connections, on_ready: OnReady) -> None:
        """Take jobs and answer them."""
        configured = self.configuration
        options = WorkerOptions(
            configured.worker.concurrency,
            configured.worker.grace_s,
            configured.weights,
            ClassShares(configured.interactive_reserve, configured.deferrable_idle_share, configured.off_peak.is_open),
            self.windows,
        )
        async with provider_clients() as clients:
            parts = WorkerParts(
                store=connections.records,
                leases=connections.leases,
                feed=connections.feed,
                cache=connections.cache,
                queue=connections.queue,
                limits=connections.limits,
                allowances=connections.allowances,
                pauses=connections.pauses,
                outbox=connections.outbox,
                answer_streams=connections.answer_streams,
                clients=clients,
                files=connections.large.files if connections.large else None,
            )
            await Worker(parts, self.catalog, options, self.clock, self.emit).run(self.stop, on_ready)

    async def scheduler(self, connections: Connections, on_ready: OnReady) -> None:
        """Do what is due at its time."""
        parts = DutyParts(
            store=connections.store,
            upkeep=connections.upkeep,
            queue=connections.queue,
            outbox=connections.outbox,
            allowances=connections.allowances,
            clock=self.clock,
            emit=self.emit,
            deliveries=connections.deliveries,
            limits=connections.limits,
            provider_changes=connections.provider_changes,
            lanes=tuple(self.catalog.lanes.values()),
            windows=self.windows,
        )
        await connections.queue.declare([*self.catalog.lanes, *MAILBOXES])
        kept_s = self.windows[-1].seconds + self.configuration.retention_s
        shelf = FileShelf(connections.records, connections.large.files, kept_s) if connections.large else None
        await Scheduler(timetable(parts, shelf), connections.schedule, self.clock, self.emit).run(self.stop, on_ready)

    async def couriers(self, connections: Connections, on_ready: OnReady) -> None:
        """Carry results."""
        webhooks = self.configuration.webhooks
        async with webhook_sender(webhooks.allowed, webhooks.timeout_s) as sender:
            handlers: dict[Mailbox, Handle] = {
                Mailbox.WEBHOOKS: WebhookCourier(self._webhook_parts(connections, sender)).handle
            }
            if connections.door is not None:  # without one nobody can ask for replies
                jobs = WholeJobReader(connections.records, connections.store, self.clock)
                replies = ReplyCourier(
                    jobs, connections.records, connections.queue, connections.door, self.clock, self.emit
                )
                handlers[Mailbox.REPLIES] = replies.handle
            await Courier(connections.queue, handlers, self.clock, self.emit).run(self.stop, on_ready)

    def _webhook_parts(self, connections: Connections, sender: WebhookSender) -> WebhookParts:
        webhooks = self.configuration.webhooks
        return WebhookParts(
            store=connections.records,
            endpoints=connections.webhook_endpoints,
            secrets=connections.webhook_secrets,
            deliveries=connections.deliveries,
            provider_changes=connections.provider_changes,
            queue=connections.queue,
            outbox=connections.outbox,
            sender=sender,
            schedule=Schedule(random.uniform),
            clock=self.clock,
            emit=self.emit,
            concurrency=webhooks.concurrency,
            lease_s=webhooks.timeout_s + 5.0,  # for what comes before and after the sending
        )
