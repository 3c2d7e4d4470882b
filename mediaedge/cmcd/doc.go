// Package cmcd reads Common Media Client Data (CTA-5004): what players say of
// themselves with their requests, above all whether their buffer ran empty.
// Anybody can send it, so it is read within bounds and kept as bounded
// aggregates only.
//
//	meter := cmcd.New(cmcd.Options{})
//	…
//	report, ok, err := cmcd.ParseRequest(r)
//	switch {
//	case err != nil:
//		meter.Invalid(scope, 1)
//	case ok:
//		meter.Observe(scope, report, now)
//	}
//	query := cmcd.Strip(r.URL.RawQuery) // for cache keys, origins and signatures
//	…
//	for _, s := range meter.Snapshot(now) { … }
//
// Both versions are read alike, whatever "v" says. Of version 1 (CTA-5004)
// come bare numbers (bl=2000); of version 2 (CTA-5004-A and -B) lists of
// numbers, each with the type of object that it is for (bl=(2000;v 900;a)), the
// state of the player (sta), its errors (ec), and reports of events that are
// posted line by line (ParseEvents).
//
// The grammar is that of RFC 8941 dictionaries, read more leniently than the
// RFC asks for: a member that cannot be read, or is not of its key's type, is
// left out, and the rest is used. Strings without quotes, tokens in quotes,
// numbers with a fraction, and keys in any order and in any of the four fields
// are taken, since players send them and they have one meaning. Bounds are
// strict: what is longer than MaxLength, or has more keys than MaxKeys or a key
// longer than MaxKey, is refused whole.
package cmcd
