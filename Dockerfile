# Launcher and Beam worker in one image: `docker run IMAGE build …`, or as a Beam SDK container.
FROM apache/beam_python3.11_sdk:2.77.0 AS beam

FROM python:3.11-slim-bookworm
COPY --from=beam /opt/apache/beam /opt/apache/beam
WORKDIR /opt/tagmine
# The lock first, so that a change of the code does not install 7 GB again.
COPY requirements.lock ./
RUN pip install --no-cache-dir --requirement requirements.lock
COPY pyproject.toml setup.py README.md ./
COPY tagmine tagmine
COPY index index
COPY pipelines pipelines
COPY demo demo
RUN pip install --no-cache-dir --no-deps . && useradd --create-home tagmine
USER tagmine
WORKDIR /data
ENTRYPOINT ["tagmine"]
CMD ["--help"]
