# One image for every role: `forebay api`, `forebay worker`, `forebay scheduler`, `forebay couriers`, or `forebay up`.

FROM python:3.12-slim AS build
WORKDIR /src
COPY requirements-build.lock ./
RUN python -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements-build.lock
COPY pyproject.toml requirements.lock ./
# The lock holds the tests' packages as well; as a constraint it pins, with its hashes, only what the project asks for.
RUN python -m venv --without-pip /opt/forebay \
 && /opt/build/bin/uv pip install --no-cache --compile-bytecode --python /opt/forebay/bin/python \
    --require-hashes --constraint requirements.lock -r pyproject.toml
COPY README.md LICENSE ./
COPY forebay forebay
COPY producer_api producer_api
COPY scheduler scheduler
COPY shared shared
COPY workers workers
RUN /opt/build/bin/hatchling build -t wheel -d /dist \
 && /opt/build/bin/uv pip install --no-cache --compile-bytecode --python /opt/forebay/bin/python --no-deps /dist/*.whl

FROM python:3.12-slim
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/forebay forebay \
 && install --directory --owner forebay /var/lib/forebay/files
COPY --from=build /opt/forebay /opt/forebay
ENV PATH=/opt/forebay/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001
WORKDIR /var/lib/forebay
EXPOSE 8080
ENTRYPOINT ["forebay"]
CMD ["--help"]
