"""One round as a value: who is asked, who has answered, when it is over."""

from fedge.rounds.round import Round, Verdict

__all__ = ["Round", "Verdict"]
