//! Functions that concern the operating-system process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use rustler::types::atom::{self, Atom};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::register_conditional_shutdown;

/// Whether signals end the process at once. The handlers are registered on first use, since nothing
/// else needs them.
static ENDS: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| {
    let ends = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The exit code that shells use. If registering fails, the VM ends as it would without it.
        let _ = register_conditional_shutdown(signal, 128 + signal, Arc::clone(&ends));
    }
    ends
});

/// The user id of this process.
#[rustler::nif]
fn process_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Sets whether Ctrl-C and SIGTERM end the process at once, with 130 and 143. The VM's own ways of
/// stopping end it with 0, as if the work were done.
#[rustler::nif]
fn process_end_by_signals(ends: bool) -> Atom {
    ENDS.store(ends, Ordering::Relaxed);
    atom::ok()
}
