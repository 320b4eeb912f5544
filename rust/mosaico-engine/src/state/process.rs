//! Facts of the operating system about this process.

/// Resident memory; `None` where the system does not report it.
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
}

/// The number of file descriptors that this process may have; `None` where the system does not report it.
pub fn descriptor_limit() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn linux_tells_the_number_of_descriptors() {
        assert!(descriptor_limit().unwrap() >= 16);
    }

    #[test]
    fn linux_tells_the_memory() {
        let before = resident_bytes().unwrap();
        let block = std::hint::black_box(vec![1u8; 64 << 20]);
        let now = resident_bytes().unwrap();
        assert!(now >= before + (32 << 20), "{now} after {before}");
        drop(block);
    }
}
