"""The `proxia` command: parse options, call an app, print the results, return an exit code."""


def main() -> int:
    """Run the command with the process's arguments; returns the exit code."""
    from proxia_segmentation_ros.cli.command import run_command

    return run_command()
