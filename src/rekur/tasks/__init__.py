"""Tasks: where data, features, model, loss and metrics meet."""
