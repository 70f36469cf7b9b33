"""All that measures speed, memory and latency; nothing outside its command imports it."""
