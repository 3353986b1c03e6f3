//! Concurrent work on many files: a disk handles several flushes in the time of one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// With fewer items per thread, another thread costs more than it saves.
const FEW: usize = 4;

/// The results of `work` for each item, in the order of the items, with at most `threads` threads.
pub(super) fn map<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    // Mutants: the number of threads does not change the results.
    let threads = threads.min(items.len() / FEW);
    if threads < 2 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let (next, work) = (&next, &work);
    let share = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            match items.get(index) {
                Some(item) => done.push((index, work(item))),
                None => return done,
            }
        }
    };
    let mut done: Vec<(usize, R)> = thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads)
            .filter_map(|_| thread::Builder::new().spawn_scoped(scope, share).ok())
            .collect();
        let mut done = share();
        for helper in helpers {
            match helper.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_unstable_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_item_is_worked_on_once_and_in_its_place() {
        let items: Vec<usize> = (0..1_000).collect();
        for threads in [0, 1, 2, 8] {
            let doubled = map(&items, threads, |item| item * 2);
            assert!(doubled.iter().enumerate().all(|(at, n)| *n == at * 2));
            assert_eq!(doubled.len(), items.len());
        }
        assert!(map(&[] as &[usize], 8, |item| *item).is_empty());
    }
}
