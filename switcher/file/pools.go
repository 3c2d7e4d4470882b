package file

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/greenroom-proxy/greenroom/internal/strictjson"
	"github.com/greenroom-proxy/greenroom/switcher"
)

const (
	poolVersion = 1       // of the format
	maxPoolFile = 4 << 20 // bytes
)

// poolFile is the document that ParsePools reads. What must be there is a
// pointer or a slice, nil when it is not.
type poolFile struct {
	Version *version       `json:"version"`
	Blue    []poolUpstream `json:"blue"`
	Green   []poolUpstream `json:"green"`
}

type poolUpstream struct {
	Address string            `json:"address"`
	Weight  weight            `json:"weight"`
	Meta    map[string]string `json:"meta"`
}

// weight is refused where it is written as 0: whoever writes that wants no
// traffic there, and would get the default, 1.
type weight int

func (w *weight) UnmarshalJSON(data []byte) error {
	n, err := strconv.Atoi(string(data))
	if err != nil || n < 1 || n > switcher.MaxWeight {
		return fmt.Errorf("weight %.20s: want 1 to %d, or no weight for 1", data, switcher.MaxWeight)
	}
	*w = weight(n)
	return nil
}

type version int

func (v *version) UnmarshalJSON(data []byte) error {
	if err := json.Unmarshal(data, (*int)(v)); err != nil || *v != poolVersion {
		return fmt.Errorf("version %.20s: want %d", data, poolVersion)
	}
	return nil
}

// ParsePools reads the content of a pool file. It refuses, with the line and
// column and what is wanted there: anything that is not one JSON object in
// UTF-8, of at most 4 MiB; a version other than 1, or none; a missing color;
// unknown fields, duplicate keys and null; and what switcher.ValidatePools
// refuses, as a bad address, or one that is in a pool twice.
func ParsePools(data []byte) (switcher.Pools, error) {
	if len(data) > maxPoolFile {
		return switcher.Pools{}, tooLarge(maxPoolFile)
	}
	var f poolFile
	if err := strictjson.Decode(data, &f); err != nil {
		return switcher.Pools{}, err
	}
	switch {
	case f.Version == nil:
		return switcher.Pools{}, strictjson.At(data, fmt.Errorf(`no version: want "version": %d`, poolVersion))
	case f.Blue == nil:
		return switcher.Pools{}, strictjson.At(data, errors.New(`no blue pool: want "blue": […], which may be empty`))
	case f.Green == nil:
		return switcher.Pools{}, strictjson.At(data, errors.New(`no green pool: want "green": […], which may be empty`))
	}
	var pools switcher.Pools
	for _, c := range switcher.Colors {
		upstreams, err := poolOf(data, c.String(), f.color(c))
		if err != nil {
			return switcher.Pools{}, err
		}
		*pools.At(c) = upstreams
	}
	if err := switcher.ValidatePools(pools); err != nil { // whatever poolOf does not place
		return switcher.Pools{}, strictjson.At(data, err)
	}
	return pools, nil
}

func (f *poolFile) color(c switcher.Color) []poolUpstream {
	if c == switcher.Green {
		return f.Green
	}
	return f.Blue
}

// poolOf places the errors that it can.
func poolOf(data []byte, color string, list []poolUpstream) ([]switcher.Upstream, error) {
	if len(list) > switcher.MaxUpstreams {
		return nil, strictjson.At(data, fmt.Errorf("%d upstreams: at most %d", len(list), switcher.MaxUpstreams), color)
	}
	upstreams := make([]switcher.Upstream, len(list))
	first := make(map[string]int, len(list))
	for i, u := range list {
		upstreams[i] = switcher.Upstream{Address: u.Address, Weight: int(u.Weight), Meta: u.Meta}
		if err := (switcher.Upstream{Address: u.Address}).Validate(); err != nil {
			return nil, strictjson.At(data, err, color, i, "address")
		}
		if err := upstreams[i].Validate(); err != nil {
			return nil, strictjson.At(data, err, color, i, "meta")
		}
		if j, twice := first[u.Address]; twice {
			err := fmt.Errorf("upstream %q is listed twice: it is %s[%d] already", u.Address, color, j)
			return nil, strictjson.At(data, err, color, i, "address")
		}
		first[u.Address] = i
	}
	return upstreams, nil
}
