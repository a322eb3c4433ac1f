"""Models on their way down, by the shortest way from what is here already."""
