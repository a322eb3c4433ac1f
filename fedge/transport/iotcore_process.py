"""rumqttd in a process of its own: `python -m fedge.transport.iotcore_process CONFIGURATION`.

The wheel `iotcore` carries it. It cannot be stopped from within, keeps all in memory, and is
good enough for a loopback fleet; docs/brokers.md has what it does otherwise than mosquitto.
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
