"""rumqttd in its own process: `python -m fedge.transport.iotcore_process CONFIGURATION`.

The wheel `iotcore` contains it. It cannot be stopped from within, keeps everything in memory, and
is good enough for a fleet on loopback; docs/brokers.md says how it differs from mosquitto.
"""

import logging
import sys

from iotcore.iotcore import IotCoreBroker

from fedge.logs import logger


def _serve(configuration: str) -> None:
    broker = IotCoreBroker(config_path=configuration)
    broker.check_ports()
    broker.run_forever()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logger("rumqttd").setLevel(logging.CRITICAL)  # it logs every packet as an error
    _serve(sys.argv[1])
