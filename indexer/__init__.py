"""Floor 1: knows disks: sources, the case store, vectors, generations, rebuild."""
