"""Distributed training: process group, collectives and synchronised batch norm."""
