"""What a device's worker works with."""

from dataclasses import dataclass
from pathlib import Path

from fedge.device.downlink.fetcher import Fetcher
from fedge.device.state.cache import BlobCache
from fedge.device.state.outbox import Outbox
from fedge.device.uplink.budget import UploadBudget
from fedge.device.uplink.sender import Sender
from fedge.device.work.examples import Examples
from fedge.training.engines import EngineName
from fedge.types import DeviceId, JobId


@dataclass(frozen=True, slots=True, kw_only=True)
class Workbench:
    """One job's tools and stores on this device."""

    job: JobId
    device: DeviceId
    examples: Examples
    threads: int
    engine: EngineName
    outbox: Outbox
    sender: Sender
    uplink: UploadBudget
    fetcher: Fetcher
    artifacts: BlobCache
    models: BlobCache
    state_dir: Path
