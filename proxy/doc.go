// Package proxy is Greenroom inside Caddy: the app "greenroom" that holds the
// services, the handler "blue_green" that serves one, their Caddyfile forms,
// metrics, and the data plane. Importing it registers all of it, so that
//
//	xcaddy build --with github.com/greenroom-proxy/greenroom/proxy
//
// makes a Caddy with Greenroom in it.
//
// It is the only place that knows both Caddy and the packages switcher and
// healthcheck. What outlives a config reload (the switcher, the state on disk,
// pools, checks, the control socket, exchanges under way) belongs to one
// runtime for the process; what a reload replaces (how a service balances,
// retries, forwards) belongs to the app of each config.
package proxy
