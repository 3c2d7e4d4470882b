package consul

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// Query is what is asked of the catalog. Two that are equal share one watch,
// however many sources use it.
type Query struct {
	// Service by its name. Required, except for colors by service.
	Service string `json:"service,omitempty"`
	// Tag that instances of both colors must have. Default: any.
	Tag string `json:"tag,omitempty"`
	// Datacenter to ask. Default: the client's.
	Datacenter string `json:"datacenter,omitempty"`
	// Namespace to ask (Consul Enterprise). Default: the client's.
	Namespace string `json:"namespace,omitempty"`
	// Partition to ask (Consul Enterprise). Default: the client's.
	Partition string `json:"partition,omitempty"`
	// Near sorts the upstreams by their distance from a node, "_agent" for
	// the agent's. A change of the order alone is no news. Default: sorted
	// by address.
	Near string `json:"near,omitempty"`
	// Filter is an expression of Consul's filter language, as
	// "Service.Meta.version == \"1.4.2\"". Default: none.
	Filter string `json:"filter,omitempty"`
	// Warning includes instances with a check in the state warning, at their
	// weight for it. Default: only those that pass.
	Warning bool `json:"warning,omitempty"`
}

// maxExpression bounds what a URL can carry.
const maxExpression = 4096

// Validate names the field that cannot be used, and why.
func (q Query) Validate() error {
	if err := validateName(q.Service); err != nil {
		return fmt.Errorf("service %q: %w", q.Service, err)
	}
	for field, name := range map[string]string{
		"datacenter": q.Datacenter, "namespace": q.Namespace, "partition": q.Partition, "near": q.Near,
	} {
		if err := validateName(name); name != "" && err != nil {
			return fmt.Errorf("%s %q: %w", field, name, err)
		}
	}
	for field, text := range map[string]string{"tag": q.Tag, "filter": q.Filter} {
		if len(text) > maxExpression {
			return fmt.Errorf("%s: %d bytes: at most %d", field, len(text), maxExpression)
		}
	}
	return nil
}

// ask sends the query with the options of one poll.
func (q Query) ask(c *api.Client, o *api.QueryOptions) ([]*api.ServiceEntry, *api.QueryMeta, error) {
	o.Datacenter, o.Namespace, o.Partition = q.Datacenter, q.Namespace, q.Partition
	o.Near, o.Filter = q.Near, q.Filter
	var tags []string
	if q.Tag != "" {
		tags = []string{q.Tag}
	}
	return c.Health().ServiceMultipleTags(q.Service, tags, !q.Warning, o)
}

// By is a way to tell the colors of instances.
type By string

// The ways to tell colors.
const (
	ByTag     By = "tag"     // of the instance; the default
	ByMeta    By = "meta"    // metadata of the instance
	ByService By = "service" // two services, one for each color
)

// Naming says which instances are blue and which green. An instance that is
// neither is ignored; by its tags one may be both. The zero value is the tags
// "blue" and "green".
type Naming struct {
	// By tag, meta or service. Default tag.
	By By `json:"by,omitempty"`
	// Key of the metadata. Default "color".
	Key string `json:"key,omitempty"`
	// Blue and Green are the tags, the values of the metadata, or the names
	// of the services, in exactly this spelling. Default "blue" and "green";
	// of services there is none.
	Blue  string `json:"blue,omitempty"`
	Green string `json:"green,omitempty"`
}

// Validate names the field that cannot be used, and why.
func (n Naming) Validate() error {
	switch n.By {
	case "", ByTag, ByMeta:
	case ByService:
		if n.Blue == "" || n.Green == "" {
			return errors.New("colors by service: the names of both services are needed, blue and green")
		}
	default:
		return fmt.Errorf("colors by %q: want %q, %q or %q", n.By, ByTag, ByMeta, ByService)
	}
	if n.Key != "" && n.By != ByMeta {
		return errors.New("key: is of use only for colors by meta")
	}
	if d := n.withDefaults(); d.Blue == d.Green {
		return fmt.Errorf("colors: blue and green are both %q", d.Blue)
	}
	return nil
}

func (n Naming) withDefaults() Naming {
	if n.By == "" {
		n.By = ByTag
	}
	if n.Key == "" {
		n.Key = "color"
	}
	if n.Blue == "" {
		n.Blue = "blue"
	}
	if n.Green == "" {
		n.Green = "green"
	}
	return n
}

// of returns what color c is called.
func (n Naming) of(c switcher.Color) string {
	if c == switcher.Blue {
		return n.Blue
	}
	return n.Green
}

// queries returns what to ask for each color: the same, except by service.
func (n Naming) queries(q Query) switcher.PerColor[Query] {
	if n.By != ByService {
		return switcher.PerColor[Query]{Blue: q, Green: q}
	}
	both := switcher.PerColor[Query]{Blue: q, Green: q}
	both.Blue.Service, both.Green.Service = n.Blue, n.Green
	return both
}

// has reports whether i is of color c. By service, the query has told already.
func (n Naming) has(c switcher.Color, i instance) bool {
	switch n.By {
	case ByTag:
		return slices.Contains(i.tags, n.of(c))
	case ByMeta:
		value, ok := i.meta[n.Key]
		return ok && value == n.of(c)
	}
	return true
}

// describe names the source that n and q make.
func (n Naming) describe(q Query) string {
	var s strings.Builder
	switch n.By {
	case ByService:
		fmt.Fprintf(&s, "consul services %s and %s", n.Blue, n.Green)
	case ByMeta:
		fmt.Fprintf(&s, "consul service %s by meta %s", q.Service, n.Key)
	default:
		fmt.Fprintf(&s, "consul service %s by tag", q.Service)
	}
	if q.Datacenter != "" {
		s.WriteString(" in " + q.Datacenter)
	}
	return s.String()
}
