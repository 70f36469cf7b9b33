"""The networks as published: HRNet, OCR head, scale attention; what is here shapes the graph."""
