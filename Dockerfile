FROM python:3.13-slim-trixie AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_NO_INPUT=1 \
    PIP_ROOT_USER_ACTION=ignore

# Two environments: what builds stays here, what runs has not even pip.
RUN python -m venv /opt/build && python -m venv --without-pip /opt/conversions

# EXTRA=-otel brings what traces need as well.
ARG EXTRA=

WORKDIR /src
COPY requirements.lock requirements-otel.lock requirements-build.lock ./
RUN /opt/build/bin/pip install --require-hashes --only-binary :all: -r requirements-build.lock \
    && /opt/build/bin/pip --python /opt/conversions/bin/python install \
       --require-hashes --only-binary :all: -r "requirements${EXTRA}.lock"

COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY consumer consumer
RUN /opt/build/bin/pip wheel --no-deps --no-index --no-build-isolation --wheel-dir /wheel . \
    && /opt/build/bin/pip --python /opt/conversions/bin/python install --no-deps --no-index /wheel/*.whl


FROM python:3.13-slim-trixie AS runtime

ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="conversions-consumer" \
      org.opencontainers.image.description="A Kafka consumer group that delivers Avro conversion events to Meta's Conversions API, and loses none" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

# Who runs a container asks it for metrics from outside: the one default that the image changes.
# The threshold is glibc's own first one, which it would raise: then what the Kafka client fetches
# ahead and the bodies of requests come out of heaps that are never given back whole.
ENV PATH=/opt/conversions/bin:$PATH \
    MALLOC_MMAP_THRESHOLD_=131072 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONFAULTHANDLER=1 \
    CONVERSIONS_METRICS_HOST=0.0.0.0

COPY --from=build /opt/conversions /opt/conversions

# By number, so that Kubernetes can see that it is not root.
USER 65532:65532
EXPOSE 9108
STOPSIGNAL SIGTERM

HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('CONVERSIONS_METRICS_PORT') or 9108), timeout=3); c.request('GET', '/livez'); sys.exit(c.getresponse().status != 200)"]

ENTRYPOINT ["conversions"]
CMD ["run"]
