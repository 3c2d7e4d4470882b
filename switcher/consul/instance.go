package consul

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/consul/api"

	"github.com/greenroom-proxy/greenroom/switcher"
)

// Limits of the metadata of one upstream, ours included.
const (
	maxMetaEntries = 64
	maxMetaBytes   = 1024
)

// The metadata that the source adds. Consul allows no dot in a key, so that
// they never hide one of the instance.
const (
	metaID         = "consul.id"
	metaNode       = "consul.node"
	metaDatacenter = "consul.datacenter"
)

// instance is what the catalog says of one instance, as far as it matters here.
// It is never edited.
type instance struct {
	id, node string
	tags     []string
	meta     map[string]string
	upstream switcher.Upstream
	// refused is why the upstream cannot be used; empty if it can.
	refused string
}

// instancesOf maps the entries of one answer, without those that should take no
// traffic. What cannot be used is in it, with the reason.
func instancesOf(entries []*api.ServiceEntry, q Query) []instance {
	list := make([]instance, 0, len(entries))
	for _, e := range entries {
		if i, ok := instanceOf(e, q.Warning); ok {
			list = append(list, i)
		}
	}
	if q.Near == "" {
		slices.SortStableFunc(list, func(a, b instance) int {
			return cmp.Or(
				cmp.Compare(a.upstream.Address, b.upstream.Address), cmp.Compare(a.node, b.node), cmp.Compare(a.id, b.id))
		})
	}
	return list
}

// instanceOf reports false for one that is neither passing nor, if that is
// wanted, warning; and for one of weight 0.
func instanceOf(e *api.ServiceEntry, warning bool) (instance, bool) {
	if e == nil || e.Service == nil || e.Node == nil {
		return instance{refused: "an entry without a service or a node"}, true
	}
	i := instance{id: e.Service.ID, node: e.Node.Node, tags: e.Service.Tags, meta: e.Service.Meta}
	weight := e.Service.Weights.Passing
	if warning {
		if slices.Contains(e.Checks, nil) { // which the library trips over
			i.refused = "an entry with a check that is null"
			return i, true
		}
		switch e.Checks.AggregatedStatus() {
		case api.HealthPassing:
		case api.HealthWarning:
			weight = e.Service.Weights.Warning
		default:
			return i, false
		}
	}
	if e.Service.Weights == (api.AgentWeights{}) {
		weight = 1 // the entry names none
	}
	if weight == 0 {
		return i, false
	}
	address, err := addressOf(e)
	if err == nil && weight < 0 {
		err = fmt.Errorf("weight %d: want 1 to %d", weight, switcher.MaxWeight)
	}
	i.upstream = switcher.Upstream{Address: address, Weight: min(weight, switcher.MaxWeight), Meta: metaOf(e)}
	if err == nil {
		err = i.upstream.Validate()
	}
	if err != nil {
		i.upstream = switcher.Upstream{}
		i.refused = fmt.Sprintf("instance %s on node %s: %v", quoted(i.id), quoted(i.node), err)
	}
	return i, true
}

// quoted shows hostile text in bounds.
func quoted(s string) string {
	if len(s) > 64 {
		s = s[:64] + "…"
	}
	return strconv.QuoteToASCII(s)
}

// addressOf returns what to dial: the service's address, else the node's.
func addressOf(e *api.ServiceEntry) (string, error) {
	host := e.Service.Address
	if host == "" {
		host = e.Node.Address
	}
	port := e.Service.DefaultPort()
	if e.Service.SocketPath != "" && port == 0 {
		return "", errors.New("a socket path: a catalog does not choose files of this machine")
	}
	if err := validateHost(host); err != nil {
		return "", fmt.Errorf("address %s: %w", quoted(host), err)
	}
	if port < 1 || port > 65535 {
		return "", fmt.Errorf("port %d: want 1 to 65535", port)
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(port)), nil
}

// validateHost accepts an IP address, also in brackets, that a machine can
// have, or a host name.
func validateHost(host string) error {
	if host == "" {
		return errors.New("is empty, and so is the node's")
	}
	bare := host
	if inner, ok := strings.CutPrefix(host, "["); ok && strings.HasSuffix(inner, "]") {
		bare = strings.TrimSuffix(inner, "]")
		if !strings.Contains(bare, ":") {
			return errors.New("only IPv6 stands in brackets")
		}
	}
	if ip, err := netip.ParseAddr(bare); err == nil {
		switch {
		case ip.Zone() != "":
			return errors.New("an IPv6 zone means nothing on another machine")
		case ip.Unmap().IsUnspecified(), ip.Unmap().IsMulticast():
			return errors.New("no one machine has this address")
		}
		return nil
	}
	return validateHostname(bare)
}

func validateHostname(name string) error {
	if len(name) > 253 {
		return errors.New("is longer than 253 bytes")
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if label == "" || len(label) > 63 || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return errors.New("is neither an IP address nor a host name")
		}
		for _, r := range label {
			if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' {
				return errors.New("is neither an IP address nor a host name")
			}
		}
	}
	return nil
}

// metaOf keeps of the metadata what may be shown, in bounds, and adds where the
// instance is. Consul's own limits are narrower, save that it allows 64 entries.
func metaOf(e *api.ServiceEntry) map[string]string {
	meta := make(map[string]string, len(e.Service.Meta)+3)
	for key, value := range map[string]string{
		metaID: e.Service.ID, metaNode: e.Node.Node, metaDatacenter: e.Node.Datacenter,
	} {
		if value != "" && presentable(value) {
			meta[key] = value
		}
	}
	for _, key := range slices.Sorted(maps.Keys(e.Service.Meta)) {
		value := e.Service.Meta[key]
		if len(meta) < maxMetaEntries && key != "" && presentable(key) && presentable(value) {
			if _, ours := meta[key]; !ours {
				meta[key] = value
			}
		}
	}
	return meta
}

func presentable(s string) bool {
	return len(s) <= maxMetaBytes && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// selection is the instances of one color.
type selection struct {
	pool []switcher.Upstream
	// refused is why the first few that cannot be used are left out.
	refused []string
	left    int // how many are left out
}

// maxReasons of instances that are left out are shown.
const maxReasons = 5

// choose picks the instances of color c. Of two with one address the first is
// kept.
func choose(list []instance, n Naming, c switcher.Color) selection {
	var s selection
	seen := make(map[string]bool, len(list))
	for _, i := range list {
		if !n.has(c, i) {
			continue
		}
		reason := i.refused
		if reason == "" && len(s.pool) == switcher.MaxUpstreams {
			reason = fmt.Sprintf("more than %d instances", switcher.MaxUpstreams)
		}
		if reason != "" {
			s.left++
			if len(s.refused) < maxReasons {
				s.refused = append(s.refused, reason)
			}
			continue
		}
		if !seen[i.upstream.Address] {
			seen[i.upstream.Address] = true
			s.pool = append(s.pool, i.upstream)
		}
	}
	return s
}

// colorless counts the instances of neither color.
func colorless(list []instance, n Naming) (count int) {
	for _, i := range list {
		if !n.has(switcher.Blue, i) && !n.has(switcher.Green, i) {
			count++
		}
	}
	return count
}
