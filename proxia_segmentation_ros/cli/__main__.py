"""`python -m proxia_segmentation_ros.cli`: the command where no script is installed."""

import sys

from proxia_segmentation_ros.cli import main

sys.exit(main())
