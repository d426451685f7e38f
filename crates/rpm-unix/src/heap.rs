//! Giving memory back: what was freed stays with the allocator of the C library, page by page
//! between what is still used, until it is told.

/// Returns all pages that nothing uses to the kernel; takes a millisecond for some ten MiB. Does
/// nothing with an allocator that has no such call.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: malloc_trim(3) may be called at any time from any thread; it takes an integer and
        // touches nothing that is allocated.
        unsafe { libc::malloc_trim(0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resident_pages() -> u64 {
        let text = std::fs::read_to_string("/proc/self/statm").unwrap();
        text.split(' ').nth(1).unwrap().parse().unwrap()
    }

    #[test]
    #[cfg(target_env = "gnu")]
    fn freed_pages_between_used_ones_go_back() {
        let mut all: Vec<Vec<u8>> = (0..4000).map(|_| vec![1; 16 << 10]).collect();
        let full = resident_pages();
        // Every hundredth stays: no end of the heap is free.
        let mut number = 0;
        all.retain(|_| {
            number += 1;
            number % 100 == 0
        });
        give_back();
        let now = resident_pages();
        assert!(now + 10_000 < full, "{full} pages became {now}");
        drop(all);
    }
}
