# syntax=docker/dockerfile:1
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts
COPY . .
RUN npm run build

FROM node:24-bookworm-slim
LABEL org.opencontainers.image.title="exchange-feeds" org.opencontainers.image.licenses="MIT"
# One malloc arena: with one for each thread a drain leaves 20 MiB behind that never come back.
ENV MALLOC_ARENA_MAX=1 NODE_ENV=production DATA_DIR=/data HEALTH_HOST=0.0.0.0 LOG_FORMAT=json
WORKDIR /app
COPY --from=build /app/dist/bin/exchange-feeds.mjs /app/deploy/docker/healthcheck.mjs ./
RUN install -d -o node -g node -m 0700 /data
USER 1000:1000
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["node", "/app/healthcheck.mjs"]
ENTRYPOINT ["node", "--max-semi-space-size=16", "--disable-proto=throw", "/app/exchange-feeds.mjs"]
CMD ["run"]
