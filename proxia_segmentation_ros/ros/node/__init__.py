"""The lifecycle node: subscriptions, publishers, parameters and diagnostics."""
