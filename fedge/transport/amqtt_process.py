"""amqtt in a process of its own: `python -m fedge.transport.amqtt_process HOST PORT`.

Its event loop would share the interpreter lock with whoever started it. It speaks
MQTT 3.1.1 only, forgets all when it ends, and is good enough for a loopback fleet.
"""

import asyncio
import logging
import signal
import sys

from amqtt.broker import Broker

_PLUGINS = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}


async def _serve(host: str, port: int) -> None:
    listener = {"type": "tcp", "bind": f"{host}:{port}"}
    broker = Broker({"listeners": {"default": listener}, "plugins": _PLUGINS})
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await broker.start()
    await stop.wait()
    await broker.shutdown()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2])))
