"""An answering process that reports an error instead of an answer."""

from proxia_segmentation_ros.benchmark.workers.json_process import read_requests, reporting_errors
from proxia_segmentation_ros.errors import ProxiaError

with reporting_errors():
    next(read_requests())
    raise ProxiaError.from_parts("nobody subscribed", "somebody", "wake them up")
