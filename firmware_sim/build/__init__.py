"""fedge for a board: wheels, folders of packages, disks, kernels without a system."""
