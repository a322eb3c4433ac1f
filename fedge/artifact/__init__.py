"""The .fedge file: graphs, layout and parameters in one stored, deterministic zip."""
