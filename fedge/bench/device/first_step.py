"""A program for `fresh`: loads what a device needs for its first step, and takes that step.

Arguments: the engine, the artifact, the examples. It is run by its path, so that nothing of fedge
is loaded before the clock starts.
"""

import json
import sys
import time
from pathlib import Path
from typing import cast


def main() -> None:
    """Import, train one step, print the times."""
    begin_s = time.monotonic()
    from fedge import Device, Plan, Trainer, load_artifact  # noqa: PLC0415 - the clock runs
    from fedge.data import read_npz  # noqa: PLC0415
    from fedge.training import ArrayData  # noqa: PLC0415
    from fedge.training.engines import EngineName, load  # noqa: PLC0415

    engine = cast(EngineName, sys.argv[1])
    load(engine)  # as the trainer does for its first graph
    imported_s = time.monotonic()
    del Device  # only the cost of importing it matters here
    artifact = load_artifact(sys.argv[2])
    data = ArrayData.of(read_npz(Path(sys.argv[3])).train())
    trainer = Trainer(artifact, engine=engine)
    trainer.fit(artifact.parameters, data, Plan(local_steps=1, epochs=None))
    said = {
        "import_s": imported_s - begin_s,
        "at_s": time.monotonic(),
        "cpu_s": time.process_time(),
    }
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    main()
