"""What `test/` does not mirror, module by module, and why.

Every other module `<folder>/<name>.py` of the package has a `test/<folder>/test_<name>.py`.
"""

TYPES_ALONE = "declares types alone"

# Modules that are tested from elsewhere: what needs them shows whether they are right.
TESTED_BY: dict[str, dict[str, str]] = {
    "test/wire/test_compressed.py": {
        "wire/image_header.py": "headers of JPEG and PNG files, good and bad",
    },
    TYPES_ALONE: {
        "apps/defaults.py": "constants; their use is tested in test/cli/test_command.py",
        "backends/contract.py": TYPES_ALONE,
        "backends/scale_passes.py": TYPES_ALONE,
        "data/dataset.py": TYPES_ALONE,
        "pipeline/steps.py": TYPES_ALONE,
        "progress.py": TYPES_ALONE,
    },
    "test/apps/evaluate/test_run.py": {
        "apps/evaluate/settings.py": "refused settings are refusals of a run",
    },
    "test/apps/segment/test_run.py": {
        "apps/segment/index.py": "the page is read after a run",
        "apps/segment/labeller.py": "labels of a run",
        "apps/segment/settings.py": "refused settings are refusals of a run",
        "apps/segmenter_settings.py": "what a run hands to the segmenter, and its refusals",
        "apps/segment/truth.py": "pictures against the truth, with test_pictures.py beside it",
        "apps/segment/outputs.py": "files of a run, with test_pictures.py beside it",
    },
    "test/backends/graph/test_recorder.py": {
        "backends/graph/openvino_convert.py": "converted networks against torch",
        "backends/graph/resize_node.py": "its operation is recorded and converted there",
        "backends/graph/torch_graph.py": "the graph that is recorded",
    },
    "test/backends/pruned/test_network.py": {
        "backends/graph/openvino_passes.py": "passes on OpenVINO against those on torch",
        "backends/graph/pass_graphs.py": "passes fused against the whole network",
        "backends/openvino/passes.py": "passes on OpenVINO against those on torch",
        "backends/torch/passes.py": "passes on torch against the whole network",
    },
    "test/inference/test_segmenter.py": {
        "backends/openvino/backend.py": "each backend against the others",
        "backends/openvino/runner.py": "each backend against the others",
        "backends/torch/backend.py": "each backend against the others",
        "inference/backend_choice.py": "which backend the segmenter names, and its refusals",
    },
    "test/backends/tensorrt/test_backend.py": {
        "backends/tensorrt/build.py": "built engines, memory and refusals on a device of its own",
        "backends/tensorrt/runner.py": "labels of a batch against torch",
    },
    "test/ros/node/test_engine_upgrade.py": {
        "inference/engine_upgrade.py": "a node's change from one engine to the next",
    },
    "test/benchmark/test_node.py": {
        "ros/client/baseline_subscriber.py": "the process that only takes messages",
    },
    "test/cli/test_command.py": {
        "cli/demo.py": "options and exit codes",
        "cli/options.py": "options and exit codes",
        "cli/play.py": "options and exit codes",
        "cli/quantise.py": "its help; the task itself in test/apps/test_quantise.py",
        "cli/run.py": "the arguments that the node is given",
    },
    "test/training/test_smoke.py": {
        "cli/train.py": "the command's dry and smoke runs",
        "training/settings.py": "values and origins of all settings, with test_recipe.py beside it",
    },
    "test/cli/test_engines.py": {
        "apps/engines.py": "builds and refusals of the command",
    },
    "test/data/augmentation/test_augment.py": {
        "data/augmentation/settings.py": "settings by what they do to a pair",
    },
    "test/data/datasets/test_catalogue.py": {
        "data/datasets/layout.py": "sentences for what a data set lacks",
    },
    "test/evaluation/test_page.py": {
        "evaluation/page_diagram.py": "bars of the page's diagram",
        "evaluation/page_tables.py": "tables of the page",
        "evaluation/report.py": "the report that the page shows",
        "evaluation/observer.py": "the image that every observer is told of",
    },
    "test/model/foreign/test_nvidia.py": {
        "model/foreign/checkpoints.py": "which of the two systems a file is of",
        "model/foreign/unpickle.py": "what a pickle may hold; test_mmsegmentation.py too",
    },
    "test/model/network/test_golden.py": {
        "model/network/names.py": "constants alone",
        "model/network/backbone.py": "maps of every stage against NVIDIA/semantic-segmentation",
        "model/network/blocks.py": "maps of every stage against NVIDIA/semantic-segmentation",
        "model/network/ocr.py": "maps of every stage against NVIDIA/semantic-segmentation",
        "model/network/scale_attention.py": "attention of every scale against NVIDIA",
    },
    "test/pipeline/test_model_host.py": {
        "inference/cpu_fallback.py": "a GPU that fails is followed by the CPU",
        "inference/warm_up.py": "memory that suffices for fewer images",
    },
    "test/ros/node/test_cameras.py": {
        "ros/node/camera.py": "all that belongs to a camera of a running node",
        "ros/node/camera_input.py": "transport, calibration and depth of a running node",
    },
    "test/training/distributed/test_process_group.py": {
        "training/distributed/synced_batch_norm.py": "two processes against one",
    },
    "test/synthetic/test_street.py": {
        f"synthetic/{name}.py": "what any seed draws"
        for name in """camera drawing/canvas drawing/solids drawing/textures layout plan sensor
        stage things/buildings things/facades things/figures things/foliage things/furniture
        things/ground things/people things/plants things/strips things/vehicles tone traffic
        weather""".split()
    },
}

# Tests of what no single module does.
CROSS_CUTTING: dict[str, str] = {
    "apps/segment/test_cityscapes.py": "a dump, read by the benchmark's own scripts",
    "backends/tensorrt/test_gpu.py": "the whole backend on a real GPU",
    "backends/test_card_temperature.py": "one weight file in every backend",
    "docs/test_commands.py": "documents",
    "docs/test_config_files.py": "files of config/",
    "docs/test_documents.py": "documents",
    "docs/test_site.py": "documents",
    "evaluation/test_cityscapes_agreement.py": "our scores against the benchmark's own",
    "inference/test_image_batches.py": "several images at a time in every backend",
    "launch/test_proxia_launch.py": "the file of launch/",
    "model/network/test_golden.py": "whole networks against NVIDIA/semantic-segmentation",
    "ros/node/test_frame_walk.py": "a frame through every room, against docs/architecture.md",
    "pipeline/test_several_workers.py": "workers, mailbox and stream together",
    "ros/node/test_bad_input.py": "a running node",
    "ros/node/test_cameras.py": "a running node",
    "ros/node/test_engine_upgrade.py": "a running node",
    "ros/node/test_real_model.py": "a running node",
    "ros/node/test_setbacks.py": "a running node",
    "ros/test_robot.py": "the robot in test/support",
    "training/test_golden_step.py": "one training step against NVIDIA/semantic-segmentation",
    "training/test_killed_run.py": "a whole run in a process of its own",
}
# All of test/packaging/ is about the repository and not about a module.
FOLDERS_WITHOUT_MODULES = {"packaging"}
