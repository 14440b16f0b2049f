//! Whether what is about to be held fits into memory: asked before it is allocated, since a process
//! that takes too much is killed without a word.
//!
//! Linux says how much is left, for the machine and for the control groups (version 2) of a container
//! or a batch system. Elsewhere nobody is asked, and nothing refused.
use std::{fs, path::Path};

/// # Errors
/// When fewer than `needed` bytes are left.
pub(super) fn ensure_free(needed: usize, what: &str, advice: &str) -> anyhow::Result<()> {
    let free = free(Path::new("/")).unwrap_or(u64::MAX);
    anyhow::ensure!(
        needed as u64 <= free,
        "too little memory: {what} needs {:.1} GB, and {:.1} GB is free; {advice}",
        needed as f64 / 1e9,
        free as f64 / 1e9
    );
    Ok(())
}

/// Bytes that this process can still take: of the machine, and of each control group that it is in.
fn free(root: &Path) -> Option<u64> {
    let machine = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let kilobytes = |name| number_after(&machine, name);
    let free = kilobytes("MemAvailable:")? + kilobytes("SwapFree:").unwrap_or(0);
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let all = root.join("sys/fs/cgroup");
    let group = all.join(own);
    let groups = group.ancestors().take_while(|group| group.starts_with(&all));
    groups.filter_map(left_of).chain([free * 1024]).min()
}

/// Bytes that a control group may still take, if it has a limit.
fn left_of(group: &Path) -> Option<u64> {
    let read = |name: &str| fs::read_to_string(group.join(name)).ok();
    // Without a limit, the file says "max".
    let limit: u64 = read("memory.max")?.trim().parse().ok()?;
    let used: u64 = read("memory.current")?.trim().parse().ok()?;
    // Files that were read stay in memory until it is wanted for something else.
    let status = read("memory.stat").unwrap_or_default();
    let files = ["inactive_file", "active_file"].map(|name| number_after(&status, name));
    let files: u64 = files.into_iter().flatten().sum();
    Some(limit.saturating_sub(used.saturating_sub(files)))
}

/// The number after a name at the beginning of a line.
fn number_after(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().map(str::split_whitespace);
    lines.find_map(|mut words| (words.next()? == name).then(|| words.next()?.parse().ok())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_limit_counts() {
        let check = |files: &[(&str, &str)], expected: Option<u64>| {
            let root = tempfile::tempdir().unwrap();
            for (path, text) in files {
                let path = root.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            assert_eq!(free(root.path()), expected, "{files:?}");
        };
        check(&[], None);
        let machine = ("proc/meminfo", "MemTotal: 9 kB\nMemAvailable:   5 kB\nSwapFree: 2 kB\n");
        check(&[machine], Some(7 * 1024));
        let inside = ("proc/self/cgroup", "4:memory:/old\n0::/jobs/one\n");
        let unlimited = ("sys/fs/cgroup/jobs/one/memory.max", "max\n");
        check(&[machine, inside, unlimited], Some(7 * 1024));
        let limit = ("sys/fs/cgroup/jobs/memory.max", "6000\n");
        let used = ("sys/fs/cgroup/jobs/memory.current", "4500\n");
        check(&[machine, inside, unlimited, limit, used], Some(1500));
        let files =
            ("sys/fs/cgroup/jobs/memory.stat", "anon 9\nactive_file 1000\ninactive_file 2000");
        check(&[machine, inside, unlimited, limit, used, files], Some(4500));
        // A process that is outside of the group does not share its limit.
        let outside = ("proc/self/cgroup", "0::/\n");
        check(&[machine, outside, limit, used], Some(7 * 1024));
    }

    #[test]
    fn needed_and_free_are_both_named() {
        ensure_free(1, "a byte", "").unwrap();
        if free(Path::new("/")).is_some() {
            let error =
                ensure_free(usize::MAX, "all there is", "take less").unwrap_err().to_string();
            assert!(error.contains("all there is needs 18446744073.7 GB, and "), "{error}");
            assert!(error.ends_with(" GB is free; take less"), "{error}");
        }
    }
}
