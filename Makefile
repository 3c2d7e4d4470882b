# make build   the binary, as ./greenroom
# make test    all tests
# make check   format, vet, staticcheck, import rules, tests with the race detector
# make bench   forwarding and flips beside stock Caddy, and HAProxy and nginx, which must be installed;
#              bench-parts: benchmarks of the hot path; bench-consul: from a key in Consul to the first answer, 1,000
#              services watched;
#              bench-streams: memory per idle stream beside stock Caddy and HAProxy, which must be installed;
#              bench-media: GB/s and CPU seconds per GB beside nginx, which must be installed, and stock Caddy
# make platform       examples/platform, a whole platform on this machine, until Ctrl-C; it installs what is missing
# make platform-demo  a deploy on it, told, in two minutes
# make tools   get what the tests run besides: real servers of Consul and S3 (built once, in minutes), h2spec, and the
#              players of the browser tests
GO ?= go
TOOL = $(GO) tool -modfile=internal/tools/go.mod
PLAYERS = internal/player/browser
PLATFORM = examples/platform/app/web

.PHONY: build platform platform-demo test check lint race bench bench-parts bench-consul bench-streams bench-media tools

build:
	$(GO) build -trimpath -o greenroom .

platform:
	examples/platform/install
	@cd examples/platform && ./platform up $(ARGS)

platform-demo:
	examples/platform/install
	@cd examples/platform && ./platform demo $(ARGS)

# Browsers play in real time: their tests have no others beside them.
test: tools
	$(GO) test -timeout 20m -skip InABrowser ./...
	$(GO) test -timeout 15m -p 1 -run InABrowser ./internal/player/ ./internal/e2e/
	cd internal/bench && $(GO) test ./...
	cd examples/platform && $(GO) test -p 2 -timeout 15m -skip InABrowser ./...
	cd examples/platform && $(GO) test -p 1 -timeout 10m -run InABrowser ./viewers/

tools: $(PLAYERS)/node_modules/.package-lock.json $(PLATFORM)/node_modules/.package-lock.json
	cd internal/tools/s3 && $(GO) tool -n versitygw >/dev/null
	cd internal/tools/consul && $(GO) tool -n consul >/dev/null
	cd internal/tools/h2spec && $(GO) tool -n h2spec >/dev/null

$(PLATFORM)/node_modules/.package-lock.json: $(PLATFORM)/package-lock.json
	cd $(PLATFORM) && npm ci

$(PLAYERS)/node_modules/.package-lock.json: $(PLAYERS)/package-lock.json
	cd $(PLAYERS) && npm ci

check: lint race

lint:
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt would change:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	cd internal/bench && $(GO) vet ./... && $(GO) tool -modfile=../tools/go.mod staticcheck ./...
	cd examples/platform && $(GO) vet ./... && $(GO) tool -modfile=../../internal/tools/go.mod staticcheck ./... && $(GO) tool -modfile=../../internal/tools/go.mod depguard ./...
	$(TOOL) staticcheck ./...
	$(TOOL) depguard ./...

# The tests of switcher/consul come by themselves: the servers that they run
# starve beside other tests and the race detector. Left out is what waits for minutes,
# and has no concurrency that other tests have not.
WAITING = Example|ThreeConsulsThatFall|ATokenThatExpires|H2spec

# The client of such tests has races of its own: quic-go's opens streams in early
# data while the handshake sets their limits.
RACING = EarlyData

race: tools
	$(GO) test -race -timeout 30m -skip 'InABrowser|$(WAITING)|$(RACING)' $$($(GO) list ./... | grep -v switcher/consul)
	$(GO) test -race -timeout 30m ./switcher/consul/...
	cd examples/platform && $(GO) test -race -p 1 -timeout 15m -skip 'InABrowser|TheStory' ./...

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
