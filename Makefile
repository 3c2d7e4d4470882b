# make build   the binary, as ./greenroom
# make test    all tests
# make check   format, vet, staticcheck, import rules, tests with the race detector
# make bench   benchmarks of the hot path
# make tools   build what the tests run besides: a real Consul server (minutes, once)
GO ?= go
TOOL = $(GO) tool -modfile=internal/tools/go.mod

.PHONY: build test check lint race bench tools

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

race: tools
	$(GO) test -race -timeout 30m ./...

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./switcher/ ./proxy/
