# Launcher and Beam worker in one image: `docker run IMAGE build …`, or as a Beam SDK container.
# Both bases are arguments, so that a mirror's copy, or another CUDA, takes their place.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
ARG CUDA_IMAGE=nvidia/cuda:13.0.1-base-ubuntu24.04
ARG BEAM_IMAGE=apache/beam_python3.11_sdk:2.77.0

# hadolint ignore=DL3006
FROM ${BEAM_IMAGE} AS beam

# hadolint ignore=DL3006
FROM ${PYTHON_IMAGE} AS packages
RUN python3 -m venv --copies /opt/venv
# The lock first, so that a change of the code does not install 7 GB again.
COPY requirements.lock /tmp/
RUN /opt/venv/bin/pip install --no-cache-dir --no-compile --require-hashes \
      --requirement /tmp/requirements.lock
COPY . /tmp/tagmine
RUN /opt/venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation /tmp/tagmine \
 && find /opt/venv -name __pycache__ -prune -exec rm -rf {} +

# CUDA's libraries come with torch's and FAISS's wheels; of this base, cuda-compat lets them run on
# older drivers.
# hadolint ignore=DL3006
FROM ${CUDA_IMAGE}
# What the copied Python links to; versions are those of the base's release.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends \
      ca-certificates libbz2-1.0 libffi8 liblzma5 libsqlite3-0 libssl3 libuuid1 zlib1g \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 10001 tagmine \
 && install --directory --owner tagmine /data
COPY --from=packages /usr/local /usr/local
RUN ldconfig
COPY --from=beam /opt/apache/beam /opt/apache/beam
COPY --from=packages /opt/venv /opt/venv
COPY docker-entrypoint.sh /usr/local/bin/
# Beam's boot program would otherwise make an environment without the packages of this one.
ENV PATH=/opt/venv/bin:$PATH \
    RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1 \
    PYTHONUNBUFFERED=1 \
    OMP_WAIT_POLICY=PASSIVE
USER 10001
WORKDIR /data
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["--help"]
