# make build   the binary, as ./greenroom
# make test    all tests
# make check   format, vet, staticcheck, import rules, tests with the race detector
# make bench   forwarding and flips beside stock Caddy, and HAProxy and nginx, which must be installed;
#              bench-parts: benchmarks of the hot path; bench-consul: from a key in Consul to the first answer, 1,000
#              services watched;
#              bench-streams: memory per idle stream beside stock Caddy and HAProxy, which must be installed;
#              bench-media: GB/s and CPU seconds per GB beside nginx, which must be installed, and stock Caddy
# make tools   get what the tests run besides: real servers of Consul and S3 (built once, in minutes), and the players of
#              the browser tests
GO ?= go
TOOL = $(GO) tool -modfile=internal/tools/go.mod
PLAYERS = internal/player/browser

.PHONY: build test check lint race bench bench-parts bench-consul bench-streams bench-media tools

build:
	$(GO) build -trimpath -o greenroom .

# Browsers play in real time: their tests have no others beside them.
test: tools
	$(GO) test -timeout 20m -skip InABrowser ./...
	$(GO) test -timeout 15m -p 1 -run InABrowser ./internal/player/ ./internal/e2e/
	cd internal/bench && $(GO) test ./...

tools: $(PLAYERS)/node_modules/.package-lock.json
	cd internal/tools/s3 && $(GO) tool -n versitygw >/dev/null
	cd internal/tools/consul && $(GO) tool -n consul >/dev/null

$(PLAYERS)/node_modules/.package-lock.json: $(PLAYERS)/package-lock.json
	cd $(PLAYERS) && npm ci

check: lint race

lint:
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt would change:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	cd internal/bench && $(GO) vet ./... && $(GO) tool -modfile=../tools/go.mod staticcheck ./...
	$(TOOL) staticcheck ./...
	$(TOOL) depguard ./...

# The tests of switcher/consul come by themselves: the servers that they run
# starve beside other tests and the race detector.
race: tools
	$(GO) test -race -timeout 30m $$($(GO) list ./... | grep -v switcher/consul)
	$(GO) test -race -timeout 30m ./switcher/consul/...

# -rounds and -for how long (by default about 8 minutes in all), -only and -workloads
# what, -json, -svg and -profiles where to put more than the table.
bench:
	cd internal/bench && $(GO) run ./forward $(ARGS)

bench-parts:
	$(GO) test -run '^$$' -bench . -benchmem ./switcher/ ./proxy/

bench-consul: tools
	$(GO) test -run '^$$' -bench AThousand -benchtime 1x ./switcher/consul/
	$(GO) test -run '^$$' -bench 'AKey|Trigger' -benchtime 60x ./switcher/consul/ ./internal/e2e/

# -n how many streams, -json and -profiles where to put more than the table.
bench-streams:
	cd internal/bench && $(GO) run ./streams $(ARGS)

# -rounds and -for how long (by default under 3 minutes in all), -only and -workloads
# what, -json and -profiles where to put more than the table.
bench-media:
	cd internal/bench && $(GO) run ./media $(ARGS)
