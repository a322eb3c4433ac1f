"""fedge for a board: wheels, package folders, disks, kernels that need no system."""
