"""Torch only here: collect, dataset, model, losses, train, evaluate, export."""
