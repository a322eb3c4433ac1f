"""A program for a peer's interpreter: the same work on Flower with torch.

From fedge it imports only what needs nothing but the standard library. It uses `start_client`,
Flower's lightest client: one process, one gRPC stream. The current `flower-supernode` starts a new
process for every task, which imports torch again.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

from fedge.bench.device.meter import Meter


def main(argv: Sequence[str] | None = None) -> None:
    """`server`, `client` or `start`."""
    begin_s = time.monotonic()
    args = parse(argv)
    if args.role == "server":
        _serve(args.port, args.rounds)
    elif args.role == "client":
        _take_part(args)
    else:
        _start(args, begin_s)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses the arguments; `client` and `start` take the same ones."""
    parser = argparse.ArgumentParser()
    roles = parser.add_subparsers(dest="role", required=True)
    server = roles.add_parser("server")
    server.add_argument("--rounds", type=int, required=True)
    for role in (client := roles.add_parser("client"), roles.add_parser("start")):
        role.add_argument("--data", type=Path, required=True)
        role.add_argument("--layers", required=True, help="units of each layer, with commas")
        role.add_argument("--steps", type=int, default=1)
        role.add_argument("--batch-size", type=int, required=True)
        role.add_argument("--lr", type=float, required=True)
    client.add_argument("--json", type=Path, required=True)
    for role in (server, client):
        role.add_argument("--port", type=int, required=True)
    return parser.parse_args(argv)


def batches(n_examples: int, size: int, draw: Any) -> Iterator[list[int]]:
    """Indices of the examples for one step after another, each epoch in a new order.

    Args:
        n_examples: how many there are.
        size: of a batch; the last one in an epoch may be smaller.
        draw: returns a random permutation of the given length.
    """
    while True:
        order = draw(n_examples)
        for first in range(0, n_examples, size):
            yield [int(position) for position in order[first : first + size]]


def _serve(port: int, n_rounds: int) -> None:
    server = import_module("flwr.server")
    strategy = import_module("flwr.server.strategy").FedAvg(
        fraction_evaluate=0.0, min_fit_clients=1, min_evaluate_clients=1, min_available_clients=1
    )
    server.start_server(
        server_address=f"127.0.0.1:{port}",
        config=server.ServerConfig(num_rounds=n_rounds),
        strategy=strategy,
    )


def _take_part(args: argparse.Namespace) -> None:
    meter = Meter(args.port)  # before torch and gRPC start threads
    client: Any = import_module("flwr.client")
    learner = _Learner(args)

    class Client(client.NumPyClient):  # type: ignore[misc] # unknown to the checker
        def get_parameters(self, config: Any) -> list[Any]:  # noqa: ARG002 - Flower's signature
            return learner.parameters()

        def fit(self, parameters: list[Any], config: Any) -> tuple[list[Any], int, Any]:  # noqa: ARG002
            meter.enter("training")
            learner.fit(parameters)
            trained = learner.parameters()
            meter.enter("upload")
            return trained, learner.n_examples, {}

    client.start_client(server_address=f"127.0.0.1:{args.port}", client=Client().to_client())
    args.json.write_text(json.dumps(asdict(meter.figures())))


def _start(args: argparse.Namespace, begin_s: float) -> None:
    import_module("flwr.client").start_client  # noqa: B018 - naming it loads it
    import_module("torch")
    import_s = time.monotonic() - begin_s
    learner = _Learner(args)
    learner.fit(learner.parameters())
    said = {"import_s": import_s, "at_s": time.monotonic(), "cpu_s": time.process_time()}
    sys.stdout.write(json.dumps(said))


class _Learner:
    """A perceptron and the examples, in torch with one thread."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._torch: Any = import_module("torch")
        self._numpy: Any = import_module("numpy")
        self._torch.set_num_threads(1)
        with self._numpy.load(args.data, allow_pickle=False) as arrays:
            self._x = self._torch.from_numpy(arrays["x"].astype("float32"))
            self._y = self._torch.from_numpy(arrays["y"].astype("int64"))
        self._model = self._perceptron([int(size) for size in args.layers.split(",")])
        self._n_steps, self._lr = args.steps, args.lr
        self._batches = batches(len(self._y), args.batch_size, self._torch.randperm)

    @property
    def n_examples(self) -> int:
        return len(self._y)

    def parameters(self) -> list[Any]:
        return [value.detach().numpy() for value in self._model.parameters()]

    def fit(self, parameters: list[Any]) -> None:
        """The local steps of a round, starting from these parameters."""
        torch = self._torch
        with torch.no_grad():
            for mine, given in zip(self._model.parameters(), parameters, strict=True):
                mine.copy_(torch.from_numpy(given))
        optimizer = torch.optim.SGD(self._model.parameters(), lr=self._lr)
        loss = torch.nn.CrossEntropyLoss()
        for _ in range(self._n_steps):
            chosen = next(self._batches)
            optimizer.zero_grad()
            loss(self._model(self._x[chosen]), self._y[chosen]).backward()
            optimizer.step()

    def _perceptron(self, sizes: list[int]) -> Any:
        nn = self._torch.nn
        layers = [nn.Flatten()]
        for n_in, n_out in pairwise(sizes):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        return nn.Sequential(*layers[:-1])


if __name__ == "__main__":
    main()
