package consul

import (
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
)

// Client asks one Consul for all services of this process. Its methods may be
// called at the same time.
type Client struct {
	config Config
	at     place
	log    *slog.Logger
	base   *http.Transport
	token  *token
	api    *api.Client
	pace   pace

	blocking chan struct{} // holds one element for each query that blocks
	reading  chan struct{} // and one for each that does not

	mu        sync.Mutex
	watches   map[Query]*watch // those that run; guarded by mu
	following int              // inquiries that are followed; guarded by mu
	closed    bool             // guarded by mu
}

// reads is how many queries may be asked at once besides those that block.
const reads = 32

// pace is how long a Client waits for what.
type pace struct {
	wait    time.Duration // a query blocks
	slack   time.Duration // an answer may be late
	spacing time.Duration // between two queries of the same kind, on average
	confirm time.Duration // between reads while a removal is held
	jitter  func(ceiling time.Duration) time.Duration
}

// NewClient makes a client, which connects when it is used. The logger, which
// may be nil, is told of trouble with the token.
func NewClient(c Config, log *slog.Logger) (*Client, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("consul: %w", err)
	}
	if err := c.checkEnv(); err != nil {
		return nil, fmt.Errorf("consul: %w", err)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c = c.withDefaults()
	at, err := parseAddress(c.Address)
	if err != nil {
		return nil, fmt.Errorf("consul: address: %w", err)
	}
	base, err := newBase(at, c)
	if err != nil {
		return nil, fmt.Errorf("consul: %w", err)
	}
	client := &Client{
		config: c, at: at, log: log, base: base,
		token: &token{file: c.TokenFile, env: c.TokenEnv, log: log},
		pace: pace{
			wait: time.Duration(c.Wait), slack: 15 * time.Second,
			spacing: 200 * time.Millisecond, confirm: 5 * time.Second, jitter: fullJitter,
		},
		blocking: make(chan struct{}, c.Polls),
		reading:  make(chan struct{}, reads),
		watches:  make(map[Query]*watch),
	}
	client.api, err = client.library()
	if err != nil {
		return nil, fmt.Errorf("consul: %w", err)
	}
	return client, nil
}

// library makes Consul's own client on our transport. The token it is given is
// a placeholder, so that it takes none from the environment by itself.
func (c *Client) library() (*api.Client, error) {
	scheme := c.at.scheme
	if scheme == "unix" {
		scheme = "http"
	}
	return api.NewClient(&api.Config{
		Address: c.at.host, Scheme: scheme, Token: hidden,
		Datacenter: c.config.Datacenter, Namespace: c.config.Namespace, Partition: c.config.Partition,
		HttpClient: &http.Client{
			Transport:     &transport{base: c.base, token: c.token, limit: maxAnswer},
			CheckRedirect: noRedirect,
			Timeout:       c.pace.timeout(MaxWait),
		},
	})
}

// timeout of a query that blocks for wait: Consul adds up to a sixteenth.
func (p pace) timeout(wait time.Duration) time.Duration {
	return wait + wait/16 + p.slack
}

// String names the Consul for status and logs.
func (c *Client) String() string { return "consul at " + c.config.Address }

// Close ends all watches and waits for them. Sources that still run report that
// the client is closed.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	var ending []*watch
	for _, w := range c.watches {
		ending = append(ending, w)
	}
	clear(c.watches)
	c.mu.Unlock()
	for _, w := range ending {
		w.stop()
		w.tell(sight{at: time.Now(), err: errClosed})
	}
	c.base.CloseIdleConnections()
}

// subscribe joins the watch of q, which starts with its first subscriber. news
// is signaled, and must have room for one, after each answer.
func (c *Client) subscribe(q Query, news chan<- struct{}) *subscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.watches[q]
	if w == nil {
		w = newWatch(c, q)
		if c.closed {
			w.tell(sight{at: time.Now(), err: errClosed})
		} else {
			c.watches[q] = w
			w.start()
		}
	}
	w.users++
	return w.join(news)
}

// leave ends the subscription, and with the last one the watch. It waits.
func (c *Client) leave(s *subscription) {
	s.urge(false)
	s.watch.part(s)
	c.mu.Lock()
	w := s.watch
	w.users--
	last := w.users == 0
	if last && c.watches[w.query] == w {
		delete(c.watches, w.query)
	}
	idle := len(c.watches) == 0
	c.mu.Unlock()
	if last {
		w.stop()
	}
	if idle {
		c.base.CloseIdleConnections()
	}
}
