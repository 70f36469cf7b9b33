"""The lifecycle node: messages into bytes, results into messages."""
