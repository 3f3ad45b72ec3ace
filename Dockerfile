# Packshot for a machine with an NVIDIA GPU; how to use it stands in docs/docker.md.
# torch's wheels bring the CUDA libraries along, the host's driver comes in at the start: no CUDA base is needed.
FROM python:3.12-slim

# The user's number: files written into mounted folders belong to it.
ARG UID=1000
RUN useradd --create-home --uid "$UID" packshot \
    && install --directory --owner packshot /projects /cache

WORKDIR /usr/src/packshot
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY src src
COPY pocket/model pocket/model
RUN pip install --no-cache-dir ./pocket/model ".[demo,quantised,onnx,gguf]"

ENV HF_HOME=/cache/huggingface \
    PACKSHOT_CACHE=/cache/packshot \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER packshot
WORKDIR /projects
VOLUME ["/projects", "/cache"]
ENTRYPOINT ["packshot"]
CMD ["--help"]
