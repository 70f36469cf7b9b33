"""Shapes, surfaces and the canvas that they are drawn on."""
