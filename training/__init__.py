"""Side room: phantoms, training, calibration, evaluation, benchmarks. Nothing but the front door imports it."""
