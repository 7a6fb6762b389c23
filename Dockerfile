# Build: docker build -t optimux .
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
# The C library becomes part of the binary: the last stage has none.
RUN apt-get update && apt-get install -y --no-install-recommends musl-tools \
    && rustup target add "$(uname -m)-unknown-linux-musl"
# Dependencies first: they change less often than we do.
COPY Cargo.toml Cargo.lock ./
COPY benches benches
RUN mkdir -p src tests/blackbox \
    && echo 'fn main() {}' | tee build.rs src/main.rs > tests/blackbox/main.rs && touch src/lib.rs \
    && cargo build --locked --profile dist --bin optimux --target "$(uname -m)-unknown-linux-musl" \
    && rm -rf build.rs src tests
COPY build.rs build.rs
COPY providers providers
COPY migrations migrations
# The router that is embedded.
COPY router-models router-models
COPY src src
COPY tests/blackbox/main.rs tests/blackbox/main.rs
RUN touch build.rs src/main.rs src/lib.rs \
    && cargo build --locked --profile dist --bin optimux --target "$(uname -m)-unknown-linux-musl" \
    && install target/*/dist/optimux /usr/local/bin/optimux

# Whose the journal's folder is: the last stage has nothing that could make it.
RUN mkdir -p /var/lib/optimux

# Nothing that an intruder could run.
FROM gcr.io/distroless/static-debian12:nonroot
# Whom to trust: without these no provider can be reached, and nothing starts.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /usr/local/bin/optimux /usr/local/bin/optimux
COPY --from=build --chown=nonroot:nonroot /var/lib/optimux /var/lib/optimux
ENV PATH=/usr/local/bin
# The number of `nonroot`: Kubernetes believes no name.
USER 65532:65532
# The journal is here, and the SQLite file where there is no PostgreSQL: keep it on a volume. Nothing
# else is written to: the root can be read-only.
WORKDIR /var/lib/optimux
VOLUME /var/lib/optimux
ENV OPTIMUX_SERVER__LISTEN=0.0.0.0:8080
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s CMD ["optimux", "health"]
# A stop takes up to server.drain_delay and server.shutdown_grace: give it 45 seconds.
ENTRYPOINT ["optimux"]
CMD ["serve"]
