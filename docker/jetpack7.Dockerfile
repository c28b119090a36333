# JetPack 7: Ubuntu 24.04, Python 3.12, CUDA 13, TensorRT 10.13. Written from documentation, not tried on a device (docs/jetson.md).
#   docker build -f docker/jetpack7.Dockerfile -t edgeseg:jetpack7 .
#   docker run --rm -it --runtime nvidia -v edgeseg-engines:/cache edgeseg:jetpack7 doctor
FROM nvidia/cuda:13.0.1-devel-ubuntu24.04

# TensorRT's Python module and Ubuntu's OpenCV, which has GStreamer; what PyCUDA needs to be compiled.
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        "python3-libnvinfer=10.13.*" python3-opencv gstreamer1.0-plugins-good \
        python3-venv python3-dev build-essential \
    && rm -rf /var/lib/apt/lists/*

ENV CUDA_ROOT=/usr/local/cuda
ENV PATH=/opt/edgeseg/bin:/usr/local/cuda/bin:$PATH
RUN python3 -m venv --system-site-packages /opt/edgeseg

COPY setup.py pyproject.toml MANIFEST.in README.md LICENSE CHANGELOG.md CONTRIBUTING.md /src/
COPY edgeseg /src/edgeseg
COPY export /src/export
RUN pip install --no-cache-dir "/src[jetson]"

# Engines are built on the device, once, and outlive the container.
ENV EDGESEG_CACHE=/cache
VOLUME /cache
ENTRYPOINT ["edgeseg"]
CMD ["doctor"]
