"""How far a job has come: whether to train more, and whether devices are to evaluate first."""

from fedge.aggregator.rounds.context import Context
from fedge.aggregator.state.records import ModelRecord


class Progress:
    """What the database says of a job's course.

    Args:
        context: the job's.
        model: the newest.

    Attributes:
        end: why training is over, in a word; "" if it is not.
        is_evaluation_due: whether devices are to evaluate the model before anything else.
    """

    def __init__(self, context: Context, model: ModelRecord) -> None:
        self._config, self._store = context.config, context.store
        self._by = context.compare_by
        self.look(model)

    def look(self, model: ModelRecord) -> None:
        """Read it again: a round has closed."""
        n_trained = self._store.n_trained()
        self.end = self._why_over(model, n_trained) if n_trained else ""
        self.is_evaluation_due = self._is_due(n_trained, self._store.n_trained_before_evaluation())

    def _why_over(self, model: ModelRecord, n_trained: int) -> str:
        if self._is_good(model):
            return "target_accuracy"
        most = self._config.stop_after
        if most is not None and self._by is not None and self._store.n_since_best(self._by) >= most:
            return "stop_after"
        return "rounds" if n_trained >= self._config.rounds else ""

    def _is_good(self, model: ModelRecord) -> bool:
        """By the test data, or if there are none by what the devices found of this model."""
        target, accuracy = self._config.target_accuracy, model.accuracy
        if target is None:
            return False
        if self._config.test_data is None:
            found = self._store.by_devices(model)
            accuracy = None if found is None else found[1]
        return accuracy is not None and accuracy >= target

    def _is_due(self, n_trained: int, n_before: int) -> bool:
        every = self._config.evaluations
        if not every or n_trained == n_before:
            return False
        return bool(self.end) or n_trained // every > n_before // every
