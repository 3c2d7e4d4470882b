# make build   the binary, as ./greenroom
# make test    all tests
# make check   format, vet, staticcheck, import rules, tests with the race detector
# make bench   benchmarks of the hot path
# make tools   build what the tests run besides: a real Consul server (minutes, once)
GO ?= go
TOOL = $(GO) tool -modfile=internal/tools/go.mod

.PHONY: build test check lint race race-consul bench tools

build:
	$(GO) build -trimpath -o greenroom .

test: tools
	$(GO) test -timeout 20m ./...

tools:
	cd internal/tools/consul && $(GO) tool -n consul >/dev/null

check: lint race

lint:
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt would change:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(TOOL) staticcheck ./...
	$(TOOL) depguard ./...

# The real Consul servers of switcher/consul starve beside the race detector on
# two cores: there it sees the tests without them, and make race-consul the rest.
race: tools
	$(GO) test -race -timeout 30m $$($(GO) list ./... | grep -v switcher/consul)
	$(GO) test -race -short -timeout 10m ./switcher/consul/...

race-consul: tools
	$(GO) test -race -timeout 40m ./switcher/consul/...

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./switcher/ ./proxy/
