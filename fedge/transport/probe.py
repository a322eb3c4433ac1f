"""Asks a broker that does not answer whether MQTT 5 is the reason."""

import socket
from contextlib import ExitStack

from fedge.transport.client import LinkOptions

_TIMEOUT_S = 2.0

# CONNECT: MQTT 5, clean start, keep alive 60 s, no properties, no client id, no will.
# Every field has the same length when read as MQTT 3.1.1, so that a broker of that
# version understands it well enough to refuse it. For a longer one, amqtt waits for
# the rest for ever.
_CONNECT = bytes.fromhex("10 0d 00 04 4d 51 54 54 05 02 00 3c 00 00 00")
_DISCONNECT = bytes.fromhex("e0 00")
_CONNACK = 0x20
_REFUSALS = (0x01, 0x84)  # "unacceptable protocol version" in 3.1.1 and in 5


def refuses_mqtt5(options: LinkOptions) -> bool:
    """Whether the broker says that it does not speak MQTT 5; False too if it says nothing.

    Opens its own connection and waits for at most a few seconds.
    """
    host, port = options.url.host, options.url.port
    try:
        with ExitStack() as stack:
            sock = stack.enter_context(socket.create_connection((host, port), _TIMEOUT_S))
            if options.tls is not None:
                sock = stack.enter_context(options.tls.wrap_socket(sock, server_hostname=host))
            sock.sendall(_CONNECT)
            answer = sock.recv(4, socket.MSG_WAITALL if options.tls is None else 0)
            sock.sendall(_DISCONNECT)
    except OSError:
        return False
    return len(answer) == 4 and answer[0] == _CONNACK and answer[3] in _REFUSALS
