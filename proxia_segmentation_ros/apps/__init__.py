"""Whole tasks that join rooms: play, demo, segment files, benchmark."""
