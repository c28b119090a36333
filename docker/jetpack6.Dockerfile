# JetPack 6: Ubuntu 22.04, Python 3.10, CUDA 12.6, TensorRT 10.3. Written from documentation, not tried on a device (docs/jetson.md).
#   docker build -f docker/jetpack6.Dockerfile -t edgeseg:jetpack6 .
#   docker run --rm -it --runtime nvidia -v edgeseg-engines:/cache edgeseg:jetpack6 doctor
FROM nvcr.io/nvidia/l4t-jetpack:r36.4.0

# TensorRT's Python module and an OpenCV with GStreamer, both of JetPack; what PyCUDA needs to be compiled.
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        python3-libnvinfer libopencv-python gstreamer1.0-plugins-good \
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
