// Package switchertest proves implementations of the interfaces of package
// switcher, and stands in for them.
//
// [TestStore] is what every switcher.Store must pass, [TestSource] what every
// switcher.Source must:
//
//	func TestAStoreOnDiskKeepsItsPromises(t *testing.T) {
//		switchertest.TestStore(t, func(t *testing.T) switchertest.StoreHarness { … })
//	}
//
// [MemoryStore], [FakeSource] and [Sink] are for tests of what uses a Store or a
// Source. They hold no clock and start no goroutine, and may be used inside a
// synctest bubble.
package switchertest
