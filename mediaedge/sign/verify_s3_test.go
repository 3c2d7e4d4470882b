package sign

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sigV4 is a bucket: it decodes the path and the query, and encodes them as
// the documentation of S3 says.
func sigV4(method string, v viewing, header http.Header, region string, secrets map[string]string) error {
	origin, path, query := v.parts()
	key, err := url.PathUnescape(path)
	if err != nil {
		return err
	}
	host := strings.SplitN(origin, "//", 2)[1]
	all, err := url.ParseQuery(query)
	if err != nil {
		return err
	}
	names := []string{"host"}
	scope, stamp, signature, payload := all.Get("X-Amz-Credential"), all.Get("X-Amz-Date"), all.Get("X-Amz-Signature"), "UNSIGNED-PAYLOAD"
	all.Del("X-Amz-Signature")
	if header != nil {
		a := fields(strings.ReplaceAll(strings.TrimPrefix(header.Get("Authorization"), "AWS4-HMAC-SHA256 "), ", ", ","), ",")
		scope, signature, stamp, payload = a["Credential"], a["Signature"], header.Get("X-Amz-Date"), header.Get("X-Amz-Content-Sha256")
		names = strings.Split(a["SignedHeaders"], ";")
	}
	canonical := method + "\n" + awsEncode(key, true) + "\n" + canonicalQuery(all) + "\n"
	for _, n := range names {
		value := host
		if n != "host" {
			value = header.Get(n)
		}
		canonical += n + ":" + value + "\n"
	}
	canonical += "\n" + strings.Join(names, ";") + "\n" + payload
	id, scope, _ := strings.Cut(scope, "/")
	secret, known := secrets[id]
	if !known || len(stamp) != 16 || scope != stamp[:8]+"/"+region+"/s3/aws4_request" {
		return refused("credential %s/%s", id, scope)
	}
	hashed := sha256.Sum256([]byte(canonical))
	k := []byte("AWS4" + secret)
	for _, part := range strings.Split(scope, "/") {
		k = sum256(k, part)
	}
	if want := hex.EncodeToString(sum256(k, "AWS4-HMAC-SHA256\n"+stamp+"\n"+scope+"\n"+hex.EncodeToString(hashed[:]))); want != signature {
		return refused("signature")
	}
	began, err := time.Parse("20060102T150405Z", stamp)
	if err != nil || header != nil {
		return err
	}
	life, err := strconv.Atoi(all.Get("X-Amz-Expires"))
	if err != nil || life > 604800 || v.at.Before(began) || !v.at.Before(began.Add(time.Duration(life)*time.Second)) {
		return refused("time")
	}
	return nil
}

// canonicalQuery is sorted by the encoded name first.
func canonicalQuery(all url.Values) string {
	var pairs [][2]string
	for name, values := range all {
		for _, value := range values {
			pairs = append(pairs, [2]string{awsEncode(name, false), awsEncode(value, false)})
		}
	}
	slices.SortFunc(pairs, func(a, b [2]string) int { return cmp.Or(strings.Compare(a[0], b[0]), strings.Compare(a[1], b[1])) })
	var joined []string
	for _, p := range pairs {
		joined = append(joined, p[0]+"="+p[1])
	}
	return strings.Join(joined, "&")
}

func awsEncode(s string, slash bool) string {
	out := ""
	for _, b := range []byte(s) {
		if strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~", b) >= 0 || slash && b == '/' {
			out += string(b)
		} else {
			out += fmt.Sprintf("%%%02X", b)
		}
	}
	return out
}
