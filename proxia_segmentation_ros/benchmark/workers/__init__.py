"""Processes that do what is measured, or stand around it."""
