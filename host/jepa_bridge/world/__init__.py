"""A model bundle: encoder, predictor, readout and card."""
