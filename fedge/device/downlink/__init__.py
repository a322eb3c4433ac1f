"""Models on their way down, by the cheapest way from what is already here."""
