from fedge.types import Vector

def sgd_step(
    parameters: Vector,
    gradient: Vector,
    momentum_buffer: Vector,
    anchor: Vector,
    lr: float,
    momentum: float,
    weight_decay: float,
    proximal: float,
    correction: Vector | None = None,
) -> None: ...
