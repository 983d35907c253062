//! Tests of a store: regions never overlap, and free memory is used again.

use proptest::prelude::*;
use pushflow_os::slab::page_size;

use super::*;

/// Limits that are reached soon.
fn limits() -> Limits {
    let page = page_size();
    Limits { min_length: 8 * page, max_length: 8 * page, max_shared: 3 * page, max_free: 20 * page, max_slabs: 6 }
}

fn lease(store: &SlabStore, pages: usize) -> Option<Lease> {
    store.lease(pages * page_size())
}

#[test]
fn a_region_that_is_free_is_used_again_and_so_is_a_slab() {
    let store = SlabStore::with_limits(limits());
    for pages in [1, 2, 3, 7, 12, 12, 7] {
        let place = |lease: &Lease| (lease.slab(), lease.offset());
        let first = place(&lease(&store, pages).unwrap());
        assert_eq!(place(&lease(&store, pages).unwrap()), first, "{pages} pages");
    }
    assert_eq!(store.usage().0, 2, "one that is shared, and the long one, of which the shorter uses a part");
}

#[test]
fn short_values_share_a_slab_and_do_not_hold_that_of_a_long_one() {
    let store = SlabStore::with_limits(limits());
    drop(lease(&store, 8).unwrap());
    let short: Vec<Lease> = (0..8).map(|_| lease(&store, 1).unwrap()).collect();
    assert!(short.iter().all(|lease| lease.slab() == short[0].slab()));
    assert_eq!(store.usage(), (2, 8 * page_size()));
}

#[test]
fn slabs_that_are_shared_begin_small_and_grow() {
    let page = page_size();
    let store = SlabStore::with_limits(Limits { min_length: 2 * page, max_slabs: 9, ..limits() });
    let regions: Vec<Lease> = (0..32).map(|_| lease(&store, 1).unwrap()).collect();
    let mut lengths: Vec<usize> = store.lock().slabs.values().map(|slab| slab.length / page).collect();
    lengths.dedup();
    assert_eq!(lengths, [2, 4, 8]);
    assert_eq!(regions.len() * page, store.used());
}

#[test]
fn free_memory_is_kept_within_its_limit_and_the_oldest_goes() {
    let store = SlabStore::with_limits(limits());
    let long: Vec<Lease> = [10, 9, 8].map(|pages| lease(&store, pages).unwrap()).into();
    let newest = long[2].slab();
    drop(long);
    assert_eq!(store.usage(), (2, 17 * page_size()));
    assert!(store.has(newest));
    assert_eq!(store.retired(), 1);
    drop(lease(&store, 21).unwrap());
    assert!(store.usage().1 <= 20 * page_size());
}

#[test]
fn there_are_only_so_many_slabs_and_free_ones_make_place() {
    let store = SlabStore::with_limits(limits());
    let mut long: Vec<Lease> = (0..6).map(|_| lease(&store, 4).unwrap()).collect();
    assert!(lease(&store, 4).is_none());
    assert!(lease(&store, 1).is_none());
    long.pop();
    assert!(lease(&store, 9).is_some(), "in place of the one that was too short");
    assert_eq!(store.usage().0, 6);
}

#[test]
fn what_can_never_be_there_is_refused() {
    let store = SlabStore::with_limits(limits());
    assert!(store.lease(usize::MAX).is_none());
    assert!(store.lease(1 << 50).is_none());
    assert_eq!(store.usage(), (0, 0));
}

#[test]
fn a_region_outlives_its_store() {
    let store = SlabStore::with_limits(limits());
    let mut kept = lease(&store, 1).unwrap();
    kept.region_mut().as_mut().fill(7);
    let file = store.file(kept.slab()).unwrap();
    drop(store);
    assert!(kept.as_ref().iter().all(|byte| *byte == 7));
    let file = std::fs::File::from(file.try_clone().unwrap());
    let blocks = std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap());
    assert_eq!(blocks * 512, page_size() as u64, "the rest of its slab takes no memory");
}

#[derive(Clone, Debug)]
enum Step {
    Lease(usize),
    Drop(usize),
    Split(usize, usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1usize..14).prop_map(Step::Lease),
        2 => any::<usize>().prop_map(Step::Drop),
        1 => (any::<usize>(), any::<usize>()).prop_map(|(which, at)| Step::Split(which, at)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_two_regions_overlap_and_all_is_free_at_the_end(steps in proptest::collection::vec(any_step(), 1..60)) {
        let store = SlabStore::with_limits(limits());
        let mut used: Vec<Lease> = Vec::new();
        for step in steps {
            match step {
                Step::Lease(pages) => used.extend(lease(&store, pages)),
                Step::Drop(which) if !used.is_empty() => drop(used.swap_remove(which % used.len())),
                Step::Split(which, at) if !used.is_empty() => {
                    let index = which % used.len();
                    let pages = used[index].len() / page_size();
                    let rest = used[index].split_off(at % (pages + 1) * page_size());
                    used.push(rest);
                    used.retain(|lease| lease.len() > 0);
                }
                _ => {}
            }
            let mut ranges: Vec<_> = used.iter().map(|lease| (lease.slab(), lease.offset(), lease.len())).collect();
            ranges.sort();
            for pair in ranges.windows(2) {
                prop_assert!(pair[0].0 != pair[1].0 || pair[0].1 + pair[0].2 <= pair[1].1, "{pair:?}");
            }
            prop_assert!(store.usage().0 <= 6);
        }
        drop(used);
        let state = store.lock();
        prop_assert!(state.slabs.values().all(Slab::is_free), "{:?}", state.slabs);
        prop_assert!(state.free_slab_bytes() <= limits().max_free);
    }
}
