# Build: docker build -t optimux .
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
# Dependencies first: they change less often than we do.
COPY Cargo.toml Cargo.lock build.rs ./
COPY providers providers
COPY benches benches
RUN mkdir -p src tests/blackbox \
    && echo 'fn main() {}' > src/main.rs && touch src/lib.rs && echo 'fn main() {}' > tests/blackbox/main.rs \
    && cargo build --locked --profile dist --bin optimux && rm -rf src tests
COPY migrations migrations
# The router that is embedded.
COPY router-models router-models
COPY src src
COPY tests/blackbox/main.rs tests/blackbox/main.rs
RUN touch src/main.rs src/lib.rs && cargo build --locked --profile dist --bin optimux

FROM debian:bookworm-slim
RUN useradd --system --create-home --home-dir /var/lib/optimux optimux
# Whom to trust: without these no provider can be reached, and nothing starts.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/target/dist/optimux /usr/local/bin/optimux
USER optimux
# The journal is here, and the SQLite file where there is no PostgreSQL: keep it on a volume.
WORKDIR /var/lib/optimux
VOLUME /var/lib/optimux
ENV OPTIMUX_SERVER__LISTEN=0.0.0.0:8080
EXPOSE 8080
# A stop takes up to server.drain_delay and server.shutdown_grace: give it 45 seconds.
ENTRYPOINT ["optimux"]
CMD ["serve"]
