"""Model-predictive path integral control (MPPI) and its costs."""
