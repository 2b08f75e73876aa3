# pith as one static binary that runs as an unprivileged user.
#   docker build -t pith . && docker run --rm -v "$PWD/runs:/runs" pith train
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags=-s -o /pith ./cmd/pith && mkdir /runs

FROM scratch
COPY --from=build /pith /pith
COPY --from=build --chown=65532:65532 /runs /runs
COPY LICENSE /LICENSE
USER 65532:65532
WORKDIR /
VOLUME /runs
ENTRYPOINT ["/pith"]
CMD ["train"]
