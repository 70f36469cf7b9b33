"""The `proxia` command: parse, call one app or room, print, exit code."""


def main() -> int:
    """Run the command with the process's arguments; returns the exit code."""
    from proxia_segmentation_ros.cli.command import run_command

    return run_command()
