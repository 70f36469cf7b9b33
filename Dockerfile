# README's recipe for robots as an image; any ROS 2 from Humble on:
#   docker build --build-arg ROS_DISTRO=jazzy --tag proxia .
#   docker run --rm --network host --ipc host proxia \
#     ros2 launch proxia_segmentation_ros proxia.launch.py image_topic:=/camera/image_raw
# Fast DDS hands images over in shared memory only between processes of one user: where the camera
# runs as another, build with its number as USER_ID.
ARG ROS_DISTRO=jazzy
FROM ros:${ROS_DISTRO}-ros-base

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# UID itself is a variable of bash
ARG USER_ID=1000
ARG WORKSPACE=/opt/proxia_ws
# torch without CUDA; empty takes PyPI's build, which brings CUDA
ARG PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu

# From Ubuntu 24.04 on the base has a user of that number already. Versions come with the distro.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && { getent passwd "$USER_ID" >/dev/null || useradd --create-home --uid "$USER_ID" proxia; } \
    && install -d -o "$USER_ID" "$WORKSPACE"
WORKDIR $WORKSPACE

# What ROS and rosdep know, then what pip does: apart from the sources, which change more often.
COPY package.xml src/proxia_segmentation_ros/
RUN apt-get update \
    && rosdep update --rosdistro "$ROS_DISTRO" \
    && rosdep install --from-paths src --ignore-src -y \
    && rm -rf /var/lib/apt/lists/*
USER $USER_ID
COPY requirements.txt src/proxia_segmentation_ros/
RUN python3 -m venv --system-site-packages .venv \
    && touch .venv/COLCON_IGNORE \
    && .venv/bin/pip install --no-cache-dir -r src/proxia_segmentation_ros/requirements.txt

COPY . src/proxia_segmentation_ros/
RUN . "/opt/ros/$ROS_DISTRO/setup.bash" \
    && . .venv/bin/activate \
    && colcon build

ENV WORKSPACE=$WORKSPACE
ENTRYPOINT ["/bin/bash", "-c", ". \"/opt/ros/$ROS_DISTRO/setup.bash\" && . \"$WORKSPACE/.venv/bin/activate\" && . \"$WORKSPACE/install/setup.bash\" && exec \"$@\"", "proxia"]
CMD ["ros2", "launch", "proxia_segmentation_ros", "proxia.launch.py"]
