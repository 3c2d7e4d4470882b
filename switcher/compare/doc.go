// Package compare says whether the color that gains traffic does worse than the
// one that loses it, by what both did at the same time. It is pure: counts and
// times go in, a Verdict with its numbers comes out.
//
//	var blue, green compare.Collector // counted into by the data plane
//	…
//	judge := compare.New(limits, 1, compare.Pair{Old: blue.Read(), New: green.Read()}, now)
//	for each second of a ramp {
//		judge.Observe(now, compare.Pair{Old: blue.Read(), New: green.Read()})
//		if f, worse := judge.Worse(); worse { … }
//	}
//
// # What is compared
//
// The share of answers that are errors; the share of attempts that found no
// connection; a quantile of the time to the answer; the share of sessions whose
// player ran out of data. The color that loses traffic is no limit that somebody
// set, but what the same clients get at the same time: what ails both is held
// against neither.
//
// # The test
//
// A verdict is looked at each second, for as long as a ramp lasts. A test made
// for one look would sooner or later find any two colors different, so this one
// is always valid: a sequential likelihood ratio, bounded by Ville's inequality.
// Traffic is cut into batches. In a batch with n exchanges of the new color, m of
// the old and K failures in all, how many of the K are the new color's depends on
// nothing but the ratio of the odds of a failure: how high these are just then,
// how much traffic there is, and which weight the ramp is at, have no part in it.
// (That is Fisher's exact test of the 2×2 table of the batch; over batches it is
// the test of Mantel and Haenszel; for sessions, each of which counts at its first
// starvation only, it is the log-rank test.) With k of the K being the new color's,
//
//	e = s^k / (1 − q + q·s)^K,  q = n·Margin / (n·Margin + m)
//
// has a mean of at most 1 for every s > 1 while the odds of the new color are at
// most Margin times those of the old: the table's distribution is less spread than
// the binomial one that the denominator belongs to. So the product over batches is
// a fair game at best, and the chance that it ever reaches 1/p is at most p,
// however often and for however long it is looked at. It is averaged over several
// s, since nobody knows how bad a bad version is, and over the times at which it
// may have become bad, so that a good beginning does not hide a bad end.
//
// For a quantile the failures are answers slower than the old color's quantile,
// as it was before the batch. That needs no shape of the distribution.
//
// Crossing is not enough. In the long window and in the short one there must be
// enough samples of both colors, and the new color must be worse by as much as
// matters: the long one so that a hiccup is none, the short one so that what is
// over is over. What was long ago is forgotten. By latency there is no verdict
// before a ramp is as old as the short window, since what has just been started is
// slow for a while. Errors and slow answers must be those of several clients.
// When the weights change the long window begins anew, as it would else add up
// times at which different things ailed both. All of these can only turn a verdict
// away, so that the bound holds.
//
// # What it cannot know
//
// That the bound holds takes exchanges of which each fails by itself. Failures
// come in bursts; so one batch counts for a factor of 20 at most, and a verdict
// takes several. That exchanges are spread over the colors at random holds for
// clients, not for what each asks; and that each is counted under the split that
// it was given its color by is up to who counts. Many clients that agree to fail are
// not told from a version that does.
package compare
