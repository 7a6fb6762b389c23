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

# Whose the journal's folder is: the last stage has nothing that could make it.
RUN mkdir -p /var/lib/optimux

# The C library, and nothing that an intruder could run.
FROM gcr.io/distroless/cc-debian12:nonroot
# Whom to trust: without these no provider can be reached, and nothing starts.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/target/dist/optimux /usr/local/bin/optimux
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
