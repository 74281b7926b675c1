FROM python:3.12-slim AS builder

RUN pip install --no-cache-dir --disable-pip-version-check uv
# faust-streaming has no wheel for arm64 and must bring its compiled part.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY requirements.lock .
RUN uv venv /venv \
    && uv pip install --no-cache --require-hashes --python /venv/bin/python --compile-bytecode -r requirements.lock

FROM python:3.12-slim

RUN useradd --system --user-group --uid 10001 --no-create-home --home-dir /data app \
    && install --directory --owner app --group app /data
COPY --from=builder /venv /venv
WORKDIR /srv
COPY faust.yml ./
COPY app app
COPY agents agents
COPY tables tables
COPY models models
COPY web web
COPY templates templates

# In a container, loopback is reached by nobody: who may reach the port is decided where it is published.
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ORDERS_DATA_DIR=/data \
    ORDERS_WEB__BIND=0.0.0.0

USER app
VOLUME /data
EXPOSE 6066
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ.get('ORDERS_WEB__PORT', '6066') + '/health/live', timeout=3)"]
ENTRYPOINT ["python", "-m", "app"]
CMD ["worker"]
