"""The networks: HRNet, OCR head and scale attention.

Every file of this folder is hashed into the key of the compiled cache.
"""
