"""Assembles the parts of a device."""

import random

from fedge.config.device import DeviceConfig
from fedge.config.login import broker_url
from fedge.device.downlink.fetcher import Fetcher
from fedge.device.link.presence import Membership
from fedge.device.router import Router
from fedge.device.state.cache import BlobCache
from fedge.device.state.outbox import Outbox
from fedge.device.uplink.budget import UploadBudget
from fedge.device.uplink.sender import Sender
from fedge.device.work.examples import Examples
from fedge.device.work.workbench import Workbench
from fedge.device.work.worker import Worker
from fedge.messages import Topics
from fedge.training.engines import EngineName
from fedge.transport import Transport
from fedge.transport.mqtt import MqttTransport
from fedge.types import DeviceId, JobId


def connect(config: DeviceConfig, membership: Membership) -> Transport:
    """The device's own connection, not yet started."""
    return MqttTransport(
        broker_url(config.broker, config.password_file),
        will=membership.will,
        version=config.mqtt,
        ca_file=config.ca_file,
    )


def assemble(
    config: DeviceConfig,
    examples: Examples,
    transport: Transport,
    outbox: Outbox,
    membership: Membership,
    engine: EngineName,
) -> Router:
    """Join the parts: the router reaches all of them."""
    topics, device = Topics(config.fleet), DeviceId(config.id)
    rng = random.Random()  # noqa: S311 - only for jitter in pauses
    uplink = UploadBudget(
        transport,
        outbox.database,
        upload_time_s=config.upload_time_s,
        most_bytes=config.budget_bytes,
    )
    sender = Sender(outbox, transport, topics, device, rng)
    fetcher = Fetcher(transport, topics, device, rng)
    workbench = Workbench(
        job=JobId(config.job),
        device=device,
        examples=examples,
        threads=config.threads,
        engine=engine,
        outbox=outbox,
        sender=sender,
        uplink=uplink,
        fetcher=fetcher,
        artifacts=BlobCache(config.state_dir / "artifacts"),
        models=BlobCache(config.state_dir / "models"),
        state_dir=config.state_dir,
    )
    return Router(
        job=workbench.job,
        device=device,
        topics=topics,
        transport=transport,
        membership=membership,
        worker=Worker(workbench),
        sender=sender,
        fetcher=fetcher,
        uplink=uplink,
        rng=rng,
    )
